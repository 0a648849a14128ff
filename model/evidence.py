"""Which words carried a label: occlusion, first of clauses, then of the words in them."""

import re
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from model.classifier import Classifier
from model.ngrams import HIDDEN
from model.prediction import Span
from model.tokens import Encoded

MAX_CLAUSES = 16  # of a longer text neighbouring clauses are hidden together: bounds the work
MAX_SPANS = 3
WINDOW = 3  # tokens hidden together inside a clause
KEEP = 0.5  # spans and words with at least this share of the strongest weight are shown
_CLAUSE = re.compile(r"[^，。！？、；：,.!?;:\s]+")


def find_evidence(classifier: Classifier, reading: str, code: str) -> tuple[Span, ...]:
    """The stretches of `reading` without which the score of `code` falls most.

    A weight is the share of the score that is lost when the stretch is hidden.

    Args:
        classifier: the model.
        reading: an `Opinion.reading`.
        code: the category to explain.

    Returns:
        At most MAX_SPANS spans, heaviest first; none where no stretch matters by itself.

    Raises:
        ValueError: `code` is not among the model's categories.
    """
    codes = classifier.artifact.codes
    if code not in codes:
        raise ValueError(f"code = {code!r} is no category of model {classifier.artifact.version}")
    encoded = classifier.reader.encode([reading])[0]
    label_id = codes.index(code)
    clauses = _clauses(reading, encoded)
    if not clauses:
        return ()
    losses = _losses(classifier, reading, encoded, clauses, label_id)
    order = [int(i) for i in np.argsort(-losses) if losses[i] > 0][:MAX_SPANS]
    spans: list[Span] = []
    for i in order:
        if losses[i] < KEEP * losses[order[0]]:
            break
        tokens = _narrow(classifier, reading, encoded, clauses[i], label_id)
        weight = float(_losses(classifier, reading, encoded, [tokens], label_id)[0])
        start, end = encoded.offsets[tokens[0]][0], encoded.offsets[tokens[-1]][1]
        spans.append(Span(start, end, reading[start:end], round(max(weight, 0.0), 4)))
    return tuple(sorted(spans, key=lambda span: -span.weight))


def _clauses(reading: str, encoded: Encoded) -> list[list[int]]:
    """Token places of each clause, merged to at most MAX_CLAUSES groups."""
    groups = []
    for match in _CLAUSE.finditer(reading):
        tokens = [
            place
            for place, (start, end) in enumerate(encoded.offsets)
            if end > start and start < match.end() and end > match.start()
        ]
        if tokens:
            groups.append(tokens)
    size = -(-len(groups) // MAX_CLAUSES)
    return [list(chain(*groups[i : i + size])) for i in range(0, len(groups), size or 1)]


def _losses(
    classifier: Classifier,
    reading: str,
    encoded: Encoded,
    hidden: list[list[int]],
    label_id: int,
) -> NDArray[np.float32]:
    """Share of the label's score that each group of hidden tokens costs, (len(hidden),)."""
    ids = np.tile(np.array(encoded.ids, dtype=np.int64), (len(hidden) + 1, 1))
    mask = np.ones_like(ids)
    texts = [reading]
    for row, tokens in enumerate(hidden, start=1):
        mask[row, tokens] = 0
        start, end = encoded.offsets[tokens[0]][0], encoded.offsets[tokens[-1]][1]
        texts.append(reading[:start] + HIDDEN * (end - start) + reading[end:])
    logits = classifier.run_masked(ids, mask)[0] + classifier.votes(texts)
    scores = classifier.probs(logits)[:, label_id]
    return np.asarray(1.0 - scores[1:] / scores[0], dtype=np.float32)


def _narrow(
    classifier: Classifier, reading: str, encoded: Encoded, clause: list[int], label_id: int
) -> list[int]:
    """The run of tokens inside a clause that carries most of its weight."""
    if len(clause) <= WINDOW:
        return clause
    windows = [clause[i : i + WINDOW] for i in range(len(clause) - WINDOW + 1)]
    losses = _losses(classifier, reading, encoded, windows, label_id)
    best = int(losses.argmax())
    if losses[best] <= 0:
        return clause
    first = last = best
    while first > 0 and losses[first - 1] >= KEEP * losses[best]:
        first -= 1
    while last < len(windows) - 1 and losses[last + 1] >= KEEP * losses[best]:
        last += 1
    return clause[first : last + WINDOW]
