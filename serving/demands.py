"""Several demands in one opinion (一诉多求): which sentences belong to which of its labels."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from model.classifier import Floats
from model.text import Opinion, has_words
from model.triage import Triage

# A piece whose best score among the labels stays below this says nothing of its own: a greeting,
# a name, "请尽快处理"; it goes with the piece before it.
SPEAKS = 0.3
MAX_PIECES = 64  # of a longer text neighbouring sentences are read together: bounds the work
_SENTENCE = re.compile(r"[^。！？!?；;\n]+[。！？!?；;\n]*|[。！？!?；;\n]+")
_CLAUSE = re.compile(r"[^，,、。！？!?；;\n]+[，,、。！？!?；;\n]*|[，,、。！？!?；;\n]+")


@dataclass(frozen=True)
class Demand:
    """A label and the sentences that speak of it, in the resident's words and order."""

    code: str
    text: str


def propose_demands(
    triage: Triage, reading: str, codes: Sequence[str], received_at: datetime
) -> list[Demand]:
    """Give each sentence to the label that the model sees in it; clauses, where sentences leave a
    label without any.

    Args:
        reading: an `Opinion.reading`.
        codes: the labels to divide it by, the primary one first.

    Returns:
        One demand for each label, in their order. A label that no piece speaks of gets the piece
        in which it scores highest as well, so that no demand is without words.
    """
    if len(codes) < 2:
        return [Demand(code, reading.strip()) for code in codes]
    pieces, owners, scores = _read(triage, _pieces(_SENTENCE, reading), codes, received_at)
    if set(owners) != set(range(len(codes))):
        pieces, owners, scores = _read(triage, _pieces(_CLAUSE, reading), codes, received_at)
    demands = []
    for label, code in enumerate(codes):
        own = [piece for piece, owner in zip(pieces, owners, strict=True) if owner == label]
        own = own or [pieces[int(scores[:, label].argmax())]]
        demands.append(Demand(code, "".join(own).strip()))
    return demands


def _read(
    triage: Triage, pieces: list[str], codes: Sequence[str], received_at: datetime
) -> tuple[list[str], list[int], Floats]:
    """The pieces, the label (0 is the first of `codes`) of each, and their scores, (pieces, codes).

    A piece that says nothing of its own goes with the one before it, at the start with the first
    that does.
    """
    opinions = [Opinion(piece) for piece in pieces]
    read = triage(opinions, [received_at] * len(pieces), top_k=len(triage.taxonomy.codes))
    found = [{c.code: c.score for c in one.prediction.candidates} for one in read]
    scores = np.array([[of.get(code, 0.0) for code in codes] for of in found], dtype=np.float32)
    speaks = scores.max(axis=1) >= SPEAKS
    owner = int(scores[speaks.argmax()].argmax())
    owners = []
    for speaking, score in zip(speaks, scores, strict=True):
        owner = int(score.argmax()) if speaking else owner
        owners.append(owner)
    return pieces, owners, scores


def _pieces(pattern: re.Pattern[str], reading: str) -> list[str]:
    """The text in pieces with words in each, at most MAX_PIECES; joined they are the text."""
    pieces: list[str] = []
    for piece in pattern.findall(reading):
        if pieces and not (has_words(piece) and has_words(pieces[-1])):
            pieces[-1] += piece
        else:
            pieces.append(piece)
    size = -(-len(pieces) // MAX_PIECES) or 1
    return ["".join(pieces[i : i + size]) for i in range(0, len(pieces), size)]
