"""The measures of a report, on answers small enough to count by hand."""

from pathlib import Path

import numpy as np
import pytest

from model.labels import load_taxonomy
from model.prediction import Prediction, Scored
from training.metrics import Judged, expected_calibration_error, score_predictions

TAXONOMY = load_taxonomy(Path("data/taxonomy.yaml"))


def judged(text: str, *labels: str, primary: tuple[str, ...] = ()) -> Judged:
    return Judged(text, primary or labels[:1], labels, "letter", False)


def predicted(decision: str, *scored: tuple[str, float]) -> Prediction:
    ranked = tuple(Scored(code, score) for code, score in scored)
    return Prediction(ranked[:1], ranked, decision, False)  # type: ignore[arg-type]


@pytest.fixture
def report() -> dict:
    rows = [
        judged("楼道灯坏了", "power_lighting"),
        judged("半夜打桩" * 10, "noise", "traffic"),
        judged("车位不够", "parking", primary=("parking", "traffic")),
        judged("谢谢", "other"),
    ]
    predictions = [
        predicted("auto", ("power_lighting", 0.9), ("walls", 0.1)),
        predicted("auto", ("air_pollution", 0.8), ("walls", 0.1), ("noise", 0.1)),
        predicted("review", ("traffic", 0.6), ("parking", 0.3)),
        predicted("out_of_scope", ("other", 0.9), ("walls", 0.1)),
    ]
    return score_predictions(rows, predictions, TAXONOMY, lambda code: code[0])


def test_accuracies(report: dict) -> None:
    assert report["primary_accuracy"] == 0.75  # the second acceptable primary counts
    assert report["domain_accuracy"] == 1.0  # noise and air_pollution are both environment
    assert report["top3_accuracy"] == 1.0
    assert report["routing_accuracy"] == 0.75


def test_decisions(report: dict) -> None:
    assert report["decisions"] == {
        "auto_coverage": 0.5,
        "auto_error": 0.5,
        "auto_primary_error": 0.5,
        "out_of_scope_coverage": 0.25,
        "out_of_scope_error": 0.0,
    }


def test_every_category_is_listed(report: dict) -> None:
    assert set(report["per_category"]) == set(TAXONOMY.codes)
    assert report["per_category"]["noise"] == {
        "precision": 0.0,
        "recall": 0.0,
        "f1": 0.0,
        "support": 1,
    }


def test_lengths_and_channels_add_up(report: dict) -> None:
    assert sum(part["n"] for part in report["by_length"].values()) == 4
    assert report["by_channel"]["letter"]["n"] == 4


def test_multi_label_f1(report: dict) -> None:
    # named 4, wanted 5, right: power_lighting and other
    assert report["multi_label_micro_f1"] == pytest.approx(2 * 2 / 9, abs=1e-4)


def test_calibration_error_of_honest_scores_is_small() -> None:
    rng = np.random.default_rng(0)
    scores = rng.uniform(0.05, 1, 20_000)
    error, table = expected_calibration_error(scores, rng.random(20_000) < scores)
    assert error < 0.02
    assert sum(row["n"] for row in table) == 20_000


def test_calibration_error_of_boasting_scores_is_their_excess() -> None:
    error, _ = expected_calibration_error(np.full(100, 0.95), np.arange(100) < 60)
    assert error == pytest.approx(0.35)
