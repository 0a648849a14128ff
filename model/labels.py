"""The label space: which categories there are, in which order, read from data/taxonomy.yaml."""

import re
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path

from model.yaml_file import Section, read_yaml, repeats


@dataclass(frozen=True)
class Category:
    """What an opinion can be about; `excludes` names the neighbours it is confused with."""

    code: str
    name: str
    domain: str
    means: str
    excludes: str


@dataclass(frozen=True)
class Domain:
    """A group of categories."""

    code: str
    name: str
    categories: tuple[Category, ...]


@dataclass(frozen=True)
class Taxonomy:
    """All categories; their order in the file is the order of the label ids."""

    version: int
    domains: tuple[Domain, ...]

    @cached_property
    def codes(self) -> tuple[str, ...]:
        """The category codes in label order."""
        return tuple(self._by_code)

    def category(self, code: str) -> Category:
        """The category with this code; a ValueError names the nearest known codes."""
        if code not in self._by_code:
            near = get_close_matches(code, self.codes, cutoff=0.5) or self.codes
            raise ValueError(f"unknown category {code!r}: use one of {', '.join(near)}")
        return self._by_code[code]

    @cached_property
    def _by_code(self) -> dict[str, Category]:
        return {c.code: c for domain in self.domains for c in domain.categories}


def load_taxonomy(path: Path) -> Taxonomy:
    """Read and check a taxonomy.

    Raises:
        ValueError: names the file, the field, the value and the remedy.
    """
    file = read_yaml(path)
    file.only("version", "domains")
    version = file.number("version", least=1)
    domains = tuple(_read_domain(section) for section in file.sections("domains"))
    categories = [category.code for domain in domains for category in domain.categories]
    for kind, codes in (("domain", [d.code for d in domains]), ("category", categories)):
        for code in repeats(codes):
            raise ValueError(f"{path}: {kind} code {code!r} stands twice: keep or rename one")
    return Taxonomy(version, domains)


def read_code(section: Section) -> str:
    """The `code` of a section, as machines read it."""
    code = section.text("code")
    if not re.fullmatch(r"[a-z][a-z0-9_]*", code):
        raise section.fault("code", "use a-z first, then a-z, 0-9 and _")
    return code


def _read_domain(section: Section) -> Domain:
    section.only("code", "name", "categories")
    code = read_code(section)
    categories = tuple(_read_category(c, code) for c in section.sections("categories"))
    return Domain(code, section.text("name"), categories)


def _read_category(section: Section, domain: str) -> Category:
    section.only("code", "name", "means", "not")
    return Category(
        code=read_code(section),
        name=section.text("name"),
        domain=domain,
        means=section.text("means"),
        excludes=section.text("not", default=""),
    )
