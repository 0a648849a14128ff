"""Who answers an opinion and by when: a pure function of its labels and data/routing.yaml."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from model.calendar import WorkCalendar
from model.labels import Taxonomy, read_code
from model.yaml_file import Section, read_yaml, repeats


@dataclass(frozen=True)
class Department:
    """An office or company that answers opinions, and the level it works at."""

    code: str
    name: str
    level: str


@dataclass(frozen=True)
class Rule:
    """Who answers one category, where it starts and how many working days it may take."""

    lead: Department
    assist: tuple[Department, ...]
    start: str
    days: int


@dataclass(frozen=True)
class RoutingTable:
    """The rules by category code; levels run from the smallest to the largest."""

    version: int
    levels: tuple[str, ...]
    urgent_hours: int
    departments: tuple[Department, ...]
    rules: Mapping[str, Rule]


@dataclass(frozen=True)
class Route:
    """Where one opinion goes; `due_at` is aware, on the clock of the offices."""

    lead: Department
    assist: tuple[Department, ...]
    level: str
    due_at: datetime


def route(
    table: RoutingTable,
    codes: Sequence[str],
    received_at: datetime,
    urgent: bool,
    calendar: WorkCalendar,
) -> Route:
    """The route of an opinion.

    Args:
        codes: its categories, the primary one first. Its rule leads; the leading departments
            of the further ones assist.
        received_at: an aware moment.
        urgent: due in the table's urgent hours by the clock instead of in working days.

    Raises:
        ValueError: no codes, a code without a rule, or a moment without a time zone.
    """
    if not codes:
        raise ValueError("codes is empty: give at least the primary category")
    for code in codes:
        if code not in table.rules:
            raise ValueError(f"no route for category {code!r}: add it to the routing table")
    rule = table.rules[codes[0]]
    others = (*rule.assist, *(table.rules[code].lead for code in codes[1:]))
    if urgent:
        due_at = calendar.local(received_at) + timedelta(hours=table.urgent_hours)
    else:
        due_at = calendar.due_after(received_at, rule.days)
    assist = tuple(department for department in dict.fromkeys(others) if department != rule.lead)
    return Route(rule.lead, assist, rule.start, due_at)


def load_routing(path: Path, taxonomy: Taxonomy) -> RoutingTable:
    """Read a routing table and check it against the taxonomy.

    Raises:
        ValueError: names the file, the field, the value and the remedy.
    """
    return read_routing(read_yaml(path), taxonomy)


def read_routing(file: Section, taxonomy: Taxonomy) -> RoutingTable:
    """The routing table in YAML that was read, checked against the taxonomy.

    Raises:
        ValueError: names the place, the field, the value and the remedy.
    """
    file.only("version", "levels", "urgent_hours", "departments", "routes")
    version = file.number("version", least=1)
    levels = file.texts("levels")
    departments = tuple(_read_department(s, levels) for s in file.sections("departments"))
    for code in repeats(department.code for department in departments):
        raise ValueError(f"{file.place}: department code {code!r} stands twice: keep or rename one")
    known = {department.code: department for department in departments}
    routes = file.section("routes")
    routes.only(*taxonomy.codes)
    rules = {code: _read_rule(routes.section(code), known, levels) for code in taxonomy.codes}
    return RoutingTable(version, levels, file.number("urgent_hours", least=1), departments, rules)


def _read_department(section: Section, levels: Sequence[str]) -> Department:
    section.only("code", "name", "level")
    return Department(read_code(section), section.text("name"), section.choice("level", levels))


def _read_rule(section: Section, known: Mapping[str, Department], levels: Sequence[str]) -> Rule:
    section.only("lead", "assist", "start", "days")
    lead = known[section.choice("lead", known)]
    assist = section.texts("assist")
    for code in assist:
        if code not in known or code == lead.code:
            raise section.fault("assist", f"replace {code!r} by a listed department, not the lead")
    start = section.choice("start", levels)
    return Rule(lead, tuple(known[c] for c in assist), start, section.number("days", least=1))
