"""Working days: holidays, make-up days and due times."""

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from model.calendar import SHANGHAI, WorkCalendar, load_calendar


@pytest.fixture(scope="module")
def calendar() -> WorkCalendar:
    return load_calendar(Path("data/holidays.yaml"))


def at(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=SHANGHAI)  # type: ignore[misc,arg-type]


@pytest.mark.parametrize(
    ("day", "open_"),
    [
        (date(2025, 1, 26), True),  # a Sunday worked before Spring Festival
        (date(2025, 1, 27), True),
        (date(2025, 1, 28), False),
        (date(2025, 2, 4), False),
        (date(2025, 10, 8), False),
        (date(2025, 10, 11), True),
        (date(2026, 1, 2), False),
        (date(2026, 1, 4), True),
        (date(2026, 2, 14), True),
        (date(2026, 2, 15), False),
        (date(2026, 2, 23), False),
        (date(2026, 2, 28), True),
        (date(2026, 9, 20), True),
        (date(2026, 10, 1), False),
        (date(2026, 10, 7), False),
        (date(2026, 10, 10), True),
        (date(2026, 11, 21), False),  # a plain Saturday
        (date(2031, 10, 1), True),  # no notice yet: Monday to Friday
        (date(2031, 10, 4), False),
    ],
)
def test_workdays_follow_the_notices(calendar: WorkCalendar, day: date, open_: bool) -> None:
    assert calendar.is_workday(day) is open_


def test_each_year_has_the_days_off_its_notice_grants(calendar: WorkCalendar) -> None:
    days_off = [sum(day.year == year for day in calendar.holidays) for year in (2025, 2026)]
    assert days_off == [1 + 8 + 3 + 5 + 3 + 8, 3 + 9 + 3 + 5 + 3 + 3 + 7]
    assert all(day.weekday() >= 5 for day in calendar.workdays)


@pytest.mark.parametrize(
    ("received_at", "days", "due_at"),
    [
        (at(2026, 11, 16, 9), 2, at(2026, 11, 18, 18)),
        (at(2026, 11, 20, 21, 30), 1, at(2026, 11, 23, 18)),  # Friday evening
        (at(2026, 2, 13, 10), 2, at(2026, 2, 24, 18)),  # make-up Saturday, then nine days off
        (at(2026, 2, 14, 10), 1, at(2026, 2, 24, 18)),  # on the make-up Saturday itself
        (at(2026, 9, 30, 17), 3, at(2026, 10, 10, 18)),  # Thursday, Friday, make-up Saturday
        (at(2025, 12, 31, 23, 59), 1, at(2026, 1, 4, 18)),  # across the year
        (datetime(2026, 11, 16, 20, tzinfo=UTC), 1, at(2026, 11, 18, 18)),  # 4:00 in Shanghai
    ],
)
def test_due_at_closing_time_of_the_nth_working_day(
    calendar: WorkCalendar, received_at: datetime, days: int, due_at: datetime
) -> None:
    due = calendar.due_after(received_at, days)
    assert due == due_at
    assert due.isoformat().endswith("T18:00:00+08:00")


def test_a_moment_without_time_zone_is_refused(calendar: WorkCalendar) -> None:
    with pytest.raises(ValueError, match=r"received_at is 2026-11-20T10:00:00: add a time zone"):
        calendar.due_after(datetime(2026, 11, 20, 10), 1)


@pytest.mark.parametrize("year", [1, 1999, 9999])
def test_a_far_year_is_refused(calendar: WorkCalendar, year: int) -> None:
    with pytest.raises(ValueError, match="give a year from 2000 to 2100"):
        calendar.due_after(at(year, 12, 31), 1)


def test_no_days_are_refused(calendar: WorkCalendar) -> None:
    with pytest.raises(ValueError, match="days is 0"):
        calendar.due_after(at(2026, 11, 20), 0)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("{name: 元旦, first: 2026-01-03, last: 2026-01-01, workdays: []}", "not before first"),
        ("{name: 元旦, first: 2026-01-01, last: 2026-01-03, workdays: [2026-01-02]}", "both"),
        ("{name: 元旦, first: 元月一日, last: 2026-01-03, workdays: []}", "first is '元月一日'"),
        ("{name: 元旦, first: 2026-01-01 08:00:00, last: 2026-01-03, workdays: []}", "first is"),
        ("{name: 元旦, first: 2026-01-01, last: 2026-01-03, workdays: ['1-4']}", "list of days"),
        ("{name: 元旦, first: 2026-01-01, last: 2026-01-03}", "workdays is missing"),
        ("{name: 元旦, first: 2026-01-01, workdays: []}", "last is missing"),
        ("{name: 元旦, day: 2026-01-01}", "unknown key 'day'"),
    ],
)
def test_a_faulty_file_is_refused(tmp_path: Path, entry: str, message: str) -> None:
    path = tmp_path / "holidays.yaml"
    path.write_text(f"holidays:\n  - {entry}\n", encoding="utf-8")
    with pytest.raises(ValueError, match=message) as error:
        load_calendar(path)
    assert str(path) in str(error.value)
