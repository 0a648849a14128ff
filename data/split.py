"""Share labelled opinions out to train, validation, calibration and test, once and for all."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from random import Random

from data.check import near_identical, split_faults
from data.schema import LabelledOpinion

SHARES = {"train": 0.74, "validation": 0.06, "calibration": 0.10, "test": 0.10}
_SHOWN = 10  # faults named in an error; the rest is counted


def make_splits(
    rows: Sequence[LabelledOpinion], seed: int, frozen: Mapping[str, Sequence[str]]
) -> dict[str, list[str]]:
    """Share out the rows by primary label; near-identical texts stay on one side.

    Args:
        rows: all rows, in any order.
        seed: decides who goes where; the same rows and seed give the same splits.
        frozen: split -> ids of an earlier run. They stay where they are and no row joins the
            test split any more; empty on the first run.

    Returns:
        Split -> sorted ids, for each of SHARES.

    Raises:
        ValueError: `frozen` names an id twice or one that is no row; a new row is near-identical
            to a test row, or to rows of two splits.
    """
    split_of = {opinion_id: split for split, ids in frozen.items() for opinion_id in ids}
    _refuse(split_faults([row for row in rows if row.id in split_of], frozen))
    shares = {split: share for split, share in SHARES.items() if split != "test" or not split_of}
    label_of = {row.id: row.labels[0] for row in sorted(rows, key=lambda row: row.id)}
    free: dict[str, list[list[str]]] = defaultdict(list)
    for ids in _join(rows, split_of):
        free[label_of[ids[0]]].append(ids)
    rng = Random(seed)
    for label in sorted(free):
        counts = Counter(split_of[i] for i in split_of if label_of[i] == label)
        split_of |= _share_out(free[label], counts, shares, rng)
    return {split: sorted(i for i in split_of if split_of[i] == split) for split in SHARES}


def write_splits(path: Path, seed: int, splits: Mapping[str, Sequence[str]]) -> None:
    """Write the splits with an id a line, so that a diff shows which rows moved."""
    content = {"seed": seed} | {split: splits[split] for split in reversed(SHARES)}
    path.write_text(json.dumps(content, indent=0, ensure_ascii=False) + "\n", encoding="utf-8")


def read_splits(path: Path) -> dict[str, list[str]]:
    """Split -> ids, as they stand in the file.

    Raises:
        ValueError: the file is missing, not JSON, or lacks a split.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{path}: {error}: write it with python -m data split") from error
    splits = {}
    for split in SHARES:
        ids = content.get(split) if isinstance(content, dict) else None
        if not isinstance(ids, list) or not all(isinstance(opinion_id, str) for opinion_id in ids):
            raise ValueError(
                f"{path}: {split} is no list of ids: write it with python -m data split"
            )
        splits[split] = ids
    return splits


def load_splits(path: Path, rows: Sequence[LabelledOpinion]) -> dict[str, list[LabelledOpinion]]:
    """Split -> its rows, in the order of the ids.

    Raises:
        ValueError: an id is missing from the file or from the rows, or stands in two splits.
    """
    splits = read_splits(path)
    _refuse(f"{path}: {fault}" for fault in split_faults(rows, splits))
    by_id = {row.id: row for row in rows}
    return {split: [by_id[opinion_id] for opinion_id in ids] for split, ids in splits.items()}


def _join(rows: Sequence[LabelledOpinion], split_of: dict[str, str]) -> list[list[str]]:
    """Send new rows to the split of the rows they repeat; return the groups still free to go."""
    ordered = sorted(rows, key=lambda row: row.id)
    clusters = near_identical([row.text for row in ordered])
    clustered = {i for cluster in clusters for i in cluster}
    free, refused = [], []
    for cluster in clusters + [[i] for i in range(len(ordered)) if i not in clustered]:
        ids = [ordered[i].id for i in cluster]
        new = [opinion_id for opinion_id in ids if opinion_id not in split_of]
        held = {split_of[opinion_id]: opinion_id for opinion_id in ids if opinion_id in split_of}
        if not new:
            continue
        if not held:
            free.append(new)
        elif "test" in held or len(held) > 1:
            there = " and ".join(f"{held[split]!r} ({split})" for split in sorted(held))
            refused += [f"{i!r} is near-identical to {there}: leave it out" for i in new]
        else:
            split_of |= dict.fromkeys(new, next(iter(held)))
    _refuse(refused)
    return free


def _share_out(
    groups: list[list[str]], counts: Counter[str], shares: Mapping[str, float], rng: Random
) -> dict[str, str]:
    """Id -> split for one label: each group goes where most rows are still lacking."""
    whole = sum(shares.values())
    size = sum(map(len, groups)) + sum(counts[split] for split in shares)
    rng.shuffle(groups)
    split_of: dict[str, str] = {}
    for group in sorted(groups, key=len, reverse=True):
        lacking = {s: share / whole * size - counts[s] for s, share in shares.items()}
        # Chance decides between equal shares, or one split would gain on every label.
        split = max(shares, key=lambda s: (round(lacking[s], 6), rng.random()))
        counts[split] += len(group)
        split_of |= dict.fromkeys(group, split)
    return split_of


def _refuse(faults: Iterable[str]) -> None:
    found = list(faults)
    if found:
        more = f"; and {len(found) - _SHOWN:,} more" if len(found) > _SHOWN else ""
        raise ValueError("; ".join(found[:_SHOWN]) + more)
