"""A linear vote of character n-grams, added to the encoder's logits.

The encoder reads meaning, the n-grams remember words; their errors differ. Unlike the encoder they
read a text of any length to its end.
"""

import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

BUCKETS = 2**18  # n-grams are hashed; with this many few of them meet
HIDDEN = "\0"  # stands for a character that is not to be read; `Opinion.reading` never holds it
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # 2**64 over the golden ratio: Knuth's hash
Floats = NDArray[np.float32]


def hash_ngrams(text: str) -> tuple[NDArray[np.int64], Floats]:
    """Buckets of the characters and character pairs of a text, with their log counts.

    Returns:
        Distinct buckets in [0, BUCKETS), ascending, and 1 + log(count) of each.
    """
    characters = np.frombuffer(text.encode("utf-32-le"), dtype="<u4").astype(np.uint64)
    readable = characters != ord(HIDDEN)
    pairs = (characters[:-1] << np.uint64(21)) | characters[1:]
    kept = np.concatenate([characters[readable], pairs[readable[:-1] & readable[1:]]])
    shift = np.uint64(64 - (BUCKETS - 1).bit_length())
    found, counts = np.unique((kept * _MULTIPLIER) >> shift, return_counts=True)
    return found.astype(np.int64), (1.0 + np.log(counts)).astype(np.float32)


class NgramVotes:
    """Weights of hashed n-grams.

    Args:
        weights: (BUCKETS, K) int8.
        scale: logits per unit of weight, (K,).
        idf: inverse document frequency of each bucket, 0 for one that does not count, (BUCKETS,).
        bias: (K,).
    """

    def __init__(
        self, weights: NDArray[np.int8], scale: Floats, idf: NDArray[np.float16], bias: Floats
    ) -> None:
        self.weights = weights
        self.scale = scale
        self.idf = idf
        self.bias = bias

    @classmethod
    def load(cls, path: Path, n_labels: int) -> "NgramVotes":
        """Read what `save` wrote.

        Raises:
            ValueError: the file is no such archive, or is made for another number of labels.
        """
        try:
            with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
                votes = cls(file["weights"], file["scale"], file["idf"], file["bias"])
        except (KeyError, ValueError, EOFError, TypeError, zipfile.BadZipFile) as error:
            raise ValueError(f"{path}: no n-gram weights ({error}); export again") from None
        if votes.weights.shape != (BUCKETS, n_labels):
            raise ValueError(
                f"{path}: weights are {votes.weights.shape}, expected {(BUCKETS, n_labels)}; "
                "export again"
            )
        return votes

    def save(self, path: Path) -> None:
        """Write the weights, compressed, without pickle."""
        np.savez_compressed(
            path, weights=self.weights, scale=self.scale, idf=self.idf, bias=self.bias
        )

    def __call__(self, texts: Sequence[str]) -> Floats:
        """What each text's n-grams add to its logits, (N, K)."""
        return np.stack([self._vote(text) for text in texts])

    def _vote(self, text: str) -> Floats:
        buckets, counts = hash_ngrams(text)
        values = counts * self.idf[buckets].astype(np.float32)
        known = values > 0
        length = float(np.linalg.norm(values))
        if not length:
            return self.bias
        votes = values[known] @ self.weights[buckets[known]].astype(np.float32)
        return np.asarray(votes * self.scale / length + self.bias, dtype=np.float32)
