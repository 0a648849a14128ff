"""The figures as tables with Chinese heads: shown, drawn and downloaded from one form."""

import csv
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy.orm import Session

from model.calendar import SHANGHAI
from model.triage import Triage
from serving.kept import name_category, name_department
from serving.results import neutral
from serving.store import figures
from serving.store.figures import Audit, Duration, Late, Rates, Throughput, Volume, Window

TOP_PEOPLE = 8
Cell = str | int | float | None


@dataclass(frozen=True)
class Column:
    """A column: its head, how its cells read, and the colour of its series where it is drawn."""

    name: str
    kind: Literal["text", "count", "share", "hours"] = "count"
    series: Literal["", "auto", "review", "out_of_scope", "plain", "late"] = ""


@dataclass(frozen=True)
class Table:
    """One figure; the first column names its rows."""

    key: str
    title: str
    note: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    chart: Literal["columns", "bars"]


@dataclass(frozen=True)
class Tile:
    """A single number with what it is made of."""

    name: str
    value: Cell
    kind: Literal["count", "share", "hours"]
    note: str


@dataclass(frozen=True)
class Dashboard:
    """Everything that the page shows of one window."""

    tiles: Sequence[Tile]
    tables: Sequence[Table]


def read_dashboard(session: Session, triage: Triage, window: Window, now: datetime) -> Dashboard:
    """Count everything and name it.

    Args:
        now: decides what is overdue.
    """
    days = figures.by_day(session, window)
    categories = figures.by_category(session, window)
    departments = figures.by_department(session, window)
    places = figures.by_place(session, window)
    rates = figures.rates(session, window, categories)
    durations = figures.time_to_close(session, window)
    late = figures.overdue(session, now)
    whole = figures.total(days)
    tiles = [
        *_volume_tiles(whole, figures.waiting(session)),
        _late_tile(late),
        *_rate_tiles(rates),
        _duration_tile(durations),
        _audit_tile(figures.audit(session, window)),
    ]
    tables = [
        _day_table(days),
        _category_table(categories, triage),
        _department_table(departments, triage),
        _rate_table(rates, triage),
        _duration_table(durations, triage),
        _place_table(places, whole),
        _late_table(late, triage),
        _people_table(figures.throughput(session, window), window),
    ]
    return Dashboard(tiles, tables)


def write_csv(table: Table) -> str:
    """The table as CSV that opens in a spreadsheet; no cell of it runs as a formula."""
    file = io.StringIO()
    file.write("\ufeff")  # tells spreadsheet programs that this is UTF-8
    lines = csv.writer(file, lineterminator="\n")
    lines.writerow(neutral(column.name) for column in table.columns)
    for row in table.rows:
        lines.writerow(neutral(cell) for cell in row)
    return file.getvalue()


def _volume_tiles(whole: Volume, waiting: int) -> list[Tile]:
    return [
        Tile("收件", whole.received, "count", f"此刻待审 {waiting} 件"),
        Tile(
            "自动派单占比", _share(whole.auto, whole.received), "share",
            f"{whole.auto} / {whole.received} 件",
        ),
        Tile("办结率", _settled(whole), "share", f"{whole.closed} / {whole.received} 件"),
    ]  # fmt: skip


def _late_tile(late: Sequence[Late]) -> Tile:
    return Tile("逾期未办", sum(x.overdue for x in late), "count", "此刻，不限收到的日子")


def _rate_tiles(rates: Sequence[Rates]) -> list[Tile]:
    corrected, reviewed = sum(r.corrected for r in rates), sum(r.reviewed for r in rates)
    returned, dispatched = sum(r.returned for r in rates), sum(r.dispatched for r in rates)
    return [
        Tile("改正率", _share(corrected, reviewed), "share", f"{corrected} / {reviewed} 件审定"),
        Tile("退单率", _share(returned, dispatched), "share", f"{returned} / {dispatched} 件派出"),
    ]


def _duration_tile(durations: Sequence[Duration]) -> Tile:
    if not durations:
        return Tile("办结时长（中位）", None, "hours", "期内没有办结的")
    note = f"90 分位 {durations[0].p90:.1f} 小时，{durations[0].closed} 件"
    return Tile("办结时长（中位）", durations[0].median, "hours", note)


def _audit_tile(audit: Audit) -> Tile:
    interval = audit.interval()
    note = f"{audit.right} / {audit.read} 件"
    if interval:
        note += f"，95% 区间 {interval[0]:.0%}–{interval[1]:.0%}"
    return Tile("自动派单盲审准确率", _share(audit.right, audit.read), "share", note)


def _day_table(days: Sequence[Volume]) -> Table:
    columns = [
        Column("日期", "text"),
        Column("自动派单", series="auto"),
        Column("转人工", series="review"),
        Column("非诉求", series="out_of_scope"),
        Column("合计"),
    ]
    rows = [[v.group, v.auto, v.review, v.out_of_scope, v.received] for v in days]
    note = "按收到的日子和模型的决定计；一诉多求拆分出的部分不另计，下同。"
    return Table("by_day", "每日收件", note, columns, rows, "columns")


