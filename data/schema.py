"""Label files in, labelled opinions and every fault of the file out: JSONL, CSV and XLSX."""

import csv
import io
import json
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from xml.etree.ElementTree import ParseError
from zipfile import BadZipFile

import openpyxl
from openpyxl.utils.exceptions import InvalidFileException

from model.labels import Taxonomy

CHANNELS = ("miniapp", "group", "hotline", "letter", "board")
FIELDS = ("id", "text", "labels", "alternatives", "urgent", "channel", "source")
MAX_TEXT = 20_000  # characters; the longest real message seen has a tenth of it
MAX_LABELS = 3
# JSONL is the project's own format; tables come from elsewhere and may say less.
REQUIRED_KEYS = ("text", "labels", "urgent", "channel")
REQUIRED_COLUMNS = ("text", "labels")
_LABEL_SEPARATORS = re.compile(r"[,，、;；/|]")
_FLAGS = {"1": True, "true": True, "是": True, "0": False, "false": False, "否": False}
# What zipfile, zlib, the XML parser and openpyxl raise on bytes that are no sound workbook.
_BROKEN_WORKBOOK = (
    BadZipFile, zlib.error, EOFError, RuntimeError, OSError, ParseError, InvalidFileException,
    LookupError, ValueError, TypeError, AttributeError,
)  # fmt: skip
_WHEN_EMPTY = {
    "labels": "name at least the primary category",
    "alternatives": "name a category or leave it out",
}
_UNREADABLE = re.compile("[\x00\ud800-\udfff]")


@dataclass(frozen=True)
class LabelledOpinion:
    """An opinion with the categories that a person gave it, the primary one first.

    `alternatives` are codes that a second reader took as the primary one with equal reason.
    """

    id: str
    text: str
    labels: tuple[str, ...]
    urgent: bool
    channel: str
    source: str
    alternatives: tuple[str, ...] = ()

    @property
    def acceptable(self) -> tuple[str, ...]:
        """Codes that are right as the primary one, the first reader's first."""
        return self.labels[:1] + self.alternatives


@dataclass(frozen=True)
class Fault:
    """What is wrong at one place of a label file, and what to change."""

    file: str
    line: int
    field: str
    value: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.field} is {self.value}: {self.remedy}"


class Record(NamedTuple):
    """A row as it stands in the file: its fields by name, or the fault that hides them."""

    line: int
    content: dict[str, object] | Fault


def read_opinions(
    path: Path,
    taxonomy: Taxonomy,
    columns: Mapping[str, str] | None = None,
    taken: MutableMapping[str, str] | None = None,
) -> tuple[list[LabelledOpinion], list[Fault]]:
    """Read a label file; a row with a fault is left out and each of its faults is returned.

    Args:
        path: .jsonl with text, labels, urgent and channel in each row, or .csv or .xlsx (first
            sheet) with at least the columns text and labels. What may be missing becomes id
            "<stem>-<line>", not urgent, channel "miniapp", source "<stem>". Tables may name a
            category by its code or its name.
        taxonomy: the known labels.
        columns: field -> key or column header, where they differ.
        taken: id -> place of the rows read before; extended by the rows of this file.

    Raises:
        ValueError: the file is missing or unreadable, its ending is unknown, a column is missing.
    """
    taken = {} if taken is None else taken
    opinions: list[LabelledOpinion] = []
    faults: list[Fault] = []
    for line, content in read_records(path, columns or {}):
        if isinstance(content, Fault):
            faults.append(content)
            continue
        row = _Row(path, line, content, taxonomy)
        opinion = row.opinion()
        if opinion.id in taken:
            row.fault("id", f"{taken[opinion.id]} has the same one: give each row its own")
        elif opinion.id:
            taken[opinion.id] = f"{path}:{line}"
        faults += row.faults
        if not row.faults:
            opinions.append(opinion)
    return opinions, faults


