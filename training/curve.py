"""What more lines of the corpus bring: accuracy of the n-gram votes against the rows they learn.

python -m training curve real.jsonl --out data/learning_curve.png

The votes stand in for the whole model: they are fitted in seconds, it takes most of an hour.
"""

import random
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np

from data.schema import LabelledOpinion
from model.text import Opinion
from training.metrics import Judged
from training.ngrams import fit_votes

mpl.use("Agg")
from matplotlib import pyplot as plt

SHARES = (0.125, 0.25, 0.5, 0.75, 1.0)
SEEDS = (1, 2, 3)


def measure_curve(
    rows: Sequence[LabelledOpinion], judged: Sequence[Judged], codes: Sequence[str]
) -> dict[int, list[float]]:
    """Primary accuracy on `judged` by number of training rows, one figure for each seed.

    Args:
        rows: the training split; each seed takes growing parts of it in an order of its own.
        judged: opinions to measure on.
        codes: the K codes in label order.
    """
    readings = [Opinion(row.text).reading for row in judged]
    found: dict[int, list[float]] = {round(share * len(rows)): [] for share in SHARES}
    for seed in SEEDS:
        order = list(rows)
        random.Random(seed).shuffle(order)
        for n, accuracies in found.items():
            best = fit_votes(order[:n], codes)(readings).argmax(1)
            hits = [codes[i] in row.primary for i, row in zip(best, judged, strict=True)]
            accuracies.append(float(np.mean(hits)))
    return found


def draw_curve(curve: dict[int, list[float]], path: Path) -> None:
    """Mean and range over the seeds as a picture."""
    sizes = sorted(curve)
    figure, axes = plt.subplots(figsize=(7, 4))
    axes.plot(sizes, [np.mean(curve[n]) for n in sizes], marker="o")
    axes.fill_between(
        sizes, [min(curve[n]) for n in sizes], [max(curve[n]) for n in sizes], alpha=0.2
    )
    axes.set_xlabel("training rows")
    axes.set_ylabel("primary accuracy of the n-gram votes")
    axes.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)
