"""python -m serving classify: one text, lines, tables; bad rows keep their place."""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from typer.testing import CliRunner, Result

from serving.__main__ import cli
from tests.fake_triage import FakeTriage

HEADER = ["编号", "内容", "标题"]
ROWS = [
    ["1", "电梯坏了", ""],
    ["2", "", "停车难"],
    ["3", "", ""],
    ["4", "🙂", ""],
    ["=1+1", "门口的树，挡光\n第二行", ""],
    ["6", "长" * 200_000, ""],
]
COLUMNS = ["--columns", "text=内容,title=标题"]


@pytest.fixture(autouse=True)
def _fake_model(monkeypatch: pytest.MonkeyPatch, triage: FakeTriage) -> None:
    monkeypatch.setattr("serving.__main__.load_triage", lambda *_: triage)


def run(*arguments: str | Path, stdin: str | bytes | None = None) -> Result:
    return CliRunner().invoke(cli, ["classify", *map(str, arguments)], input=stdin)


def outcomes(lines: Sequence[Mapping[str, Any]]) -> list[str]:
    results = [line["result"] for line in lines]
    return [r["labels"][0]["code"] if "labels" in r else r["error"]["type"] for r in results]


def read_lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def write_table(path: Path, rows: Sequence[Sequence[str]], encoding: str = "utf-8-sig") -> Path:
    if path.suffix == ".xlsx":
        book = openpyxl.Workbook()
        for row in rows:
            book.worksheets[0].append([cell[:32_000] or None for cell in row])
        book.save(path)
    else:
        with path.open("w", encoding=encoding, newline="") as file:
            csv.writer(file).writerows(rows)
    return path


def test_one_text_is_answered_as_by_the_api() -> None:
    ended = run("三号楼电梯又困人了")
    assert ended.exit_code == 0
    answer = json.loads(ended.stdout)
    assert answer["labels"][0]["code"] == "elevator"
    assert answer["urgent_match"] == "困人"
    assert "evidence" not in answer


def test_text_without_words_exits_1() -> None:
    ended = run("！？")
    assert ended.exit_code == 1
    assert json.loads(ended.stdout)["error"]["type"] == "no_words"


def test_standard_input_is_answered_line_by_line() -> None:
    ended = run(stdin="电梯坏了\n\n停车难\r\n".encode() + b"\xff\xfe \xe6\xa0\x91")
    lines = read_lines(ended.stdout)
    assert outcomes(lines) == ["elevator", "empty_text", "parking", "greening"]
    assert [line["line"] for line in lines] == [1, 2, 3, 4]
    assert lines[2]["input"] == {"text": "停车难"}
    assert ended.stderr == "4 rows, 1 of them with an error\n"


@pytest.mark.parametrize("suffix", [".csv", ".xlsx"])
def test_tables_keep_every_row_in_order(tmp_path: Path, suffix: str) -> None:
    source = write_table(tmp_path / f"in{suffix}", [HEADER, *ROWS])
    ended = run("--file", source, "--out", tmp_path / "out.jsonl", *COLUMNS)
    assert ended.exit_code == 0, ended.output
    lines = read_lines((tmp_path / "out.jsonl").read_text(encoding="utf-8"))
    assert outcomes(lines) == [
        "elevator",
        "parking",
        "empty_text",
        "no_words",
        "greening",
        "text_too_long",
    ]
    assert [line["line"] for line in lines[:5]] == [2, 3, 4, 5, 6]
    assert lines[4]["input"]["内容"] == "门口的树，挡光\n第二行"
    assert "6 rows, 3 of them with an error" in ended.stderr
    assert "6/6" in ended.stderr


def test_table_out_keeps_columns_and_neutralises_formulas(tmp_path: Path) -> None:
    starts = ["=1+1", "+86 138", "-5", "@SUM(A1)", "\t=1", "＝1+1", "safe"]
    rows = [[start, "电梯坏了", "=HYPERLINK(1)"] for start in starts]
    source = write_table(tmp_path / "in.csv", [[*HEADER, "=x"], *([*r, ""] for r in rows)])
    run("--file", source, "--out", tmp_path / "out.csv", *COLUMNS)
    with (tmp_path / "out.csv").open(encoding="utf-8-sig", newline="") as file:
        table = list(csv.DictReader(file))
    assert [row["编号"] for row in table] == [f"'{s}" for s in starts[:-1]] + ["safe"]
    assert list(table[0])[:4] == [*HEADER, "'=x"]
    assert table[0]["标题"] == "'=HYPERLINK(1)"
    assert table[0]["linsheng_category"] == "elevator"
    assert table[0]["linsheng_lead"] == "区市场监管局"
    assert table[0]["linsheng_error"] == ""


