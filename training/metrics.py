"""Measures of a classifier on judged opinions; every one over the full label list."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import f1_score, precision_recall_fscore_support

from model.labels import Taxonomy
from model.prediction import Prediction

LENGTHS = ((0, 25), (25, 80), (80, 200), (200, 500), (500, 1_000_000))  # characters
BINS = 10


@dataclass(frozen=True)
class Judged:
    """An opinion with the answer that people gave.

    Attributes:
        text: as it came.
        primary: the acceptable primary codes, the preferred one first.
        labels: all codes, primary first.
        channel: how it came in, "" where unknown.
        urgent: whether people are in danger now.
    """

    text: str
    primary: tuple[str, ...]
    labels: tuple[str, ...]
    channel: str
    urgent: bool


def share(hits: Sequence[bool] | NDArray[np.bool_]) -> float | None:
    """Share of true values, None of an empty list."""
    return round(float(np.mean(hits)), 4) if len(hits) else None


def expected_calibration_error(
    scores: NDArray[np.float64], right: NDArray[np.bool_]
) -> tuple[float, list[dict[str, float]]]:
    """ECE over BINS equal-width bins, and the reliability table (score, accuracy, n) behind it."""
    table = []
    error = 0.0
    for low in np.arange(BINS) / BINS:
        inside = (scores > low) & (scores <= low + 1 / BINS)
        if inside.any():
            score, accuracy = float(scores[inside].mean()), float(right[inside].mean())
            table.append({"score": score, "accuracy": accuracy, "n": int(inside.sum())})
            error += abs(score - accuracy) * inside.mean()
    return float(error), table


def choose_primary(judged: Sequence[Judged], predicted: Sequence[str]) -> list[str]:
    """The true code of each row: the predicted one where it is acceptable, else the preferred."""
    return [
        code if code in row.primary else row.primary[0]
        for row, code in zip(judged, predicted, strict=True)
    ]


def score_labels(judged: Sequence[Judged], predicted: Sequence[str], taxonomy: Taxonomy) -> Any:
    """Accuracy, F1 and the measures per category and domain of single predicted codes."""
    codes = list(taxonomy.codes)
    true = choose_primary(judged, predicted)
    right = np.array([t == p for t, p in zip(true, predicted, strict=True)])
    domain = {code: taxonomy.category(code).domain for code in codes}
    same_domain = [domain[t] == domain[p] for t, p in zip(true, predicted, strict=True)]
    precision, recall, f1, support = precision_recall_fscore_support(
        true, predicted, labels=codes, zero_division=0
    )
    # A category without a single true row has no F1; it is listed, not averaged.
    seen = [code for code, n in zip(codes, support, strict=True) if n]
    return {
        "n": len(judged),
        "primary_accuracy": share(right),
        "domain_accuracy": share(same_domain),
        "macro_f1": round(
            float(f1_score(true, predicted, labels=seen, average="macro", zero_division=0)), 4
        ),
        "micro_f1": round(
            float(f1_score(true, predicted, labels=codes, average="micro", zero_division=0)), 4
        ),
        "per_category": {
            code: {
                "precision": round(float(precision[i]), 4),
                "recall": round(float(recall[i]), 4),
                "f1": round(float(f1[i]), 4),
                "support": int(support[i]),
            }
            for i, code in enumerate(codes)
        },
        "per_domain": {
            d.code: {
                "accuracy": share(
                    [ok for ok, t in zip(same_domain, true, strict=True) if domain[t] == d.code]
                ),
                "support": sum(domain[t] == d.code for t in true),
            }
            for d in taxonomy.domains
        },
    }


def score_predictions(
    judged: Sequence[Judged],
    predictions: Sequence[Prediction],
    taxonomy: Taxonomy,
    lead: Callable[[str], str],
) -> dict[str, Any]:
    """Everything a report says of a model.

    Args:
        judged: the opinions with their answers, N.
        predictions: the model's, N, with at least three candidates each.
        taxonomy: the label space.
        lead: the lead department of a category.
    """
    predicted = [p.labels[0].code for p in predictions]
    true = choose_primary(judged, predicted)
    right = np.array([t == p for t, p in zip(true, predicted, strict=True)])
    scores = np.array([p.labels[0].score for p in predictions])
    error, reliability = expected_calibration_error(scores, right)
    top = [
        any(c.code in row.primary for c in p.candidates[:3])
        for row, p in zip(judged, predictions, strict=True)
    ]
    routed = [
        lead(code) in {lead(c) for c in row.primary}
        for row, code in zip(judged, predicted, strict=True)
    ]
    named = [{label.code for label in p.labels} for p in predictions]
    hits = sum(len(n & set(row.labels)) for n, row in zip(named, judged, strict=True))
    total = sum(map(len, named)) + sum(len(row.labels) for row in judged)
    auto = np.array([p.decision == "auto" for p in predictions])
    carried = np.array(
        [c in (*r.primary, *r.labels) for c, r in zip(predicted, judged, strict=True)]
    )
    aside = np.array([p.decision == "out_of_scope" for p in predictions])
    return score_labels(judged, predicted, taxonomy) | {
        "top3_accuracy": share(top),
        "routing_accuracy": share(routed),
        "multi_label_micro_f1": round(2 * hits / total, 4),
        "truncated": share([p.truncated for p in predictions]),
        "calibration": {"ece": round(error, 4), "reliability": reliability},
        "decisions": {
            "auto_coverage": share(auto),
            "auto_error": share(~carried[auto]),
            "auto_primary_error": share(~right[auto]),
            "out_of_scope_coverage": share(aside),
            "out_of_scope_error": share(~right[aside]),
        },
        "by_length": {
            f"{low}-{high - 1}" if high < 1_000_000 else f"{low}+": {
                "accuracy": share(
                    [r for r, row in zip(right, judged, strict=True) if low <= len(row.text) < high]
                ),
                "n": sum(low <= len(row.text) < high for row in judged),
            }
            for low, high in LENGTHS
        },
        "by_channel": {
            channel: {
                "accuracy": share(
                    [r for r, row in zip(right, judged, strict=True) if row.channel == channel]
                ),
                "n": sum(row.channel == channel for row in judged),
            }
            for channel in sorted({row.channel for row in judged})
        },
    }
