"""Labelled opinions as training reads them: split, as targets, as padded batches."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from data.schema import LabelledOpinion, read_opinions
from data.split import load_splits
from model.labels import Taxonomy, load_taxonomy
from model.text import Opinion
from model.tokens import Reader, pad
from training.config import DataConfig


@dataclass(frozen=True)
class Corpus:
    """The label space and the opinions of each split."""

    taxonomy: Taxonomy
    splits: dict[str, list[LabelledOpinion]]


def load_corpus(config: DataConfig) -> Corpus:
    """Read and split the opinions of a recipe.

    Raises:
        ValueError: a row is faulty, or the split does not name exactly the rows of the file.
    """
    taxonomy = load_taxonomy(Path(config.taxonomy))
    rows, faults = read_opinions(Path(config.opinions), taxonomy)
    if faults:
        first = faults[0]
        raise ValueError(
            f"{first.file}:{first.line}: {first.field} = {first.value!r}: {first.remedy} "
            f"({len(faults)} faults in all; python -m data check lists them)"
        )
    splits = load_splits(Path(config.splits), rows)
    if config.limit:
        splits = {side: _every_nth(members, config.limit) for side, members in splits.items()}
    return Corpus(taxonomy, splits)


def _every_nth(rows: list[LabelledOpinion], limit: int) -> list[LabelledOpinion]:
    """About `limit` rows from all over the file, which is ordered by category."""
    return rows[:: max(1, len(rows) // limit)]


def reading(row: LabelledOpinion) -> str:
    """The text of a row as the model reads it."""
    return Opinion(row.text).reading


def primary_ids(rows: Sequence[LabelledOpinion], codes: Sequence[str]) -> NDArray[np.int64]:
    """Label id of each row's primary category, (N,)."""
    index = {code: i for i, code in enumerate(codes)}
    return np.array([index[row.labels[0]] for row in rows], dtype=np.int64)


def target(labels: Sequence[str], codes: Sequence[str], secondary_share: float) -> list[float]:
    """A row of K probabilities: the primary label's share, the rest to the others evenly."""
    values = [0.0] * len(codes)
    others = labels[1:]
    values[codes.index(labels[0])] = 1.0 - (secondary_share if others else 0.0)
    for code in others:
        values[codes.index(code)] = secondary_share / len(others)
    return values


def batches(
    texts: Sequence[str], reader: Reader, size: int
) -> Iterator[tuple[list[int], tuple[Tensor, Tensor]]]:
    """Padded batches of similar length, each with the places of its texts in `texts`."""
    encoded = [item.ids for item in reader.encode(texts)]
    order = sorted(range(len(texts)), key=lambda i: len(encoded[i]))
    for start in range(0, len(order), size):
        places = order[start : start + size]
        ids, mask = pad([encoded[i] for i in places])
        yield places, (torch.from_numpy(ids), torch.from_numpy(mask))