def read_records(path: Path, columns: Mapping[str, str]) -> Iterator[Record]:
    """The rows of a label file before their fields are checked; blank rows are left out.

    Raises:
        ValueError: as `read_opinions`.
    """
    for field in columns:
        if field not in FIELDS:
            raise ValueError(f"columns: unknown field {field!r}: use {', '.join(FIELDS)}")
    readers = {".jsonl": _read_jsonl, ".csv": _read_csv, ".xlsx": _read_xlsx}
    if path.suffix.lower() not in readers:
        raise ValueError(f"{path}: unknown ending {path.suffix!r}: use {', '.join(readers)}")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}: name a readable file") from error
    return readers[path.suffix.lower()](path, content, columns)


def _read_jsonl(path: Path, content: bytes, columns: Mapping[str, str]) -> Iterator[Record]:
    for line, encoded in enumerate(content.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        if not encoded.strip():
            continue
        try:
            values = json.loads(encoded.decode("utf-8"))
        except (ValueError, RecursionError) as error:
            shown = encoded.decode("utf-8", "replace")
            yield Record(line, _fault(path, line, "row", shown, f"write JSON in UTF-8 ({error})"))
            continue
        if isinstance(values, dict):
            keys = {field: columns.get(field, field) for field in FIELDS}
            yield Record(line, {f: values[key] for f, key in keys.items() if key in values})
        else:
            yield Record(line, _fault(path, line, "row", values, "write a JSON object"))


def _read_csv(path: Path, content: bytes, columns: Mapping[str, str]) -> Iterator[Record]:
    reader = csv.reader(io.StringIO(_decode(path, content), newline=""), strict=True)

    def rows() -> Iterator[tuple[int, list[object] | Fault]]:
        while True:
            line = reader.line_num + 1  # a quoted cell may run over several lines
            try:
                yield line, list(next(reader))
            except StopIteration:
                return
            except csv.Error as error:
                remedy = "close quotes, double those inside a cell, keep cells short"
                yield line, _fault(path, line, "row", str(error), remedy)

    return _read_table(path, rows(), columns)


def _decode(path: Path, content: bytes) -> str:
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise ValueError(f"{path}: neither UTF-8 nor GB18030: save it as UTF-8")


def _read_xlsx(path: Path, content: bytes, columns: Mapping[str, str]) -> Iterator[Record]:
    try:
        book = openpyxl.load_workbook(io.BytesIO(content), read_only=True, data_only=True)
        sheet = book.worksheets[0]
        rows: list[list[object] | Fault] = [list(r) for r in sheet.iter_rows(values_only=True)]
    except _BROKEN_WORKBOOK as error:
        raise ValueError(f"{path}: {error}: not a workbook, save it as .xlsx anew") from error
    return _read_table(path, enumerate(rows, start=1), columns)


def _read_table(
    path: Path, rows: Iterable[tuple[int, list[object] | Fault]], columns: Mapping[str, str]
) -> Iterator[Record]:
    """Rows under a header; blank cells count as missing, all others are read as text."""
    places: dict[str, int] | None = None
    width = 0
    for line, cells in rows:
        if isinstance(cells, Fault):
            yield Record(line, cells)
            continue
        texts = ["" if cell is None else str(cell) for cell in cells]
        if not any(text.strip() for text in texts):
            continue
        if places is None:
            places, width = _columns(path, [text.strip() for text in texts], columns), len(texts)
        elif any(texts[width:]):
            remedy = f"the header has {width} columns: put cells with commas in quotes"
            yield Record(line, _fault(path, line, "row", f"{len(texts)} cells", remedy))
        else:
            named = {f: texts[i] for f, i in places.items() if i < len(texts)}
            yield Record(line, {f: text for f, text in named.items() if text.strip()})
    if places is None:
        raise ValueError(f"{path}: no header: write column names in the first row")


def _columns(path: Path, header: list[str], columns: Mapping[str, str]) -> dict[str, int]:
    """Field -> place of its column."""
    places = {}
    for field in FIELDS:
        name = columns.get(field, field)
        if header.count(name) > 1:
            raise ValueError(f"{path}: column {name!r} stands twice: rename or drop one")
        if name in header:
            places[field] = header.index(name)
        elif field in REQUIRED_COLUMNS or field in columns:
            raise ValueError(
                f"{path}: no column {name!r} for {field} among {', '.join(map(repr, header))}: "
                f"add it or name another with --columns {field}=…"
            )
    return places


class _Row:
    """One row on its way from raw values to an opinion; collects the faults it meets."""

    def __init__(
        self, path: Path, line: int, values: dict[str, object], taxonomy: Taxonomy
    ) -> None:
        self.path, self.line, self.values, self.taxonomy = path, line, values, taxonomy
        self.is_table = path.suffix.lower() != ".jsonl"
        self.faults: list[Fault] = []

    def fault(self, field: str, remedy: str) -> None:
        self.faults.append(_fault(self.path, self.line, field, self.values.get(field), remedy))

    def opinion(self) -> LabelledOpinion:
        """The row's opinion, meaningful where `faults` stays empty."""
        for field in REQUIRED_COLUMNS if self.is_table else REQUIRED_KEYS:
            if field not in self.values:
                self.fault(field, "add it, every row needs one")
        text = self._string("text", "")
        if len(text) > MAX_TEXT:
            self.fault("text", f"{len(text):,} characters: keep at most {MAX_TEXT:,}")
        channel = self._string("channel", CHANNELS[0])
        if channel and channel not in CHANNELS:
            self.fault("channel", f"use {', '.join(CHANNELS)}")
        return LabelledOpinion(
            id=self._string("id", f"{self.path.stem}-{self.line}"),
            text=text,
            labels=self._codes("labels"),
            urgent=self._urgent(),
            channel=channel,
            source=self._string("source", self.path.stem),
            alternatives=self._codes("alternatives") if "alternatives" in self.values else (),
        )

    def _string(self, field: str, default: str) -> str:
        """The field, or `default` where it is missing; "" after a fault."""
        value = self.values.get(field, default)
        if field not in self.values:
            return default
        if not isinstance(value, str) or not value.strip():
            self.fault(field, "write a non-empty text")
        elif found := _UNREADABLE.search(value):
            self.fault(field, f"take out the character U+{ord(found[0]):04X}, it is no text")
        else:
            return value
        return ""

    def _urgent(self) -> bool:
        value = self.values.get("urgent", False)
        if self.is_table and isinstance(value, str):
            value = _FLAGS.get(value.strip().lower(), value)
        if isinstance(value, bool):
            return value
        accepted = "1, 0, 是, 否, true or false" if self.is_table else "true or false, unquoted"
        self.fault("urgent", f"write {accepted}")
        return False

    def _codes(self, field: str) -> tuple[str, ...]:
        value = self.values.get(field, [])
        if self.is_table:
            codes = {self.taxonomy.category(code).name: code for code in self.taxonomy.codes}
            names = [name.strip() for name in _LABEL_SEPARATORS.split(str(value or ""))]
            value = [codes.get(name, name) for name in names if name]
        if not isinstance(value, list) or not all(isinstance(label, str) for label in value):
            self.fault(field, "write a list of category codes")
            return ()
        if not value and field in self.values:
            self.fault(field, _WHEN_EMPTY[field])
        if len(value) > MAX_LABELS:
            self.fault(field, f"{len(value)} labels: keep at most {MAX_LABELS}, primary first")
        for label in dict.fromkeys(value):
            if value.count(label) > 1:
                self.fault(field, f"keep {label!r} once")
            try:
                self.taxonomy.category(label)
            except ValueError as error:
                self.fault(field, str(error))
        return tuple(value)


def _fault(path: Path, line: int, field: str, value: object, remedy: str) -> Fault:
    shown = "missing" if value is None else repr(value)
    return Fault(str(path), line, field, shown if len(shown) <= 60 else f"{shown[:59]}…", remedy)
