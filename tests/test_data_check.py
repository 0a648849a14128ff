import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from data.__main__ import app
from data.check import (
    SHARED_RUN,
    Finding,
    check,
    near_identical,
    read_stock_phrases,
    render,
    shared_runs,
    verdict,
)
from data.schema import LabelledOpinion
from model.labels import load_taxonomy

DATA = Path(__file__).parent.parent / "data"
TAXONOMY = load_taxonomy(DATA / "taxonomy.yaml")
LONG = "七号楼西侧的路灯从上个月开始就一直不亮，晚上接孩子回家要打着手电筒走"
CHANGED = LONG.replace("七号", "八号")
OTHER = "楼下烧烤店每天半夜还在放音乐"


def opinion(id: str, text: str, *labels: str) -> LabelledOpinion:
    return LabelledOpinion(id, text, labels or ("power_lighting",), False, "group", "test")


def find(
    rows: Sequence[LabelledOpinion], title: str, splits: Mapping[str, Sequence[str]] | None = None
) -> Finding:
    (found,) = [f for f in check(rows, [], TAXONOMY, splits) if f.title == title]
    return found


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["check", *map(str, arguments)])


def write(path: Path, *rows: dict[str, object]) -> Path:
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return path


def row(id: str, text: str) -> dict[str, object]:
    return {"id": id, "text": text, "labels": ["gas"], "urgent": False, "channel": "group"}


def test_near_identical_links_texts_over_others_between_them() -> None:
    once, twice = LONG + "，请物业处理", LONG + "，请物业处理，已经说过两次"
    assert near_identical([LONG, OTHER, twice, "停水", once]) == [[0, 2, 4]]


def test_near_identical_ignores_punctuation_width_and_case() -> None:
    assert near_identical(["A栋 3楼停水！", OTHER, "ａ栋3楼，停水"]) == [[0, 2]]


def test_texts_without_letters_are_alike_only_if_equal() -> None:
    assert near_identical(["😀😀", "。。。", "？", "？", ""]) == [[2, 3]]


def test_short_texts_that_differ_are_not_near_identical() -> None:
    assert near_identical(["停电了", "停水了", "三号楼停电", "五号楼停水"]) == []


def test_repeated_texts_are_sorted_into_conflicts_exact_and_near_copies() -> None:
    rows = [
        opinion("a", LONG), opinion("b", CHANGED, "roads"),
        opinion("c", OTHER, "noise"), opinion("d", OTHER + "！", "noise"),
        opinion("e", "小区南门的车棚顶漏雨，充电插座都泡在水里面"),
        opinion("f", "小区北门的车棚顶漏雨，充电插座都泡在水里面"),
    ]  # fmt: skip
    for title, ids in (("conflicts", "ab"), ("exact copies", "cd"), ("near copies", "ef")):
        found = find(rows, title)
        assert (found.level, len(found.lines)) == ("warn", 1)
        assert all(f"{id} [" in found.lines[0] for id in ids)


def test_the_order_of_labels_makes_a_conflict_too() -> None:
    rows = [opinion("a", LONG, "roads", "traffic"), opinion("b", LONG, "traffic", "roads")]
    assert find(rows, "conflicts").level == "warn"


def test_rare_and_missing_labels_are_marked() -> None:
    rows = [opinion(f"n-{i}", f"噪音{i}", "noise") for i in range(40)]
    labels = find([*rows, opinion("a", LONG, "roads", "gas")], "labels")
    assert labels.level == "warn"
    assert labels.summary == "43 of 44 categories have fewer than 30 rows"
    lines = {line.split()[0]: line.split()[1:] for line in labels.lines}
    assert lines["noise"] == ["40", "97.6%", "40"]
    assert lines["roads"] == ["1", "2.4%", "1", "rare"]
    assert lines["gas"] == ["0", "0.0%", "1", "missing"]


def test_imbalance_is_a_warning() -> None:
    rows = [opinion(f"n-{i}", f"噪音{i}", "noise") for i in range(11)]
    balance = find([*rows, opinion("a", LONG, "roads")], "balance")
    assert balance.level == "warn"
    assert balance.summary.startswith("noise has 11.0 times the rows of roads")


def test_lengths_give_median_90th_percentile_and_maximum() -> None:
    rows = [opinion(str(n), "水" * n) for n in range(1, 21)]
    expected = "median 10, 90% up to 18, longest 20 characters"
    assert find(rows, "lengths").summary == expected


def test_splits_must_name_each_row_once_and_keep_near_copies_together() -> None:
    rows = [opinion("a", LONG), opinion("b", CHANGED), opinion("c", OTHER)]
    assert find(rows, "splits", {"train": ["a", "b"], "test": ["c"]}).level == "good"
    broken = find(rows, "splits", {"train": ["a", "x"], "validation": ["a"], "test": ["b"]})
    assert broken.level == "fail"
    proofs = (
        "'a' stands in train and validation", "'x' of train is no row", "'c' is in no split",
        "near-identical across splits",
    )  # fmt: skip
    for line, proof in zip(broken.lines, proofs, strict=True):
        assert proof in line


