"""Where an opinion comes from: its compound, community and street, named in data/gazetteer.yaml."""

import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from model.routing import Department
from model.yaml_file import Section, read_yaml, repeats

# From the largest on: a place is the path of its names, such as (street, community).
KINDS = ("street", "community", "compound")
_LISTS = {"street": "communities", "community": "compounds"}
MIN_NAME, MAX_NAME = 2, 80
Names = tuple[str, ...]


@dataclass(frozen=True)
class Place:
    """A place as far as it is certain; where one is None, all smaller ones are."""

    compound: str | None = None
    community: str | None = None
    street: str | None = None

    @property
    def names(self) -> Names:
        """The known names, the street's first."""
        return tuple(name for name in (self.street, self.community, self.compound) if name)


NOWHERE = Place()


class Gazetteer:
    """The places of a district and what its departments are called there.

    Args:
        named: name or alias -> the paths of all places that are called so.
        local: path of a place -> code of a department -> its name there.
    """

    def __init__(
        self, named: Mapping[str, Collection[Names]], local: Mapping[Names, Mapping[str, str]]
    ) -> None:
        self._named = {_plain(name): tuple(paths) for name, paths in named.items()}
        self._local = local
        lengths: dict[str, set[int]] = defaultdict(set)
        for name in self._named:
            lengths[name[0]].add(len(name))
        self._lengths = {first: sorted(found, reverse=True) for first, found in lengths.items()}

    def find(self, place: str, text: str, within: Place = NOWHERE) -> Place:
        """The place of an opinion, as far as it is certain.

        The place that was given counts; the text makes it more exact, or stands in for it where
        it names nothing known. Several places are certain as far as they lie in the same one.

        Args:
            place: as the sender gave it, "" for none.
            text: of the opinion.
            within: what is known of it already; the result lies in it.
        """
        given, told = self._mentions(place), self._mentions(text)
        sure = {mention[0] for mention in (*given, *told) if len(mention) == 1}
        found, told_paths = _settle(given, sure), _settle(told, sure)
        closer = {path for path in told_paths if _lies_in(path, found)}
        common = _common(found | closer if found else told_paths)
        known = within.names
        names = common if common[: len(known)] == known else known
        return Place(**dict(zip(KINDS, names, strict=False)))

    def local_name(self, department: str, place: Place) -> str | None:
        """What the department of this code is called at the place; None for as everywhere."""
        names = place.names
        for length in range(len(names), 0, -1):
            if department in self._local.get(names[:length], {}):
                return self._local[names[:length]][department]
        return None

    def _mentions(self, text: str) -> list[Sequence[Names]]:
        """The places that each name in the text may mean; of names in one another, the longest."""
        plain = _plain(text)
        found: dict[str, Sequence[Names]] = {}
        end = 0
        for start, first in enumerate(plain):
            if start < end:
                continue
            for length in self._lengths.get(first, ()):
                name = plain[start : start + length]
                if name in self._named:
                    found[name] = self._named[name]
                    end = start + length
                    break
        return list(found.values())


def _settle(mentions: Iterable[Sequence[Names]], sure: set[Names]) -> set[Names]:
    """What the names mean: an ambiguous one what lies in, or around, a place named for sure.

    Of a place and another one in it that share their name, it means the larger.
    """
    around = _around(sure)
    settled: set[Names] = set()
    for mention in mentions:
        near = {path for path in mention if path in around or _lies_in(path, sure)} or set(mention)
        settled |= {path for path in near if not _lies_in(path[:-1], near)}
    return settled


def _common(paths: set[Names]) -> Names:
    """The smallest place that all lie in; one that lies around another says nothing more."""
    common: list[str] = []
    for names in zip(*(paths - _around(paths)), strict=False):
        if len(set(names)) > 1:
            break
        common.append(names[0])
    return tuple(common)


def _around(paths: Iterable[Names]) -> set[Names]:
    return {path[:length] for path in paths for length in range(1, len(path))}


def _lies_in(path: Names, places: set[Names]) -> bool:
    return any(path[:length] in places for length in range(1, len(path) + 1))


def _plain(text: str) -> str:
    """Full-width letters and digits become the usual ones."""
    return unicodedata.normalize("NFKC", text)


def load_gazetteer(path: Path, departments: Sequence[Department]) -> Gazetteer:
    """Read a gazetteer and check it against the departments of the routing table.

    Raises:
        ValueError: names the file, the field, the value and the remedy.
    """
    file = read_yaml(path)
    file.only("streets")
    named: dict[str, list[Names]] = defaultdict(list)
    local: dict[Names, Mapping[str, str]] = {}

    def read(section: Section, above: Names) -> Names:
        kind = KINDS[len(above)]
        inner = _LISTS.get(kind)
        section.only("name", "aliases", "departments", *filter(None, [inner]))
        names = _read_names(section)
        place = (*above, names[0])
        for name in names:
            named[name].append(place)
        if "departments" in section.values:
            local[place] = _read_local(section.section("departments"), kind, departments)
        if inner and inner in section.values:
            read_all(section, inner, place)
        return names

    def read_all(section: Section, key: str, above: Names) -> None:
        sections = section.sections(key, least=0)
        for name in repeats(name for inner in sections for name in read(inner, above)):
            raise ValueError(
                f"{section.place}: {key}: the name {name!r} stands twice: keep or change one"
            )

    read_all(file, "streets", ())
    return Gazetteer(named, local)


def _read_names(section: Section) -> tuple[str, ...]:
    """The name of a place, then its aliases."""
    names = [section.text("name")]
    names += section.texts("aliases") if "aliases" in section.values else ()
    for i, name in enumerate(names):
        if not MIN_NAME <= len(name) <= MAX_NAME or name != name.strip():
            remedy = f"write names of {MIN_NAME} to {MAX_NAME} characters, without space around"
            raise section.fault("aliases" if i else "name", remedy)
    for _ in repeats(names):
        raise section.fault("aliases", "leave the name itself out")
    return tuple(names)


def _read_local(
    section: Section, kind: str, departments: Sequence[Department]
) -> Mapping[str, str]:
    """Code -> name of the departments of a place; only those that work at its level."""
    section.only(*(department.code for department in departments if department.level == kind))
    return {str(code): section.text(str(code)) for code in section.values}
