"""Working days in mainland China, and when an answer is due."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from model.yaml_file import Section, read_yaml

SHANGHAI = ZoneInfo("Asia/Shanghai")
CLOSING = time(18)


@dataclass(frozen=True)
class WorkCalendar:
    """Monday to Friday, less the holidays, plus the make-up days (调休)."""

    holidays: frozenset[date]
    workdays: frozenset[date]
    timezone: ZoneInfo = SHANGHAI
    closing: time = CLOSING

    def is_workday(self, day: date) -> bool:
        """Whether offices are open on this day."""
        return day in self.workdays or (day.weekday() < 5 and day not in self.holidays)

    def local(self, received_at: datetime) -> datetime:
        """The same moment on the clock of the offices.

        Raises:
            ValueError: the moment has no time zone, or a year outside 2000-2100.
        """
        if received_at.utcoffset() is None:
            raise ValueError(
                f"received_at is {received_at.isoformat()}: add a time zone, such as +08:00"
            )
        if not 2000 <= received_at.year <= 2100:
            raise ValueError(
                f"received_at is {received_at.isoformat()}: give a year from 2000 to 2100"
            )
        return received_at.astimezone(self.timezone)

    def due_after(self, received_at: datetime, days: int) -> datetime:
        """Closing time of the n-th working day after the day of receipt."""
        if days < 1:
            raise ValueError(f"days is {days}: give at least one working day")
        day = self.local(received_at).date()
        while days:
            day += timedelta(days=1)
            days -= self.is_workday(day)
        return datetime.combine(day, self.closing, tzinfo=self.timezone)


def load_calendar(path: Path) -> WorkCalendar:
    """Read the holidays and make-up days; years the file leaves out are plain Monday to Friday.

    Raises:
        ValueError: names the file, the field, the value and the remedy.
    """
    file = read_yaml(path)
    file.only("holidays")
    holidays: set[date] = set()
    workdays: set[date] = set()
    for section in file.sections("holidays"):
        section.only("name", "first", "last", "workdays")
        holidays.update(_holiday(section))
        workdays |= section.days("workdays")
    for day in sorted(holidays & workdays):
        raise ValueError(f"{path}: {day} is both a holiday and a make-up day: keep one")
    return WorkCalendar(frozenset(holidays), frozenset(workdays))


def _holiday(section: Section) -> Iterator[date]:
    section.text("name")
    day, last = section.day("first"), section.day("last")
    if last < day:
        raise section.fault("last", f"give a day not before first ({day})")
    while day <= last:
        yield day
        day += timedelta(days=1)
