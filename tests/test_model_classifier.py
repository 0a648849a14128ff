"""The classifier on a tiny trained artifact: batching, order, decisions, evidence."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model.artifact import load_artifact
from model.classifier import Classifier, softmax
from model.evidence import MAX_SPANS, find_evidence

TEXTS = ["电梯坏了", "路灯不亮，晚上回家害怕" * 9, "停车", "楼下烧烤油烟熏人" * 60, "a", "噪音"]


@pytest.fixture(scope="module")
def classifier(tiny_artifact: Path) -> Classifier:
    return Classifier(load_artifact(tiny_artifact))


def with_thresholds(classifier: Classifier, **thresholds: float) -> Classifier:
    """A copy of the classifier with other thresholds."""
    artifact = classifier.artifact
    calibration = replace(artifact.calibration, **thresholds)
    return Classifier(replace(artifact, calibration=calibration))


def test_order_is_kept_whatever_the_lengths(classifier: Classifier) -> None:
    together = classifier.predict(TEXTS)
    for text, prediction in zip(TEXTS, together, strict=True):
        (alone,) = classifier.predict([text])
        assert alone.labels[0].code == prediction.labels[0].code
        # int8 scales activations by the batch, so a little of a score depends on company
        assert alone.labels[0].score == pytest.approx(prediction.labels[0].score, abs=0.1)


def test_many_texts_are_cut_into_several_runs(classifier: Classifier) -> None:
    logits, embeddings = classifier.run(classifier.reader.encode(TEXTS * 40))
    assert logits.shape == (240, 44)
    assert embeddings.shape[0] == 240


def test_no_text_gives_no_prediction(classifier: Classifier) -> None:
    assert classifier.predict([]) == []


def test_scores_are_probabilities(classifier: Classifier) -> None:
    (prediction,) = classifier.predict(["电梯坏了"], top_k=44)
    assert sum(c.score for c in prediction.candidates) == pytest.approx(1, abs=1e-4)
    scores = [c.score for c in prediction.candidates]
    assert scores == sorted(scores, reverse=True)
    assert prediction.labels[0] == prediction.candidates[0]


def test_long_text_is_reported_as_truncated(classifier: Classifier) -> None:
    short, long = classifier.predict(["停水了", "停水了" * 400])
    assert not short.truncated
    assert long.truncated


def test_decision_follows_the_thresholds(classifier: Classifier) -> None:
    (candidate,) = classifier.predict(["电梯坏了"])
    score = candidate.labels[0].score
    low = with_thresholds(classifier, auto_threshold=score * 0.9, out_of_scope_threshold=1e-6)
    high = with_thresholds(classifier, auto_threshold=2.0, out_of_scope_threshold=2.0)
    assert low.predict(["电梯坏了"])[0].decision in ("auto", "out_of_scope")
    assert high.predict(["电梯坏了"])[0].decision == "review"


def test_label_threshold_bounds_the_labels(classifier: Classifier) -> None:
    assert len(with_thresholds(classifier, label_threshold=1e-9).predict(TEXTS)[0].labels) == 3
    assert len(with_thresholds(classifier, label_threshold=1.0).predict(TEXTS)[0].labels) == 1


def test_temperature_softens_scores() -> None:
    logits = np.array([[3.0, 1.0, 0.0]], dtype=np.float32)
    assert softmax(logits, 2.0).max() < softmax(logits).max()
    assert softmax(logits, 2.0).sum() == pytest.approx(1)


def test_softmax_of_huge_logits_is_finite() -> None:
    assert np.isfinite(softmax(np.array([[1e4, -1e4]], dtype=np.float32))).all()


def test_evidence_spans_stand_in_the_reading(classifier: Classifier) -> None:
    reading = "三号楼电梯又困人了，物业电话没人接，🙂门口也乱停车。"
    code = classifier.predict([reading])[0].labels[0].code
    spans = find_evidence(classifier, reading, code)
    assert len(spans) <= MAX_SPANS
    for span in spans:
        assert reading[span.start : span.end] == span.text
        assert 0 <= span.weight <= 1


def test_evidence_of_an_unknown_category_is_refused(classifier: Classifier) -> None:
    with pytest.raises(ValueError, match="code = 'ufo' is no category"):
        find_evidence(classifier, "电梯", "ufo")


def test_evidence_of_a_text_of_punctuation_is_empty(classifier: Classifier) -> None:
    assert find_evidence(classifier, "。。。", "noise") == ()
