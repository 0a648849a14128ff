"""The head that tells present danger, and the decision it makes with the phrases."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model.artifact import Calibration
from model.triage import is_urgent
from model.urgency import UrgencyHead

CALIBRATION = Calibration(1.0, 0.3, 0.9, 0.95, 0.7, 0.2, 0.05, 0.95)


def test_probabilities_are_the_logistic_function_of_the_embedding() -> None:
    head = UrgencyHead(np.array([2.0, -1.0], np.float32), 0.5)
    embeddings = np.array([[0.0, 0.5], [1.0, 0.0]], np.float32)
    assert head(embeddings) == pytest.approx([0.5, 1 / (1 + np.exp(-2.5))])


def test_head_survives_its_file(tmp_path: Path) -> None:
    UrgencyHead(np.array([2.0, -1.0], np.float32), 0.5).save(tmp_path / "urgency.npz")
    head = UrgencyHead.load(tmp_path / "urgency.npz")
    assert (head.weights.tolist(), head.bias) == ([2.0, -1.0], 0.5)


@pytest.mark.parametrize("content", [b"", b"no archive"])
def test_broken_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "urgency.npz").write_bytes(content)
    with pytest.raises(ValueError, match=r"urgency\.npz: no weights of urgency"):
        UrgencyHead.load(tmp_path / "urgency.npz")


def test_weights_of_another_shape_are_refused(tmp_path: Path) -> None:
    UrgencyHead(np.zeros((2, 2), np.float32), 0.0).save(tmp_path / "urgency.npz")
    with pytest.raises(ValueError, match=r"weights are \(2, 2\)"):
        UrgencyHead.load(tmp_path / "urgency.npz")


@pytest.mark.parametrize(
    ("danger", "has_phrase", "urgent"),
    [(0.7, False, True), (0.69, False, False), (0.2, True, True), (0.19, True, False)],
)
def test_a_phrase_lowers_the_threshold(danger: float, has_phrase: bool, urgent: bool) -> None:
    assert is_urgent(CALIBRATION, danger, has_phrase) is urgent


def test_without_a_threshold_for_the_head_the_phrase_decides() -> None:
    phrases_only = replace(CALIBRATION, urgent_threshold=2.0, urgent_threshold_phrase=1e-6)
    assert not is_urgent(phrases_only, 1.0, has_phrase=False)
    assert is_urgent(phrases_only, 0.01, has_phrase=True)
