"""Readings to token ids, the same way in training and in service."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

HEAD_SHARE = 0.75  # of a text that is too long, this share is read from its beginning


@dataclass(frozen=True)
class Encoded:
    """One reading as the encoder takes it.

    Attributes:
        ids: token ids with the two special tokens around them.
        offsets: for each id the (start, end) code points in the reading; (0, 0) for specials.
        truncated: whether the middle was left out.
    """

    ids: list[int]
    offsets: list[tuple[int, int]]
    truncated: bool


class Reader:
    """Turns readings into token ids of at most `max_tokens`, keeping head and tail.

    Raises:
        ValueError: the tokenizer does not put exactly one special token at each end.
    """

    def __init__(self, tokenizer: Tokenizer, max_tokens: int) -> None:
        frame = tokenizer.encode("").ids
        if len(frame) != 2:
            raise ValueError(
                f"tokenizer: frames a text with {len(frame)} special tokens, expected 2 (BERT "
                "style); choose a BERT-like backbone"
            )
        self.tokenizer = tokenizer
        self.max_tokens = max_tokens
        self._first, self._last = frame

    @classmethod
    def load(cls, path: Path, max_tokens: int) -> "Reader":
        """Read `tokenizer.json`, ignoring any truncation or padding saved in it."""
        tokenizer = Tokenizer.from_file(str(path))
        tokenizer.no_truncation()
        tokenizer.no_padding()
        return cls(tokenizer, max_tokens)

    def encode(self, readings: Sequence[str]) -> list[Encoded]:
        """Token ids of each reading, in order."""
        return [
            self._cut(encoding.ids, encoding.offsets)
            for encoding in self.tokenizer.encode_batch(list(readings), add_special_tokens=False)
        ]

    def _cut(self, ids: list[int], offsets: list[tuple[int, int]]) -> Encoded:
        room = self.max_tokens - 2
        truncated = len(ids) > room
        if truncated:
            head = round(room * HEAD_SHARE)
            tail = room - head
            ids = ids[:head] + ids[-tail:]
            offsets = offsets[:head] + offsets[-tail:]
        return Encoded([self._first, *ids, self._last], [(0, 0), *offsets, (0, 0)], truncated)


def pad(batch: Sequence[list[int]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Stack token ids of different lengths.

    Returns:
        input_ids and attention_mask, both (N, longest), int64.
    """
    longest = max(map(len, batch))
    input_ids = np.zeros((len(batch), longest), dtype=np.int64)
    attention_mask = np.zeros_like(input_ids)
    for row, ids in enumerate(batch):
        input_ids[row, : len(ids)] = ids
        attention_mask[row, : len(ids)] = 1
    return input_ids, attention_mask
