"""How likely people are in danger now: a linear head on the encoder's embedding."""

import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


class UrgencyHead:
    """Logistic regression on the pooled embedding.

    Args:
        weights: (H,).
        bias: in logits.
    """

    def __init__(self, weights: Floats, bias: float) -> None:
        self.weights = weights
        self.bias = bias

    @classmethod
    def load(cls, path: Path) -> "UrgencyHead":
        """Read what `save` wrote.

        Raises:
            ValueError: the file is no such archive.
        """
        try:
            with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
                head = cls(file["weights"], float(file["bias"]))
        except (KeyError, ValueError, EOFError, TypeError, zipfile.BadZipFile) as error:
            raise ValueError(f"{path}: no weights of urgency ({error}); export again") from None
        if head.weights.ndim != 1:
            raise ValueError(f"{path}: weights are {head.weights.shape}, expected (H,)")
        return head

    def save(self, path: Path) -> None:
        """Write the weights without pickle."""
        np.savez(path, weights=self.weights, bias=np.float32(self.bias))

    def __call__(self, embeddings: Floats) -> Floats:
        """Probability of present danger, (N,), of embeddings (N, H)."""
        logits = embeddings @ self.weights + self.bias
        return np.asarray(1.0 / (1.0 + np.exp(-logits)), dtype=np.float32)
