"""The learning curve on a corpus whose answer is known."""

from pathlib import Path

from data.schema import LabelledOpinion
from training.curve import SEEDS, draw_curve, measure_curve
from training.metrics import Judged

CODES = ("elevator", "parking")
WORDS = {"elevator": "电梯故障", "parking": "车位不够"}


def test_more_rows_of_a_learnable_corpus_bring_it_to_certainty(tmp_path: Path) -> None:
    rows = [
        LabelledOpinion(f"{code}-{i}", f"{i}号{word}", (code,), False, "group", "test")
        for code, word in WORDS.items()
        for i in range(64)
    ]
    judged = [
        Judged(f"请修{word}", (code,), (code,), "group", False) for code, word in WORDS.items()
    ]
    curve = measure_curve(rows, judged, CODES)
    assert list(curve) == [16, 32, 64, 96, 128]
    assert all(len(accuracies) == len(SEEDS) for accuracies in curve.values())
    assert curve[128] == [1.0] * len(SEEDS)
    draw_curve(curve, tmp_path / "curve.png")
    assert (tmp_path / "curve.png").stat().st_size > 1000
