"""Temperature and thresholds, checked on data whose truth is known."""

import numpy as np
import pytest
from scipy.stats import binom

from training.calibrate import (
    ALWAYS,
    FEWEST_URGENT,
    NEVER,
    PUT_ASIDE,
    TARGET_ERROR,
    Danger,
    clopper_pearson_upper,
    fit_auto,
    fit_out_of_scope,
    fit_temperature,
    fit_urgent,
)


def draw(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores whose truth is known: a prediction scored s is wrong with probability 1 - s."""
    rng = np.random.default_rng(seed)
    scores = rng.beta(4, 1, n)
    return scores.astype(np.float32), rng.random(n) > scores


def test_clopper_pearson_bound_is_exact() -> None:
    upper = clopper_pearson_upper(3, 100)
    assert binom.cdf(3, 100, upper) == pytest.approx(0.05)
    assert clopper_pearson_upper(0, 59) == pytest.approx(0.0495, abs=1e-3)
    assert clopper_pearson_upper(5, 5) == 1.0


def test_temperature_of_overconfident_logits_is_found() -> None:
    rng = np.random.default_rng(1)
    logits = rng.normal(size=(4000, 6)).astype(np.float32) * 2
    # The largest of logits plus Gumbel noise is a draw from their softmax.
    wanted = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
    assert fit_temperature(logits * 3, wanted) == pytest.approx(3, rel=0.1)


def test_auto_threshold_keeps_the_error_in_fresh_draws() -> None:
    """Of 200 calibrations at most 5 % may break the target on unseen data; 9 % allows for luck."""
    unseen_scores, unseen_wrong = draw(100_000, seed=0)
    broken = 0
    for seed in range(1, 201):
        bound = fit_auto(*draw(700, seed))
        taken = unseen_scores >= bound.threshold
        broken += bool(taken.any() and unseen_wrong[taken].mean() > TARGET_ERROR)
    assert broken <= 18


def test_auto_stops_where_a_hard_kind_of_opinion_passes_the_target() -> None:
    scores = np.linspace(1, 0, 2000, dtype=np.float32)
    groups = np.where(np.arange(2000) % 4 == 0, "hard", "easy")
    wrong = (groups == "hard") & (np.arange(2000) >= 800) & (np.arange(2000) % 16 == 0)
    assert fit_auto(scores, wrong).chosen == 2000  # 75 wrong of 2,000
    bound = fit_auto(scores, wrong, groups=groups)
    taken = scores >= bound.threshold
    assert 800 < bound.chosen < 1500
    assert wrong[taken & (groups == "hard")].mean() <= TARGET_ERROR


def test_auto_never_without_evidence() -> None:
    scores = np.full(40, 0.99, dtype=np.float32)
    assert fit_auto(scores, np.zeros(40, dtype=bool)).threshold == NEVER
    wrong = np.ones(400, dtype=bool)
    assert fit_auto(np.linspace(0, 1, 400, dtype=np.float32), wrong).threshold == NEVER


def test_auto_takes_all_of_a_faultless_model() -> None:
    scores = np.linspace(0.5, 1, 400, dtype=np.float32)
    bound = fit_auto(scores, np.zeros(400, dtype=bool))
    assert bound.threshold == pytest.approx(0.5, abs=0.01)
    assert bound.wrong == 0


def test_urgency_reaches_its_recall_with_the_best_precision() -> None:
    probs = np.array([0.9] * 30 + [0.4] * 8 + [0.1] * 2 + [0.5] * 10 + [0.05] * 200, np.float32)
    urgent = np.arange(250) < 40
    has_phrase = (probs == np.float32(0.4)) | (np.arange(250) >= 240)
    found = fit_urgent(Danger(probs, has_phrase, urgent))
    # The ten at 0.5 are kept out, the eight at 0.4 let in by their phrase.
    assert found.alone == pytest.approx(0.9)
    assert 0.05 < found.with_phrase <= np.float32(0.4)
    assert found.recall == pytest.approx(0.95)
    assert found.precision == 1.0


def test_few_urgent_rows_leave_urgency_to_the_phrases() -> None:
    probs = np.linspace(0, 1, 100, dtype=np.float32)
    found = fit_urgent(Danger(probs, np.zeros(100, bool), np.arange(100) < FEWEST_URGENT - 1))
    assert (found.alone, found.with_phrase) == (NEVER, ALWAYS)


def test_out_of_scope_puts_few_resident_matters_aside() -> None:
    scores = np.zeros(700, dtype=np.float32)
    resident = np.ones(700, dtype=bool)
    resident[:30] = False
    scores[:30] = 0.9
    scores[30:42] = 0.6  # twelve resident matters that look a little like none
    bound = fit_out_of_scope(scores, resident)
    assert 0.6 < bound.threshold <= 0.9
    assert bound.upper_bound <= PUT_ASIDE
