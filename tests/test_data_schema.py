import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import openpyxl
import pytest

from data.schema import MAX_TEXT, Fault, LabelledOpinion, read_opinions
from model.labels import load_taxonomy

ROOT = Path(__file__).parent.parent
TAXONOMY = load_taxonomy(ROOT / "data" / "taxonomy.yaml")
ROW = {
    "id": "a-1",
    "text": "三号楼电梯又困人了",
    "labels": ["elevator", "property_service"],
    "urgent": True,
    "channel": "group",
    "source": "test",
}
OPINION = LabelledOpinion(
    "a-1", "三号楼电梯又困人了", ("elevator", "property_service"), True, "group", "test"
)


def read(
    path: Path, content: str | bytes, columns: Mapping[str, str] | None = None
) -> tuple[list[LabelledOpinion], list[Fault]]:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_opinions(path, TAXONOMY, columns)


def jsonl(*changes: Mapping[str, object]) -> str:
    return "\n".join(json.dumps(ROW | {"id": f"a-{i}"} | c) for i, c in enumerate(changes, 1))


def write_sheet(path: Path, *rows: list[object]) -> None:
    book = openpyxl.Workbook()
    for row in rows:
        book.worksheets[0].append(row)
    book.save(path)


def test_jsonl_rows_become_opinions(tmp_path: Path) -> None:
    rows, faults = read(tmp_path / "a.jsonl", "\ufeff" + jsonl({}) + "\n\n")
    assert (rows, faults) == ([OPINION], [])


def test_id_and_source_default_to_the_file_and_its_line(tmp_path: Path) -> None:
    row = {key: value for key, value in ROW.items() if key not in ("id", "source")}
    rows, faults = read(tmp_path / "new.jsonl", "\n" + json.dumps(row))
    assert (rows[0].id, rows[0].source, faults) == ("new-2", "new", [])


def test_line_separators_inside_a_text_do_not_end_the_row(tmp_path: Path) -> None:
    row = json.dumps(ROW | {"text": "路灯\u2028不亮"}, ensure_ascii=False)
    rows, faults = read(tmp_path / "a.jsonl", row)
    assert (rows[0].text, faults) == ("路灯\u2028不亮", [])


@pytest.mark.parametrize(
    ("change", "field", "value", "remedy"),
    [
        ({"text": ""}, "text", "''", "non-empty"),
        ({"text": " \n"}, "text", r"' \n'", "non-empty"),
        ({"text": 7}, "text", "7", "non-empty text"),
        ({"text": None}, "text", "missing", "non-empty"),
        ({"text": "电\x00梯"}, "text", r"\x00", "U+0000"),
        ({"text": "电\ud83d梯"}, "text", r"\ud83d", "U+D83D"),
        ({"text": "梯" * (MAX_TEXT + 1)}, "text", "…", "20,001 characters"),
        ({"labels": []}, "labels", "[]", "at least the primary"),
        ({"labels": "elevator"}, "labels", "'elevator'", "a list"),
        ({"labels": [["elevator"]]}, "labels", "[['elevator']]", "a list"),
        ({"labels": ["elevater"]}, "labels", "['elevater']", "elevator"),
        ({"labels": ["elevator", "elevator"]}, "labels", "elevator", "'elevator' once"),
        ({"labels": ["elevator", "gas", "roads", "pets"]}, "labels", "pets", "at most 3"),
        ({"alternatives": []}, "alternatives", "[]", "leave it out"),
        ({"alternatives": ["parkin"]}, "alternatives", "['parkin']", "parking"),
        ({"urgent": 1}, "urgent", "1", "true or false"),
        ({"urgent": "true"}, "urgent", "'true'", "true or false"),
        ({"channel": "fax"}, "channel", "'fax'", "miniapp"),
        ({"id": 5}, "id", "5", "non-empty text"),
        ({"source": ""}, "source", "''", "non-empty text"),
    ],
)
def test_a_fault_names_its_place_value_and_remedy(
    tmp_path: Path, change: dict[str, object], field: str, value: str, remedy: str
) -> None:
    path = tmp_path / "a.jsonl"
    rows, faults = read(path, jsonl({}, change, {}))
    assert [row.id for row in rows] == ["a-1", "a-3"]
    assert [(fault.file, fault.line, fault.field) for fault in faults] == [(str(path), 2, field)]
    assert value in faults[0].value
    assert remedy in faults[0].remedy
    str(faults[0]).encode()  # whatever stood in the file, the report can be printed


def test_alternatives_are_acceptable_beside_the_first_label(tmp_path: Path) -> None:
    change = {"labels": ["parking", "roads"], "alternatives": ["traffic"]}
    [row], faults = read(tmp_path / "a.jsonl", jsonl(change))
    assert faults == []
    assert row.acceptable == ("parking", "traffic")


