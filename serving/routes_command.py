"""Routing tables: checked, tried on stored opinions, put into force.

python -m serving routes check FILE
python -m serving routes preview FILE --days 30 --picture moves.svg
python -m serving routes apply FILE
"""

import getpass
import os
import unicodedata
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy.exc import IntegrityError

from model.calendar import SHANGHAI, load_calendar
from model.gazetteer import load_gazetteer
from model.labels import Taxonomy, load_taxonomy
from model.routing import RoutingTable, load_routing
from serving.refusals import refusals
from serving.routing_picture import draw
from serving.routing_preview import Preview, replay
from serving.settings import read_settings
from serving.store.engine import Store, open_store
from serving.store.routing_tables import (
    CHECK_SECONDS,
    apply,
    missing_departments,
    missing_levels,
    newest,
    read_version,
)

File = Annotated[Path, typer.Argument(help="A routing table such as data/routing.yaml")]
routes = typer.Typer(help="Routing tables: check, try out, put into force.", no_args_is_help=True)


@routes.command()
def check(file: File) -> None:
    """Check a table by itself, and against the categories and places of the data directory."""
    with refusals():
        table = _read(file, read_settings().data)
    print(f"{file}: sound, {len(table.rules)} categories, {len(table.departments)} departments")
    for department in _idle(table):
        print(f"{file}: no category leads to {department}: is that meant?")


@routes.command()
def preview(
    file: File,
    days: Annotated[int, typer.Option(min=1, help="How far back opinions are read")] = 30,
    picture: Annotated[Path | None, typer.Option(help="An .svg file to write")] = None,
) -> None:
    """Show which stored opinions the table would give to other departments; nothing changes."""
    with refusals():
        if picture and picture.suffix.lower() != ".svg":
            raise ValueError(f"--picture {picture}: unknown ending {picture.suffix!r}: use .svg")
        settings = read_settings()
        taxonomy = load_taxonomy(settings.data / "taxonomy.yaml")
        proposed = _read(file, settings.data)
        calendar = load_calendar(settings.data / "holidays.yaml")
        now = datetime.now(SHANGHAI)
        with closing(open_store(settings.database_url)) as store:
            present = _in_force(store, settings.data, taxonomy)
            with store.read() as session:
                found = replay(session, now - timedelta(days), present, proposed, calendar)
        if picture:
            picture.write_text(draw(found, file.name, days, now.date()), encoding="utf-8")
    _print_preview(found, present, proposed, taxonomy, days)


@routes.command("apply")
def put_into_force(file: File) -> None:
    """Store the table as the next version; running servers take it over by themselves."""
    with refusals():
        settings = read_settings()
        taxonomy = load_taxonomy(settings.data / "taxonomy.yaml")
        table = _read(file, settings.data)
        content = file.read_text(encoding="utf-8")
        first = load_routing(settings.data / "routing.yaml", taxonomy).version
        now = datetime.now(UTC)
        with closing(open_store(settings.database_url)) as store:
            try:
                with store.write() as session:
                    if levels := missing_levels(session, table):
                        raise ValueError(
                            f"{file}: levels lacks {_list(levels)}: open opinions stand there, "
                            "keep it until they are closed"
                        )
                    left = missing_departments(session, table)
                    present = newest(session)
                    version = apply(session, content, _user(), now, first)
            except IntegrityError:
                raise ValueError("another table was applied just now: preview again") from None
    for name in [f"{count} open opinions stay with {code}" for code, count in left.items()]:
        print(f"{name}, which the table does not list")
    if present and present.version == version:
        print(f"{file}: is in force already, as version {version}")
    else:
        print(f"{file}: version {version}; servers follow within {CHECK_SECONDS:g} s")


def _read(file: Path, data: Path) -> RoutingTable:
    """The table, checked against taxonomy and gazetteer."""
    table = load_routing(file, load_taxonomy(data / "taxonomy.yaml"))
    load_gazetteer(data / "gazetteer.yaml", table.departments)
    return table


def _in_force(store: Store, data: Path, taxonomy: Taxonomy) -> RoutingTable:
    with store.read() as session:
        row = newest(session)
    return read_version(row, taxonomy) if row else load_routing(data / "routing.yaml", taxonomy)


def _idle(table: RoutingTable) -> list[str]:
    """Departments that no category names."""
    busy = {d for rule in table.rules.values() for d in (rule.lead, *rule.assist)}
    return [department.code for department in table.departments if department not in busy]


def _user() -> str:
    """The operating system's name for who runs the command."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # in a container the number may have no name
        return f"uid {os.getuid()}"


def _list(counts: dict[str, int]) -> str:
    return ", ".join(f"{name!r} ({count})" for name, count in counts.items())


def _print_preview(
    found: Preview, present: RoutingTable, proposed: RoutingTable, taxonomy: Taxonomy, days: int
) -> None:
    print(
        f"{found.read} opinions of {days} days: {found.moved} would get another lead, "
        f"{found.otherwise} other assistance, level or due time"
    )
    if found.unknown:
        print(f"{found.unknown} more carry a category that the tables do not have: left out")
    names = {d.code: d.name for table in (present, proposed) for d in table.departments}
    moves = [
        (
            taxonomy.category(move.category).name,
            names[move.before],
            names[move.after],
            str(move.count),
            ", ".join(map(str, move.examples)),
        )
        for move in found.moves
    ]
    loads = [
        (load.name, str(load.before), str(load.after), f"{load.change:+d}") for load in found.loads
    ]
    if moves:
        _print_table(("category", "from", "to", "opinions", "such as"), moves)
    _print_table(("department", "before", "after", "change"), loads)


def _print_table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    """Columns under one another; a Chinese character takes two places."""
    widths = [max(map(_width, column)) for column in zip(header, *rows, strict=True)]
    print()
    for row in (header, *rows):
        cells = [cell + " " * (w - _width(cell)) for cell, w in zip(row, widths, strict=True)]
        print("  ".join(cells).rstrip())


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)
