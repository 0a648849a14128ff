"""Fit the vote of character n-grams and its weight beside the encoder."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, diags_array
from sklearn.preprocessing import normalize
from sklearn.svm import LinearSVC

from data.schema import LabelledOpinion
from model.classifier import softmax
from model.ngrams import BUCKETS, NgramVotes, hash_ngrams
from training.calibrate import fit_temperature
from training.corpus import primary_ids, reading

MIN_ROWS = 2  # an n-gram of a single row says nothing of others
WEIGHTS_TRIED = np.linspace(0.0, 8.0, 17)
Floats = NDArray[np.float32]


def count_ngrams(texts: Sequence[str]) -> csr_array:
    """Log counts of hashed n-grams, (N, BUCKETS)."""
    hashed = [hash_ngrams(text) for text in texts]
    starts = np.cumsum([0, *(len(buckets) for buckets, _ in hashed)], dtype=np.int32)
    return csr_array(
        (
            np.concatenate([counts for _, counts in hashed]),
            np.concatenate([buckets for buckets, _ in hashed], dtype=np.int32),
            starts,
        ),
        shape=(len(texts), BUCKETS),
    )


def fit_votes(rows: Sequence[LabelledOpinion], codes: Sequence[str]) -> NgramVotes:
    """A linear SVM, one against the rest, over TF-IDF of n-grams; its weights stored as int8.

    Args:
        rows: the training split.
        codes: the K codes in label order; one without a row gets no votes.
    """
    counts = count_ngrams([reading(row) for row in rows])
    frequency = np.bincount(counts.indices, minlength=BUCKETS)
    idf = np.log((1 + len(rows)) / (1 + frequency)) + 1
    idf[frequency < MIN_ROWS] = 0
    wanted = primary_ids(rows, codes)
    svm = LinearSVC(C=0.5, random_state=0).fit(normalize(counts @ diags_array(idf)), wanted)
    coefficients, intercepts = svm.coef_, svm.intercept_
    if len(svm.classes_) == 2:  # of two labels scikit-learn keeps one side only
        coefficients = np.concatenate([-coefficients, coefficients])
        intercepts = np.concatenate([-intercepts, intercepts])
    weights = np.zeros((BUCKETS, len(codes)), dtype=np.float32)
    bias = np.full(len(codes), -1.0, dtype=np.float32)  # the margin of a clear no
    weights[:, svm.classes_] = coefficients.T
    bias[svm.classes_] = intercepts
    scale = np.maximum(np.abs(weights).max(axis=0) / 127, 1e-9)
    return NgramVotes(
        np.round(weights / scale).astype(np.int8),
        scale.astype(np.float32),
        idf.astype(np.float16),
        bias,
    )


def fit_weight(logits: Floats, votes: Floats, wanted: NDArray[np.int64]) -> float:
    """The weight of the votes with the least negative log-likelihood at its best temperature.

    Args:
        logits: of the encoder on the validation split, (N, K).
        votes: of the n-grams on the same rows, (N, K).
        wanted: label id of the primary category, (N,).
    """

    def loss(weight: float) -> float:
        both = logits + np.float32(weight) * votes
        probs = softmax(both, fit_temperature(both, wanted))
        return float(-np.log(probs[np.arange(len(wanted)), wanted] + 1e-12).mean())

    return float(min(WEIGHTS_TRIED, key=loss))


def weigh(votes: NgramVotes, weight: float) -> NgramVotes:
    """The same votes, counted `weight` times."""
    factor = np.float32(weight)
    return NgramVotes(votes.weights, votes.scale * factor, votes.idf, votes.bias * factor)
