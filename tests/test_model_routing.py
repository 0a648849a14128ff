"""Routes: who leads, who assists, where it starts and when it is due."""

from datetime import datetime
from pathlib import Path

import pytest

from model.calendar import SHANGHAI, WorkCalendar, load_calendar
from model.labels import Taxonomy, load_taxonomy
from model.routing import Route, RoutingTable, load_routing, route

FILE = Path("data/routing.yaml")
FRIDAY_EVENING = datetime(2026, 11, 20, 20, 15, tzinfo=SHANGHAI)


@pytest.fixture(scope="module")
def taxonomy() -> Taxonomy:
    return load_taxonomy(Path("data/taxonomy.yaml"))


@pytest.fixture(scope="module")
def table(taxonomy: Taxonomy) -> RoutingTable:
    return load_routing(FILE, taxonomy)


@pytest.fixture(scope="module")
def calendar() -> WorkCalendar:
    return load_calendar(Path("data/holidays.yaml"))


def assisting(found: Route) -> list[str]:
    return [department.code for department in found.assist]


def test_an_elevator_goes_to_market_supervision_in_two_working_days(
    table: RoutingTable, calendar: WorkCalendar
) -> None:
    found = route(table, ["elevator"], FRIDAY_EVENING, urgent=False, calendar=calendar)
    assert (found.lead.code, found.lead.name) == ("market", "区市场监管局")
    assert assisting(found) == ["property"]
    assert found.level == "compound"
    assert found.due_at.isoformat() == "2026-11-24T18:00:00+08:00"


def test_an_urgent_one_is_due_in_two_hours_by_the_clock(
    table: RoutingTable, calendar: WorkCalendar
) -> None:
    late = datetime(2026, 10, 1, 23, 30, tzinfo=SHANGHAI)
    found = route(table, ["elevator"], late, urgent=True, calendar=calendar)
    assert found.due_at.isoformat() == "2026-10-02T01:30:00+08:00"
    assert found.lead.code == "market"


@pytest.mark.parametrize(
    ("received", "due"),
    [("2026-02-13", "2026-02-24"), ("2026-02-14", "2026-02-25"), ("2026-09-30", "2026-10-09")],
)
def test_holidays_and_make_up_days_move_the_due_time(
    table: RoutingTable, calendar: WorkCalendar, received: str, due: str
) -> None:
    received_at = datetime.fromisoformat(f"{received}T10:00:00+08:00")
    found = route(table, ["elevator"], received_at, urgent=False, calendar=calendar)
    assert found.due_at.isoformat() == f"{due}T18:00:00+08:00"


def test_leads_of_further_categories_assist_once(
    table: RoutingTable, calendar: WorkCalendar
) -> None:
    codes = ["walls", "housing_safety", "parking", "fire_safety", "demolition"]
    found = route(table, codes, FRIDAY_EVENING, urgent=False, calendar=calendar)
    assert found.lead.code == "housing"
    assert assisting(found) == ["property", "fire", "expropriation"]


def test_a_lead_never_assists_itself(table: RoutingTable, calendar: WorkCalendar) -> None:
    found = route(table, ["consumer", "elevator"], FRIDAY_EVENING, urgent=False, calendar=calendar)
    assert assisting(found) == []


@pytest.mark.parametrize("urgent", [True, False])
def test_a_moment_without_time_zone_is_refused(
    table: RoutingTable, calendar: WorkCalendar, urgent: bool
) -> None:
    with pytest.raises(ValueError, match="received_at is 2026-11-20T20:15:00: add a time zone"):
        route(table, ["elevator"], FRIDAY_EVENING.replace(tzinfo=None), urgent, calendar)


@pytest.mark.parametrize(
    ("codes", "message"), [([], "codes is empty"), (["elevator", "lift"], "no route .*'lift'")]
)
def test_codes_without_a_rule_are_refused(
    table: RoutingTable, calendar: WorkCalendar, codes: list[str], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        route(table, codes, FRIDAY_EVENING, urgent=False, calendar=calendar)


def test_every_category_has_a_rule_in_label_order(table: RoutingTable, taxonomy: Taxonomy) -> None:
    assert tuple(table.rules) == taxonomy.codes


ELEVATOR = "{lead: market,          assist: [property],                 start: compound,  days: 2}"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (ELEVATOR, ELEVATOR.replace("market", "markt"), "elevator: lead is 'markt': .*market"),
        (ELEVATOR, ELEVATOR.replace("[property]", "[propertyy]"), "replace 'propertyy'"),
        (ELEVATOR, ELEVATOR.replace("[property]", "[market]"), "replace 'market'"),
        (ELEVATOR, ELEVATOR.replace("[property]", "[fire, fire]"), "keep 'fire' once"),
        (ELEVATOR, ELEVATOR.replace("[property]", "[1]"), "write a list of non-empty texts"),
        (ELEVATOR, ELEVATOR.replace("compound", "planet"), "start is 'planet': use one of"),
        (ELEVATOR, ELEVATOR.replace("days: 2", "days: -2"), "days is -2: write a whole number"),
        (ELEVATOR, ELEVATOR.replace("days: 2", "days: 2.5"), "days is 2.5: write a whole number"),
        (ELEVATOR, ELEVATOR.replace("  days: 2", "  hours: 2"), "unknown key 'hours'"),
        (f"  elevator:             {ELEVATOR}\n", "", "elevator is missing"),
        ("  walls:  ", "  elevator:  ", "the key 'elevator' stands here twice"),
        ("  walls:  ", "  lift:  ", "unknown key 'lift'"),
        ("{code: fire, ", "{code: market, ", "department code 'market' stands twice"),
        ("区应急管理局,       level: district", "区应急管理局, level: moon", "level is 'moon'"),
        ("urgent_hours: 2", "urgent_hours: 0", "urgent_hours is 0"),
        ("urgent_hours: 2", "urgent_hour: 2", "unknown key 'urgent_hour'"),
        ("version: 1", "version: one", "version is 'one'"),
    ],
)
def test_a_faulty_table_is_refused(
    tmp_path: Path, taxonomy: Taxonomy, old: str, new: str, message: str
) -> None:
    text = FILE.read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "routing.yaml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ValueError, match=message) as error:
        load_routing(path, taxonomy)
    assert str(path) in str(error.value)