def test_shared_runs_are_found_whole_whatever_the_punctuation() -> None:
    copied = "路灯从上个月开始就一直不亮晚上接孩子"
    found = shared_runs(
        [OTHER, f"你好：{LONG}"], ["x", "请看——路灯，从上个月 开始就一直不亮、晚上接孩子。"]
    )
    assert found == [(1, 1, copied)]


def test_runs_shorter_than_the_limit_are_not_shared() -> None:
    run = "七号楼西侧的路灯从上个月开始就"[:SHARED_RUN]
    assert shared_runs([run], [f"说{run}话"]) == [(0, 0, run)]
    assert shared_runs([run[:-1] + "甲"], [run[:-1] + "乙"]) == []


def test_stock_phrases_are_no_sign_of_copying() -> None:
    phrases = read_stock_phrases()
    polite = "严重影响周边居民的正常生活和休息，希望有关部门尽快处理！"
    assert shared_runs([f"{OTHER}，{polite}"], [f"修路，{polite}"], phrases) == []
    assert shared_runs([f"{OTHER}，{polite}"], [f"修路，{polite}"]) != []


def test_many_findings_are_counted_after_the_first_fifty() -> None:
    lines = find([opinion("a", LONG)], "splits", {"train": [f"x-{i}" for i in range(60)]}).lines
    assert (len(lines), lines[-1]) == (51, "… and 11 more")


def test_the_verdict_is_the_worst_level_and_the_last_line() -> None:
    findings = [Finding("good", "a", "1"), Finding("warn", "b", "2", ["proof"])]
    assert verdict(findings) == "warn"
    assert render(findings) == ("good  a             1\nwarn  b             2\n      proof\n\nwarn")


def test_a_warning_exits_with_zero(tmp_path: Path) -> None:
    result = run(write(tmp_path / "a.jsonl", row("a", LONG), row("b", LONG)))
    assert (result.exit_code, result.stdout.splitlines()[-1]) == (0, "warn")


def test_schema_faults_of_all_files_fail(tmp_path: Path) -> None:
    first = write(tmp_path / "a.jsonl", row("a", LONG), row("b", ""))
    second = write(tmp_path / "b.jsonl", row("a", OTHER), row("c", "x\ud800") | {"urgent": 1})
    result = run(first, second)
    assert (result.exit_code, result.stdout.splitlines()[-1]) == (1, "fail")
    assert "4 faults in 3 rows; 1 rows without one" in result.stdout
    for place in (f"{first}:2: text", f"{second}:1: id", f"{second}:2: text", f"{second}:2: urg"):
        assert place in result.stdout


def test_a_file_without_rows_fails(tmp_path: Path) -> None:
    result = run(write(tmp_path / "a.jsonl"))
    assert (result.exit_code, result.stdout.splitlines()[-1]) == (1, "fail")


def test_a_text_copied_from_the_other_file_fails(tmp_path: Path) -> None:
    mine = write(tmp_path / "a.jsonl", row("a", OTHER), row("b", LONG))
    other = write(tmp_path / "real.jsonl", {"text": "x"}, {"text": CHANGED})
    result = run(mine, "--against", other)
    assert result.exit_code == 1
    assert f"b and {other}:2 share '号楼西侧的路灯" in result.stdout


def test_columns_map_other_headers(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("内容,类别\n三号楼电梯又困人了,电梯故障与维保\n", encoding="gb18030")
    result = run(path, "--columns", "text=内容, labels=类别")
    assert result.exit_code == 0
    assert "1 rows, no fault" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.jsonl"], "none.jsonl: No such file"),
        (["a.jsonl", "--columns", "text"], "--columns: 'text' is no pair"),
        (["a.jsonl", "--columns", "txt=x"], "unknown field 'txt'"),
        (["a.jsonl", "--splits", "a.jsonl"], "train is no list of ids"),
        (["a.jsonl", "--splits", "none.json"], "none.json"),
        (["a.jsonl", "--against", "none.jsonl"], "none.jsonl: No such file"),
        (["a.jsonl", "--against", "b.jsonl"], "b.jsonl:1: no text"),
    ],
)
def test_what_cannot_be_read_is_one_error_line_and_exit_code_two(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write(Path("a.jsonl"), row("a", LONG))
    write(Path("b.jsonl"), {"body": "x"})
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith("error: ")
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


def test_the_corpus_passes_without_faults() -> None:
    result = run(DATA / "opinions.jsonl", "--splits", DATA / "splits.json")
    assert (result.exit_code, result.stdout.splitlines()[-1]) == (0, "good"), result.stdout