def test_json_lines_that_cannot_be_read_keep_their_place(tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    source.write_bytes(
        '{"text": "电梯坏了", "id": 1}\n'.encode()
        + b"{broken\n\n"
        + b"\xff\xff\n"
        + '"停车难"\n{"text": 5}\n[1]\n{"text": "树\\ud800", "title": null}\n{"id": 9}'.encode()
    )
    for name in ("out.jsonl", "out.csv"):
        ended = run("--file", source, "--out", tmp_path / name)
        assert ended.exit_code == 0, ended.output
    lines = read_lines((tmp_path / "out.jsonl").read_text(encoding="utf-8"))
    assert outcomes(lines) == [
        "elevator",
        "bad_row",
        "bad_row",
        "parking",
        "wrong_type",
        "wrong_type",
        "greening",
        "missing_field",
    ]
    assert [line["line"] for line in lines] == [1, 2, 4, 5, 6, 7, 8, 9]
    assert lines[1]["input"] == {"row": "{broken"}
    assert lines[6]["input"]["text"] == "树\ud800"
    with (tmp_path / "out.csv").open(encoding="utf-8-sig", newline="") as file:
        assert len(list(csv.DictReader(file))) == 8


def test_rows_wider_than_the_header_and_foreign_bytes_spoil_one_row(tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    source.write_bytes("text,标题\n电梯,x,y\n".encode() + b"\xc4\xe3\n" + "停车\n".encode())
    ended = run("--file", source)
    lines = read_lines(ended.stdout)
    assert outcomes(lines) == ["bad_row", "bad_row", "parking"]
    assert lines[0]["input"] == {"text": "电梯", "标题": "x", "column_3": "y"}
    assert "gb18030" in lines[1]["result"]["error"]["message"]


def test_other_encodings_are_named(tmp_path: Path) -> None:
    source = write_table(tmp_path / "in.csv", [["内容"], ["电梯"]], encoding="gb18030")
    assert "gb18030" in run("--file", source, "--columns", "text=内容").stderr
    ended = run("--file", source, "--columns", "text=内容", "--encoding", "gb18030")
    assert outcomes(read_lines(ended.stdout)) == ["elevator"]


@pytest.mark.parametrize(
    ("name", "content", "options", "message"),
    [
        ("in.csv", "内容\n电梯", (), "there is no column 'text': name one of 内容"),
        ("in.csv", "text,text\n1,2", (), "column 'text' stands twice"),
        ("in.csv", "text\n1", ("--columns", "body=text"), "unknown field 'body'"),
        ("in.csv", "text\n1", ("--columns", "text"), "'text' names no column"),
        ("in.csv", "text\n1", ("--encoding", "klingon"), "encoding 'klingon' is unknown"),
        ("in.csv", "text\n1", ("--out", "out.pdf"), "unknown ending '.pdf'"),
        ("in.xlsx", "no workbook", (), "no workbook, save it as .xlsx anew"),
        ("in.pdf", "text", (), "unknown ending '.pdf'"),
    ],
)
def test_file_that_cannot_be_read_ends_with_one_line(
    tmp_path: Path, name: str, content: str, options: tuple[str, ...], message: str
) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    ended = run("--file", tmp_path / name, *options)
    assert ended.exit_code == 1
    assert ended.stdout == ""
    [line] = ended.stderr.splitlines()
    assert line.startswith("error: ")
    assert message in line


def test_input_is_never_overwritten(tmp_path: Path) -> None:
    source = write_table(tmp_path / "in.csv", [["text"], ["电梯"]])
    before = source.read_bytes()
    assert "would overwrite the input" in run("--file", source, "--out", source).stderr
    assert "no such file" in run("--file", tmp_path / "none.csv").stderr.lower()
    assert source.read_bytes() == before