def _category_table(categories: Sequence[Volume], triage: Triage) -> Table:
    columns = [
        Column("类别", "text"),
        Column("收件", series="plain"),
        Column("自动派单"),
        Column("自动派单占比", "share"),
        Column("办结率", "share"),
    ]
    rows = [
        [
            name_category(triage, str(v.group)).name,
            v.received,
            v.auto,
            _share(v.auto, v.received),
            _settled(v),
        ]
        for v in categories
    ]
    return Table("by_category", "按类别", "按现行的主类别计。", columns, rows, "bars")


def _department_table(departments: Sequence[Volume], triage: Triage) -> Table:
    columns = [
        Column("部门", "text"),
        Column("收件", series="plain"),
        Column("已办结"),
        Column("办结率", "share"),
    ]
    rows = [[_department(triage, v.group), v.received, v.closed, _settled(v)] for v in departments]
    return Table("by_department", "按部门", "按现在的主办部门计。", columns, rows, "bars")


def _place_table(places: Sequence[Volume], whole: Volume) -> Table:
    columns = [Column("地点", "text"), Column("收件", series="plain"), Column("办结率", "share")]
    rows: list[list[Cell]] = [[v.group or "未写明", v.received, _settled(v)] for v in places]
    rest = whole.received - sum(v.received for v in places)
    if rest:
        closed = whole.closed - sum(v.closed for v in places)
        rows.append(["其余", rest, _share(closed, rest)])
    note = f"按街道计，认不出街道的按所写地点；列最多的 {figures.TOP_PLACES} 处。"
    return Table("by_place", "按地点", note, columns, rows, "bars")


def _rate_table(rates: Sequence[Rates], triage: Triage) -> Table:
    columns = [
        Column("类别", "text"),
        Column("改正率", "share", "review"),
        Column("改正"),
        Column("人工审定"),
        Column("退单率", "share", "late"),
        Column("退单"),
        Column("派出"),
    ]
    rows = [
        [
            name_category(triage, r.category).name,
            _share(r.corrected, r.reviewed),
            r.corrected,
            r.reviewed,
            _share(r.returned, r.dispatched),
            r.returned,
            r.dispatched,
        ]
        for r in sorted(rates, key=lambda r: (-r.reviewed - r.dispatched, r.category))
    ]
    note = (
        "改正率：看着建议审定时改动的份额，计在建议的类别下；"
        "退单率：派出后被退回的份额，计在派出时的类别下。"
    )
    return Table("rates", "改正率与退单率", note, columns, rows, "bars")


def _duration_table(durations: Sequence[Duration], triage: Triage) -> Table:
    columns = [
        Column("部门", "text"),
        Column("中位数", "hours", "plain"),
        Column("90 分位", "hours", "plain"),
        Column("办结"),
    ]
    rows: list[list[Cell]] = [
        [_department(triage, d.department), d.median, d.p90, d.closed] for d in durations
    ]
    note = "期内办结的，从收到到办结的小时数，精确到 0.1 小时。"
    return Table("time_to_close", "办结时长", note, columns, rows, "bars")


def _late_table(late: Sequence[Late], triage: Triage) -> Table:
    columns = [Column("部门", "text"), Column("逾期", series="late"), Column("最早时限", "text")]
    rows: list[list[Cell]] = [
        [
            _department(triage, x.department),
            x.overdue,
            x.oldest_due.astimezone(SHANGHAI).strftime("%Y-%m-%d %H:%M"),
        ]
        for x in late
    ]
    note = "此刻已过时限而未办结的，不限收到的日子；含拆分出的部分。"
    return Table("overdue", "逾期未办", note, columns, rows, "bars")


def _people_table(people: Sequence[Throughput], window: Window) -> Table:
    """Days by people; whoever decided less than the TOP_PEOPLE goes into one column."""
    sums: Counter[str] = Counter()
    cells: Counter[tuple[str, str]] = Counter()
    for p in people:
        sums[p.actor] += p.reviews
    names = [name for name, _ in sorted(sums.items(), key=lambda item: (-item[1], item[0]))]
    shown, rest = names[:TOP_PEOPLE], names[TOP_PEOPLE:]
    for p in people:
        cells[p.day, p.actor if p.actor in shown else ""] += p.reviews
    keys = [*shown, ""] if rest else shown
    heads = ["本机" if key == "local" else key or f"其余 {len(rest)} 人" for key in keys]
    return Table(
        "throughput",
        "审定件数",
        "每人每日审定的件数，不含撤销的。",
        [
            Column("日期", "text"),
            *(Column(head, series="plain") for head in heads),
            Column("合计"),
        ],
        [
            [day, *(cells[day, key] for key in keys), sum(cells[day, key] for key in keys)]
            for day in window.days
        ],
        "columns",
    )


def _department(triage: Triage, code: str | None) -> str:
    return name_department(triage, code).name if code else "全部"


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _settled(volume: Volume) -> float | None:
    return _share(volume.closed, volume.received)
