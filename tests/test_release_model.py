"""The shipped artifact does the main job. Trained weights are needed; nothing else is."""

import json
import resource
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from data.schema import read_opinions
from data.split import load_splits
from model.evidence import find_evidence
from model.text import Opinion
from model.triage import Triage, load_triage

pytestmark = pytest.mark.release
RELEASE = Path("model/release")
MONDAY = datetime(2026, 11, 23, 1, 0, tzinfo=UTC)  # 09:00 in Shanghai


@pytest.fixture(scope="module")
def triage() -> Triage:
    return load_triage(RELEASE, Path("data"))


def test_trapped_in_an_elevator_is_urgent_and_goes_to_market_regulation(triage: Triage) -> None:
    opinion = Opinion("三号楼电梯又困人了，物业电话没人接")
    (answer,) = triage([opinion], [MONDAY], explain=True)
    assert answer.prediction.labels[0].code == "elevator"
    assert answer.prediction.labels[0].score > 0.8
    assert answer.urgent
    assert answer.phrase is not None
    assert answer.phrase.phrase == "困人"
    assert answer.route.lead.name == "区市场监管局"
    assert [department.code for department in answer.route.assist][:1] == ["property"]
    assert answer.route.due_at.isoformat() == "2026-11-23T11:00:00+08:00"
    assert answer.evidence


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("楼下烧烤店的油烟天天往屋里灌，窗户不敢开", "air_pollution"),
        ("小区门口的香樟树枝压到电线了，请派人修剪", "greening"),
        ("孩子今年上小学，学区划到了三公里外，能不能调整", "education"),
        ("交房两年了房产证还办不下来，开发商一直拖", "real_estate"),
        ("工地欠我们二十个人三个月工资，老板电话关机", "labour"),
        pytest.param(
            "健身房倒闭了，年卡的钱不退",
            "consumer",
            marks=pytest.mark.xfail(reason="read as recreation: the gym outweighs the refund"),
        ),
        ("我家水龙头出来的水是黄的", "water_supply"),
        ("希望203路公交车延长到高铁站", "public_transit"),
        ("楼上天天半夜拖椅子，说了也不听", "neighbour_dispute"),
        ("遛狗不牵绳，昨天差点咬到孩子", "pets"),
    ],
)
def test_plain_matters_are_read_right(triage: Triage, text: str, code: str) -> None:
    assert triage.classifier.predict([text])[0].labels[0].code == code


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("我住在三楼，上班很忙，但是楼道里的路灯坏了半个月没人修", "power_lighting", "灯"),
        ("物业经理人很好，可是下水道堵了，污水漫到院子里", "drainage", "水"),
        ("昨天下雨，回家路上看到有人在公园里捕鸟，另外三号楼电梯又困人了", "elevator", "电梯"),
        ("孩子今年六岁，请问报名上小学需要哪些材料", "education", "小学"),
    ],
)
def test_evidence_holds_the_words_that_matter(
    triage: Triage, text: str, code: str, words: str
) -> None:
    spans = find_evidence(triage.classifier, text, code)
    assert spans
    assert words in spans[0].text
    assert len(spans[0].text) < len(text)


@pytest.mark.parametrize(
    "text",
    [
        "SELECT * FROM users; DROP TABLE users; --",
        "<script>alert(1)</script>",
        "The quick brown fox jumps over the lazy dog",
        "asdkjhqwe 12983 zzz",
    ],
)
def test_what_is_no_resident_matter_never_goes_straight_through(triage: Triage, text: str) -> None:
    assert triage.classifier.predict([text])[0].decision != "auto"


def test_full_width_and_traditional_forms_are_read(triage: Triage) -> None:
    full, traditional = triage.classifier.predict(
        ["ＷＩＦＩ信号没有，宽带天天断", "三號樓電梯又困人了，物業電話沒人接"]
    )
    assert full.labels[0].code == "telecom"
    assert traditional.labels[0].code == "elevator"


def test_auto_names_a_category_of_the_opinion_on_the_frozen_test_split(triage: Triage) -> None:
    rows, _ = read_opinions(Path("data/opinions.jsonl"), triage.taxonomy)
    test = load_splits(Path("data/splits.json"), rows)["test"]
    predictions = triage.classifier.predict([Opinion(row.text).reading for row in test])
    auto = [
        p.labels[0].code in row.labels
        for p, row in zip(predictions, test, strict=True)
        if p.decision == "auto"
    ]
    recorded = json.loads((RELEASE / "metrics.json").read_text(encoding="utf-8"))["test"]
    assert len(auto) / len(test) == pytest.approx(recorded["decisions"]["auto_coverage"], abs=0.02)
    assert len(auto) > 0.2 * len(test)
    assert 1 - sum(auto) / len(auto) <= triage.classifier.artifact.calibration.target_error
    assert json.loads((RELEASE / "metrics.json").read_text())["parity"]["same_primary"] >= 0.995


def test_loading_keeps_no_memory_that_only_loading_needed() -> None:
    program = (
        "from pathlib import Path; from model.triage import load_triage; "
        "load_triage(Path('model/release'), Path('data')); "
        "print(Path('/proc/self/statm').read_text().split()[1])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) * resource.getpagesize() < 300 * 2**20


def test_artifact_is_small() -> None:
    assert sum(path.stat().st_size for path in RELEASE.iterdir()) < 36_000_000
