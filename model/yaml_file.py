"""Read a YAML file so that whatever is wrong with it is named by file, field, value and remedy."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from difflib import get_close_matches
from pathlib import Path
from typing import TypeGuard

import yaml


class _StrictLoader(yaml.SafeLoader):
    """SafeLoader silently keeps the last of two equal keys; this one refuses them."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[object, object]:
        keys = [key for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for repeated in repeats(key.value for key in keys):
            second = [key for key in keys if key.value == repeated][1]
            raise yaml.constructor.ConstructorError(
                None, None, f"the key {repeated!r} stands here twice", second.start_mark
            )
        mapping: dict[object, object] = super().construct_mapping(node, deep=deep)
        return mapping


@dataclass(frozen=True)
class Section:
    """One mapping of a YAML file, with its place in the file; reading checks as it goes."""

    place: str
    values: Mapping[object, object]

    def fault(self, key: str, remedy: str) -> ValueError:
        """An error that names the field, the value found there and what to change."""
        value = repr(self.values[key]) if key in self.values else "missing"
        return ValueError(f"{self.place}: {key} is {value}: {remedy}")

    def only(self, *keys: str) -> None:
        """Refuse every key but these: a misspelt one would otherwise go unread."""
        for key in self.values:
            if key not in keys:
                raise ValueError(f"{self.place}: unknown key {key!r}: use {', '.join(keys)}")

    def text(self, key: str, default: str | None = None) -> str:
        """The non-empty text at a key; without a default the key must be there."""
        if default is not None and key not in self.values:
            return default
        value = self.values.get(key)
        if not isinstance(value, str) or not value.strip():
            raise self.fault(key, "write a non-empty text")
        return value

    def number(self, key: str, least: int) -> int:
        """The whole number at a key, at least `least`."""
        value = self.values.get(key)
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise self.fault(key, f"write a whole number of at least {least}")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """The list of non-empty, differing texts at a key; it may be empty."""
        items = self._list(key)
        if not all(isinstance(item, str) and item.strip() for item in items):
            raise self.fault(key, "write a list of non-empty texts")
        for repeated in repeats(items):
            raise self.fault(key, f"keep {repeated!r} once")
        return tuple(str(item) for item in items)

    def choice(self, key: str, choices: Collection[str]) -> str:
        """The text at a key, one of the choices."""
        value = self.text(key)
        if value not in choices:
            near = get_close_matches(value, choices, cutoff=0.5) or choices
            raise self.fault(key, f"use one of {', '.join(near)}")
        return value

    def day(self, key: str) -> date:
        """The day at a key."""
        value = self.values.get(key)
        if not _is_day(value):
            raise self.fault(key, "write a day like 2026-01-01, without quotes")
        return value

    def days(self, key: str) -> frozenset[date]:
        """The days listed at a key; there may be none."""
        days = [item for item in self._list(key) if _is_day(item)]
        if days != self._list(key):
            raise self.fault(key, "write a list of days like 2026-01-01, without quotes")
        return frozenset(days)

    def section(self, key: str) -> "Section":
        """The mapping at a key."""
        return Section(f"{self.place}: {key}", self._mapping(key, self.values.get(key)))

    def sections(self, key: str, least: int = 1) -> tuple["Section", ...]:
        """The mappings listed at a key, at least `least`."""
        items = self._list(key)
        if len(items) < least:
            raise self.fault(key, "list at least one entry")
        return tuple(
            Section(f"{self.place}: {key}[{i}]", self._mapping(key, item))
            for i, item in enumerate(items)
        )

    def _list(self, key: str) -> list[object]:
        value = self.values.get(key)
        if not isinstance(value, list):
            raise self.fault(key, "write a list")
        return value

    def _mapping(self, key: str, value: object) -> Mapping[object, object]:
        if not isinstance(value, dict) or not value:
            raise self.fault(key, "write keys with values here")
        return value


def _is_day(value: object) -> TypeGuard[date]:
    # A datetime is a date too, but no day: hence the exact type.
    return type(value) is date


def repeats(items: Iterable[object]) -> list[object]:
    """The items that occur more than once, in order of appearance."""
    return [item for item, count in Counter(items).items() if count > 1]


def read_yaml(path: Path) -> Section:
    """Read a YAML file whose top level is a mapping.

    Raises:
        ValueError: the file is missing, not UTF-8, not YAML, empty, or has a key twice.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: {error}: give a readable YAML file in UTF-8") from error
    return parse_yaml(text, str(path))


def parse_yaml(text: str, place: str) -> Section:
    """Read YAML whose top level is a mapping.

    Args:
        place: where the text is from, for messages.

    Raises:
        ValueError: it is not YAML, empty, or has a key twice.
    """
    try:
        # The timestamps of YAML raise a plain ValueError for a day such as 2026-02-30.
        values = yaml.load(text, Loader=_StrictLoader)
    except (ValueError, yaml.YAMLError) as error:
        raise ValueError(f"{place}: {error}: give a readable YAML file in UTF-8") from error
    if not isinstance(values, dict):
        raise ValueError(f"{place}: the top level is {values!r:.80}: write keys with values")
    return Section(place, values)