def test_every_fault_of_every_row_is_reported(tmp_path: Path) -> None:
    content = jsonl({"text": "", "urgent": "no", "labels": ["x", "y"]}, {"channel": ""}) + "\n{}"
    _, faults = read(tmp_path / "a.jsonl", content)
    assert [(fault.line, fault.field) for fault in faults] == [
        (1, "text"), (1, "labels"), (1, "labels"), (1, "urgent"), (2, "channel"),
        (3, "text"), (3, "labels"), (3, "urgent"), (3, "channel"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "line", [b"{", b"[1]", b"null", b"\xff\xfe{}", b"[" * 100_000, b"9" * 5000, b"{'text': 1}"]
)
def test_a_line_that_is_no_json_object_is_a_fault(tmp_path: Path, line: bytes) -> None:
    rows, faults = read(tmp_path / "a.jsonl", line + b"\n" + jsonl({}).encode())
    assert [(fault.line, fault.field) for fault in faults] == [(1, "row")]
    assert rows == [OPINION]


def test_an_id_used_before_is_a_fault_even_across_files(tmp_path: Path) -> None:
    taken: dict[str, str] = {}
    for name in ("a.jsonl", "b.jsonl"):
        (tmp_path / name).write_text(jsonl({}, {"id": "a-1"} if name == "a.jsonl" else {}))
    _, first = read_opinions(tmp_path / "a.jsonl", TAXONOMY, taken=taken)
    rows, second = read_opinions(tmp_path / "b.jsonl", TAXONOMY, taken=taken)
    assert [(fault.line, fault.field, fault.value) for fault in first] == [(2, "id", "'a-1'")]
    assert f"{tmp_path / 'a.jsonl'}:1" in second[0].remedy
    assert [row.id for row in rows] == ["a-2"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_csv_is_read_in_the_encodings_that_spreadsheets_write(
    tmp_path: Path, encoding: str
) -> None:
    content = (
        "编号,内容,类别,urgent,channel,source,备注\n"
        'a-1,三号楼电梯又困人了,"elevator, property_service",1,group,test,x\n'
    )
    columns = {"id": "编号", "text": "内容", "labels": "类别"}
    rows, faults = read(tmp_path / "a.csv", content.encode(encoding), columns)
    assert (rows, faults) == ([OPINION], [])


@pytest.mark.parametrize("separator", [",", "，", "、", ";", "；", "/", "|", " / "])
def test_labels_in_a_cell_may_be_codes_or_names(tmp_path: Path, separator: str) -> None:
    content = f'text,labels\n电梯坏了,"电梯故障与维保{separator}property_service"\n'
    rows, faults = read(tmp_path / "a.csv", content)
    assert (rows[0].labels, faults) == (("elevator", "property_service"), [])
    assert (rows[0].id, rows[0].urgent, rows[0].channel) == ("a-2", False, "miniapp")


def test_bad_csv_rows_are_faults_with_the_line_they_begin_at(tmp_path: Path) -> None:
    content = (
        "text,labels,urgent\n"
        '"水管\n漏水",water_supply,否\n'  # lines 2 and 3
        "路灯坏了,太黑,power_lighting,0\n"  # 4: an unquoted comma
        ",,\n"  # 5: blank
        "停水,,maybe\n"  # 6: no label, no flag
        f"{'长' * 200_000},roads,0\n"  # 7: more than the csv module takes
        '"停电"了,power_lighting,0\n'  # 8: a stray quote
        "噪音,noise\n"
        '"没有结尾,noise,0\n'
    )
    rows, faults = read(tmp_path / "a.csv", content)
    assert [row.text for row in rows] == ["水管\n漏水", "噪音"]
    assert [(fault.line, fault.field) for fault in faults] == [
        (4, "row"), (6, "labels"), (6, "urgent"), (7, "row"), (8, "row"), (10, "row"),
    ]  # fmt: skip


def test_xlsx_cells_are_read_as_text(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    write_sheet(
        path,
        ["id", "内容", "labels", "urgent", "channel", "source"],
        ["a-1", "三号楼电梯又困人了", "elevator/property_service", True, "group", "test"],
        [2, 12345, "其他", 0, None, None],
        [None, None, None, None, None, None],
        [3, "停水", "unknown", 2, "letter", None],
    )
    rows, faults = read_opinions(path, TAXONOMY, {"text": "内容"})
    assert rows == [OPINION, LabelledOpinion("2", "12345", ("other",), False, "miniapp", "a")]
    assert [(fault.line, fault.field) for fault in faults] == [(5, "labels"), (5, "urgent")]


@pytest.mark.parametrize(
    ("name", "content", "columns", "message"),
    [
        ("a.txt", b"", {}, "unknown ending '.txt'"),
        ("a.csv", b"", {}, "no header"),
        ("a.csv", b"text,label\n", {}, "no column 'labels' for labels among 'text', 'label'"),
        ("a.csv", b"text,labels\n", {"text": "body"}, "no column 'body' for text"),
        ("a.csv", b"text,labels\n", {"channel": "from"}, "no column 'from' for channel"),
        ("a.csv", b"text,labels,text\n", {}, "column 'text' stands twice"),
        ("a.csv", b"text,labels\n\xff\xff\xff", {}, "neither UTF-8 nor GB18030"),
        ("a.csv", b"text,labels\n", {"txt": "text"}, "unknown field 'txt'"),
        ("a.xlsx", b"not a zip", {}, "not a workbook"),
    ],
)
def test_a_file_that_cannot_be_read_stops_with_one_error(
    tmp_path: Path, name: str, content: bytes, columns: dict[str, str], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        read(tmp_path / name, content, columns)


def test_a_damaged_workbook_is_one_error(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    write_sheet(path, ["text", "labels"], *([f"路灯{i}不亮", "roads"] for i in range(300)))
    sound = path.read_bytes()
    place = sound.index(b"xl/worksheets/sheet1.xml") + 200  # within the compressed rows
    path.write_bytes(sound[:place] + bytes(40) + sound[place + 40 :])
    with pytest.raises(ValueError, match=r"a\.xlsx: .*save it as \.xlsx anew"):
        read_opinions(path, TAXONOMY)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"none\.jsonl: No such file"):
        read_opinions(tmp_path / "none.jsonl", TAXONOMY)


def test_importing_the_schema_leaves_the_training_libraries_unloaded() -> None:
    code = "import sys, data.schema; sys.exit(bool({'datasketch', 'torch'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
