"""Rows with their results out, as JSON lines or as a table that opens in a spreadsheet."""

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from typing import TextIO

from serving.errors import ErrorAnswer
from serving.rows import Row
from serving.schema import Result

Writer = Callable[[Row, Result | ErrorAnswer], None]
RESULT_COLUMNS = (
    "linsheng_category",
    "linsheng_name",
    "linsheng_score",
    "linsheng_further",
    "linsheng_decision",
    "linsheng_urgent",
    "linsheng_lead",
    "linsheng_assist",
    "linsheng_due_at",
    "linsheng_error",
)
# A spreadsheet program takes a cell that begins with one of these for a formula.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def write_json_line(file: TextIO, row: Row, result: Result | ErrorAnswer) -> None:
    """One object with the line, the row as it was and its result."""
    answer = result.model_dump(mode="json", exclude_unset=True)
    line = {"line": row.line, "input": row.values, "result": answer}
    file.write(json.dumps(line, ensure_ascii=False) + "\n")


class TableWriter:
    """Writes CSV: the columns of the input, then RESULT_COLUMNS."""

    def __init__(self, file: TextIO, columns: Sequence[str]) -> None:
        own = [column for column in columns if column not in RESULT_COLUMNS]
        self._columns = [*own, *RESULT_COLUMNS]
        file.write("\ufeff")  # tells spreadsheet programs that this is UTF-8
        self._table = csv.writer(file, lineterminator="\n")
        self._table.writerow(map(neutral, self._columns))

    def __call__(self, row: Row, result: Result | ErrorAnswer) -> None:
        """Add a row."""
        cells = {**row.values, **_cells(result)}
        self._table.writerow(neutral(cells.get(column, "")) for column in self._columns)


def _cells(result: Result | ErrorAnswer) -> Mapping[str, object]:
    if isinstance(result, ErrorAnswer):
        error = f"{result.error.type}: {result.error.message}"
        return dict.fromkeys(RESULT_COLUMNS, "") | {"linsheng_error": error}
    primary, *further = result.labels
    values = (
        primary.code,
        primary.name,
        primary.score,
        "、".join(label.name for label in further),
        result.decision,
        result.urgent_match or "",
        result.route.lead.name,
        "、".join(department.name for department in result.route.assist),
        result.route.due_at.isoformat(),
        "",
    )
    return dict(zip(RESULT_COLUMNS, values, strict=True))


def neutral(cell: object) -> str:
    """The cell as text that no spreadsheet program runs."""
    if isinstance(cell, dict | list):
        cell = json.dumps(cell, ensure_ascii=False)
    text = "" if cell is None else str(cell)
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text
