"""Fit temperature and decision thresholds on the calibration split of the served graph."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.stats import beta

from data.schema import LabelledOpinion
from model.artifact import Calibration
from model.classifier import OUT_OF_SCOPE, softmax
from training.corpus import primary_ids

TARGET_ERROR = 0.05  # of the decisions taken without a person
CONFIDENCE = 0.95
PUT_ASIDE = 0.01  # of resident matters, called out of scope
FIRST_COVERAGE = 0.2  # the most certain fifth is tested first: a smaller one proves nothing
GROUP_ROWS = 100  # of fewer no error rate can be read off
NEVER = 2.0  # a threshold no score reaches
ALWAYS = 1e-6  # a threshold every score reaches
URGENT_RECALL = 0.95  # of the urgent opinions, to be called urgent
FEWEST_URGENT = 20  # of fewer no threshold can be read off
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Bound:
    """A threshold with the evidence for it on the calibration split."""

    threshold: float
    chosen: int  # predictions at or above the threshold
    wrong: int
    upper_bound: float  # of the share of wrong ones, at CONFIDENCE


def clopper_pearson_upper(wrong: int, n: int, confidence: float = CONFIDENCE) -> float:
    """One-sided upper confidence bound of a share of which `wrong` of `n` were seen."""
    return 1.0 if wrong >= n else float(beta.ppf(confidence, wrong + 1, n - wrong))


def fit_temperature(logits: Floats, wanted: NDArray[np.int64]) -> float:
    """The temperature with the least negative log-likelihood.

    Args:
        logits: (N, K).
        wanted: label id of the primary category, (N,).
    """

    def loss(log_temperature: float) -> float:
        probs = softmax(logits, float(np.exp(log_temperature)))
        return float(-np.log(probs[np.arange(len(wanted)), wanted] + 1e-12).mean())

    return float(np.exp(minimize_scalar(loss, bounds=(-2.0, 2.0), method="bounded").x))


def fit_auto(
    scores: Floats,
    wrong: NDArray[np.bool_],
    target: float = TARGET_ERROR,
    groups: NDArray[np.str_] | None = None,
) -> Bound:
    """The lowest threshold whose error rate is at most `target` with CONFIDENCE.

    Fixed-sequence testing (Learn then Test, Angelopoulos et al. 2021): thresholds are tried from
    high to low, each by an exact binomial test, and the first that fails ends the search, so that
    trying many costs no confidence.

    Args:
        scores: score of the primary label, (N,).
        wrong: whether that label is wrong, (N,).
        target: the allowed error rate.
        groups: kinds of opinions, (N,): a threshold also fails where one of them with at least
            GROUP_ROWS rows above it shows an error rate over `target`, so that easy kinds do not
            hide what is done to a hard one.
    """
    order = np.argsort(-scores, kind="stable")
    errors = np.cumsum(wrong[order])
    best = Bound(NEVER, 0, 0, 1.0)
    step = max(1, len(scores) // 100)
    for n in range(max(1, round(len(scores) * FIRST_COVERAGE)), len(scores) + 1, step):
        upper = clopper_pearson_upper(int(errors[n - 1]), n)
        taken = order[:n]
        if upper > target or (
            groups is not None and _over_target(groups[taken], wrong[taken], target)
        ):
            break
        best = Bound(float(scores[order[n - 1]]), n, int(errors[n - 1]), upper)
    return best


def _over_target(groups: NDArray[np.str_], wrong: NDArray[np.bool_], target: float) -> bool:
    """Whether a group with enough rows has more errors than the target allows."""
    return any(
        wrong[groups == group].mean() > target
        for group, n in zip(*np.unique(groups, return_counts=True), strict=True)
        if n >= GROUP_ROWS
    )


def fit_out_of_scope(scores: Floats, resident: NDArray[np.bool_]) -> Bound:
    """The lowest threshold that puts aside at most PUT_ASIDE of the resident matters.

    Args:
        scores: score of `other` where it is the best-scored category, else 0, (N,).
        resident: whether the row is a resident matter, (N,).
    """
    n = int(resident.sum())
    best = Bound(NEVER, 0, 0, 1.0)
    for threshold in np.linspace(0.95, 0.5, 10):
        taken = scores >= threshold
        wrong = int((taken & resident).sum())
        upper = clopper_pearson_upper(wrong, n)
        if upper > PUT_ASIDE:
            break
        best = Bound(float(threshold), int(taken.sum()), wrong, upper)
    return best


def fit_label_threshold(
    probs: Floats, rows: Sequence[LabelledOpinion], codes: Sequence[str]
) -> float:
    """The score from which a further category is named: the one with the best micro-F1."""
    ranked = np.argsort(-probs, axis=1)

    def micro_f1(threshold: float) -> float:
        hits = named = wanted = 0
        for row, order, score in zip(rows, ranked, probs, strict=True):
            labels = {codes[i] for i in order[:3] if i == order[0] or score[i] >= threshold}
            hits += len(labels & set(row.labels))
            named += len(labels)
            wanted += len(row.labels)
        return 2 * hits / (named + wanted)

    return float(max(np.linspace(0.05, 0.5, 46), key=micro_f1))


@dataclass(frozen=True)
class Danger:
    """What there is to fit the thresholds of urgency on, N opinions."""

    probs: Floats  # of the urgency head, (N,)
    has_phrase: NDArray[np.bool_]  # a phrase of present danger stands in the text, (N,)
    urgent: NDArray[np.bool_]  # as a person labelled it, (N,)


@dataclass(frozen=True)
class UrgentThresholds:
    """From which probability an opinion is urgent, with the figures that speak for it."""

    alone: float
    with_phrase: float
    rows: int  # urgent ones
    recall: float
    precision: float


def fit_urgent(danger: Danger) -> UrgentThresholds:
    """The pair of thresholds with the best precision at a recall of URGENT_RECALL.

    With fewer than FEWEST_URGENT urgent opinions the phrases decide alone.
    """
    best = UrgentThresholds(NEVER, ALWAYS, int(danger.urgent.sum()), 0.0, 0.0)
    if best.rows < FEWEST_URGENT:
        return best
    steps = np.unique(danger.probs[danger.urgent])
    for alone in steps:
        for with_phrase in np.append(ALWAYS, steps[steps <= alone]):
            called = danger.probs >= np.where(danger.has_phrase, with_phrase, alone)
            hits = int((called & danger.urgent).sum())
            recall, precision = hits / best.rows, hits / int(called.sum())
            if recall >= URGENT_RECALL and precision > best.precision:
                best = UrgentThresholds(
                    float(alone), float(with_phrase), best.rows, recall, precision
                )
    return best


def calibrate(
    logits: Floats, rows: Sequence[LabelledOpinion], codes: Sequence[str], danger: Danger
) -> tuple[Calibration, dict[str, object]]:
    """Fit everything between logits and decisions.

    Args:
        logits: of the exported graph on the calibration split, (N, K).
        rows: the calibration split, N.
        codes: the K codes in label order.
        danger: may be of more opinions than the calibration split.

    Returns:
        The calibration, and the evidence for it to be kept beside it.
    """
    wanted = primary_ids(rows, codes)
    temperature = fit_temperature(logits, wanted)
    probs = softmax(logits, temperature)
    predicted = probs.argmax(1)
    other = codes.index(OUT_OF_SCOPE) if OUT_OF_SCOPE in codes else -1
    in_scope = predicted != other
    wrong = np.array(
        [codes[i] not in row.acceptable for i, row in zip(predicted, rows, strict=True)]
    )
    rounds = np.array([row.source for row in rows])
    auto = fit_auto(probs.max(1)[in_scope], wrong[in_scope], groups=rounds[in_scope])
    aside = fit_out_of_scope(np.where(in_scope, 0.0, probs.max(1)), wanted != other)
    urgent = fit_urgent(danger)
    calibration = Calibration(
        temperature=temperature,
        label_threshold=fit_label_threshold(probs, rows, codes),
        auto_threshold=auto.threshold,
        out_of_scope_threshold=aside.threshold,
        urgent_threshold=urgent.alone,
        urgent_threshold_phrase=urgent.with_phrase,
        target_error=TARGET_ERROR,
        confidence=CONFIDENCE,
    )
    evidence = {"auto": asdict(auto), "out_of_scope": asdict(aside), "urgent": asdict(urgent)}
    return calibration, {"rows": len(rows), **evidence}
