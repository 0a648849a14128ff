"""Evidence and the words of danger, marked in a title and text."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from model.prediction import Span
from model.text import Opinion

Mark = Literal["", "evidence", "danger"]


@dataclass(frozen=True)
class Piece:
    """A stretch of a text and what it is marked as, "" for nothing."""

    text: str
    mark: Mark


def mark_words(
    opinion: Opinion, spans: Sequence[Span], phrase: str | None
) -> tuple[list[Piece], list[Piece]]:
    """The title and the text in pieces.

    Args:
        spans: of `opinion.reading`, which joins both by at most one "。".
        phrase: the words of present danger; they outweigh evidence.
    """
    reading = opinion.reading
    marks: list[Mark] = [""] * len(reading)
    for span in spans:
        marks[span.start : span.end] = ["evidence"] * (span.end - span.start)
    at = reading.find(phrase) if phrase else -1
    if phrase and at >= 0:
        marks[at : at + len(phrase)] = ["danger"] * len(phrase)
    start = len(reading) - len(opinion.text)
    return (
        _pieces(opinion.title, marks[: len(opinion.title)]),
        _pieces(opinion.text, marks[start:]),
    )


def _pieces(text: str, marks: list[Mark]) -> list[Piece]:
    pairs = zip(text, marks, strict=True)
    return [
        Piece("".join(character for character, _ in group), mark)
        for mark, group in groupby(pairs, key=lambda pair: pair[1])
    ]
