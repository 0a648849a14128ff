"""Files of opinions in: every row keeps its place, what cannot be read says why."""

import csv
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from xml.etree.ElementTree import ParseError
from zipfile import BadZipFile

from openpyxl import load_workbook
from openpyxl.utils.exceptions import InvalidFileException

from serving.schema import OpinionInput

FIELDS = tuple(OpinionInput.model_fields)


@dataclass(frozen=True)
class Row:
    """A row as it stands in its file.

    Attributes:
        line: where it begins in the file, from 1.
        values: what it holds, by column.
        opinion: what to classify: a text, or an object as POST /v1/classify takes it.
        fault: why it cannot be read, if so.
    """

    line: int
    values: Mapping[str, object]
    opinion: object = None
    fault: str = ""


class MissingColumnError(ValueError):
    """The file has no column of the name that was asked for.

    Attributes:
        column: what was asked for.
        header: what there is.
    """

    def __init__(self, path: Path, field: str, column: str, header: Sequence[str]) -> None:
        remedy = f"name one of {', '.join(header)} as in --columns {field}=…"
        super().__init__(f"{path}: there is no column {column!r}: {remedy}")
        self.column, self.header = column, tuple(header)


def read_columns(columns: str) -> dict[str, str]:
    """Field of an opinion -> column of a file, from a text such as `text=内容,title=标题`.

    Raises:
        ValueError: a field is named without a column.
    """
    pairs = [pair.partition("=") for pair in columns.split(",") if pair.strip()]
    for field, _, column in pairs:
        if not column.strip():
            raise ValueError(f"--columns {columns}: {field!r} names no column: write text=内容")
    return {field.strip(): column.strip() for field, _, column in pairs}


def read_rows(path: Path, columns: Mapping[str, str], encoding: str = "utf-8-sig") -> Iterator[Row]:
    """The rows of a .csv, .xlsx (first sheet) or .jsonl file, without the blank ones.

    Args:
        columns: field of an opinion -> column of the file, where the names differ.
        encoding: of a CSV file.

    Raises:
        ValueError: the file as a whole cannot be read; names the remedy.
    """
    for field in columns:
        if field not in FIELDS:
            raise ValueError(f"columns: unknown field {field!r}: use {', '.join(FIELDS)}")
    match path.suffix.lower():
        case ".csv":
            return _read_csv(path, columns, encoding)
        case ".xlsx":
            return _read_table(path, _xlsx_cells(path), columns)
        case ".jsonl":
            return _read_jsonl(path, columns)
    raise ValueError(f"{path}: unknown ending {path.suffix!r}: use .csv, .xlsx or .jsonl")


def _read_jsonl(path: Path, columns: Mapping[str, str]) -> Iterator[Row]:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                values = json.loads(line.decode("utf-8-sig"))
            except (ValueError, RecursionError):
                shown = line.decode(errors="replace").rstrip("\r\n")
                yield Row(number, {"row": shown}, fault="the row is not JSON in UTF-8")
                continue
            if isinstance(values, dict):
                yield Row(number, values, _pick(values, columns))
            else:
                yield Row(number, {"row": values}, values)


def _read_csv(path: Path, columns: Mapping[str, str], encoding: str) -> Iterator[Row]:
    """Bytes that are not in the encoding come as surrogates, so that they spoil one row only."""
    csv.field_size_limit(sys.maxsize)  # a text too long is the fault of its own row
    fault = f"not in {encoding}: name the encoding, such as gb18030"
    try:
        file = path.open(encoding=encoding, errors="surrogateescape", newline="")
    except LookupError:
        raise ValueError(f"encoding {encoding!r} is unknown: use utf-8-sig or gb18030") from None
    with file:
        cells = _csv_cells(path, file)
        first = next(cells, (1, []))
        if _holds_surrogates(first[1]):
            raise ValueError(f"{path}: the header is {fault}")
        for row in _read_table(path, chain([first], cells), columns):
            broken = _holds_surrogates(row.values.values())
            yield replace(row, fault=f"the row is {fault}") if broken else row


def _csv_cells(path: Path, lines: Iterable[str]) -> Iterator[tuple[int, Sequence[object]]]:
    table = csv.reader(lines)
    while True:
        line = table.line_num + 1  # a quoted cell may run over several lines
        try:
            yield line, next(table)
        except StopIteration:
            return
        except csv.Error as error:
            raise ValueError(f"{path}: line {line}: {error}: save it as CSV anew") from None


def _xlsx_cells(path: Path) -> Iterator[tuple[int, Sequence[object]]]:
    """Row by row: a small workbook may unpack to a great many cells."""
    faults = (BadZipFile, InvalidFileException, ParseError, KeyError, IndexError, ValueError)
    try:
        book = load_workbook(path, read_only=True, data_only=True)
        with closing(book):
            yield from enumerate(book.worksheets[0].iter_rows(values_only=True), start=1)
    except faults as error:
        raise ValueError(f"{path}: {error}: no workbook, save it as .xlsx anew") from None


def _read_table(
    path: Path, rows: Iterable[tuple[int, Sequence[object]]], columns: Mapping[str, str]
) -> Iterator[Row]:
    """Rows under a header, every cell read as text."""
    header: list[str] = []
    for line, cells in rows:
        texts = ["" if cell is None else str(cell) for cell in cells]
        if not any(text.strip() for text in texts):
            continue
        if not header:
            header = _read_header(path, texts, columns)
            continue
        names = header + [f"column_{i + 1}" for i in range(len(header), len(texts))]
        values = dict(zip(names, texts + [""] * (len(names) - len(texts)), strict=True))
        fault = ""
        if any(texts[len(header) :]):
            fault = f"{len(texts)} cells under {len(header)} columns: quote cells that hold commas"
        # An empty cell says nothing, except that the text is empty.
        said = {name: text for name, text in values.items() if text.strip()}
        yield Row(line, values, {"text": ""} | _pick(said, columns), fault)


def _read_header(path: Path, texts: list[str], columns: Mapping[str, str]) -> list[str]:
    header = [text.strip() or f"column_{i}" for i, text in enumerate(texts, start=1)]
    for name in header:
        if header.count(name) > 1:
            raise ValueError(f"{path}: column {name!r} stands twice: rename one")
    for field, column in ({"text": "text"} | dict(columns)).items():
        if column not in header:
            raise MissingColumnError(path, field, column, header)
    return header


def _pick(values: Mapping[str, object], columns: Mapping[str, str]) -> dict[str, object]:
    """The fields of an opinion among all values of its row."""
    places = {field: columns.get(field, field) for field in FIELDS}
    return {field: values[column] for field, column in places.items() if column in values}


def _holds_surrogates(cells: Iterable[object]) -> bool:
    return any("\ud800" <= character <= "\udfff" for cell in cells for character in str(cell))
