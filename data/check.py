"""What is wrong, risky or worth knowing in labelled opinions, before anyone trains on them."""

import math
import unicodedata
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from statistics import median
from typing import Literal

from datasketch import MinHash, MinHashLSH

from data.schema import Fault, LabelledOpinion, read_records
from model.labels import Taxonomy

RARE = 30  # primary rows; with fewer, calibration and test see 3 of a category or none
IMBALANCE = 10  # times the rarest category's rows that the commonest may have
SHINGLE = 3  # characters; short enough that one typo in 20 characters leaves half of them alike
NEAR = 0.6  # Jaccard similarity of shingles; above it two texts tell the same matter alike
# 32 bands of 4 find 98.8% of the pairs at similarity 0.6 and 99.98% at 0.7.
LSH_BANDS, LSH_ROWS = 32, 4
SHARED_RUN = 14  # letters; two people rarely write so long a run alike, stock phrases apart
SHOWN = 50  # lines listed of a finding that is no schema fault; the rest is counted
STOCK_PHRASES = Path(__file__).with_name("stock_phrases.txt")

Level = Literal["good", "warn", "fail"]
_LEVELS: tuple[Level, ...] = ("good", "warn", "fail")


@dataclass(frozen=True)
class Finding:
    """One line of the report, with the lines that prove it."""

    level: Level
    title: str
    summary: str
    lines: Sequence[str] = ()


def check(
    rows: Sequence[LabelledOpinion],
    faults: Sequence[Fault],
    taxonomy: Taxonomy,
    splits: Mapping[str, Sequence[str]] | None = None,
    against: Path | None = None,
) -> list[Finding]:
    """Every finding on the rows of one or more label files.

    Args:
        rows: the rows without a fault.
        faults: the faults of all other rows.
        taxonomy: the known labels.
        splits: split -> ids, to see whether one text stands in two of them.
        against: a JSONL file, each row with `text`, of which nothing may be copied.

    Raises:
        ValueError: `against` cannot be read.
    """
    findings = [_schema(rows, faults)]
    if not rows:
        return [*findings, Finding("fail", "rows", "none without a fault: nothing to check")]
    clusters = near_identical([row.text for row in rows])
    findings += [_labels(rows, taxonomy), _balance(rows), *_duplicates(rows, clusters)]
    if splits is not None:
        findings.append(_splits(rows, splits, clusters))
    if against is not None:
        findings.append(_against(rows, against))
    return [*findings, _lengths(rows)]


def verdict(findings: Iterable[Finding]) -> Level:
    """The worst level among the findings."""
    return max((finding.level for finding in findings), key=_LEVELS.index)


def render(findings: Sequence[Finding]) -> str:
    """The findings as aligned text; the last line is the verdict."""
    lines = []
    for finding in findings:
        lines.append(f"{finding.level}  {finding.title:<14}{finding.summary}")
        lines += [f"{'':6}{line}" for line in finding.lines]
    return "\n".join([*lines, "", verdict(findings)])


def near_identical(texts: Sequence[str]) -> list[list[int]]:
    """Clusters of two or more texts, linked where their shingles' Jaccard similarity >= NEAR.

    Returns:
        Ascending indices into `texts`, clusters in order of their first index.
    """
    same: dict[str, list[int]] = defaultdict(list)
    for i, text in enumerate(texts):
        same[_compact(text) or text].append(i)
    shingles = [_shingles(text) for text in same]
    cluster_of = list(range(len(shingles)))  # a forest: each points towards its cluster's root

    def root(i: int) -> int:
        while cluster_of[i] != i:
            cluster_of[i] = cluster_of[cluster_of[i]]
            i = cluster_of[i]
        return i

    lsh = MinHashLSH(num_perm=LSH_BANDS * LSH_ROWS, params=(LSH_BANDS, LSH_ROWS))
    encoded = ([shingle.encode() for shingle in found] for found in shingles)
    hashes = MinHash.generator(encoded, num_perm=LSH_BANDS * LSH_ROWS, hashfunc=zlib.crc32)
    for i, minhash in enumerate(hashes):
        for j in lsh.query(minhash):
            if root(i) != root(j) and _jaccard(shingles[i], shingles[j]) >= NEAR:
                cluster_of[root(i)] = root(j)
        lsh.insert(i, minhash, check_duplication=False)
    clusters: dict[int, list[int]] = defaultdict(list)
    for i, members in enumerate(same.values()):
        clusters[root(i)] += members
    return sorted(sorted(members) for members in clusters.values() if len(members) > 1)


def split_faults(
    rows: Sequence[LabelledOpinion], splits: Mapping[str, Sequence[str]]
) -> Iterator[str]:
    """Where the splits and the rows disagree: each id must stand in exactly one split."""
    places = defaultdict(list)
    for split, ids in splits.items():
        for opinion_id in ids:
            places[opinion_id].append(split)
    known = {row.id for row in rows}
    for opinion_id, found in places.items():
        if len(found) > 1:
            yield f"{opinion_id!r} stands in {' and '.join(found)}: keep one"
        if opinion_id not in known:
            yield f"{opinion_id!r} of {found[0]} is no row: restore the row or take the id out"
    for row in rows:
        if row.id not in places:
            yield f"{row.id!r} is in no split: run python -m data split"


def shared_runs(
    texts: Sequence[str], others: Sequence[str], stock_phrases: Sequence[str] = ()
) -> list[tuple[int, int, str]]:
    """The runs of at least SHARED_RUN letters that stand in both, stock phrases apart.

    Returns:
        (index into `texts`, index into `others`, the run without punctuation and spaces).
    """
    phrases = sorted((_compact(p, str.isalpha) for p in stock_phrases), key=len, reverse=True)
    seen: dict[str, int] = {}
    for index, text in enumerate(others):
        for stretch in _stretches(text, phrases):
            for gram in _grams(stretch):
                seen.setdefault(gram, index)
    shared = []
    for index, text in enumerate(texts):
        for stretch in _stretches(text, phrases):
            hits = [start for start, gram in enumerate(_grams(stretch)) if gram in seen]
            # Neighbouring hits are one run: their start less their rank stays the same.
            for _, group in groupby(enumerate(hits), key=lambda pair: pair[1] - pair[0]):
                starts = [start for _, start in group]
                run = stretch[starts[0] : starts[-1] + SHARED_RUN]
                shared.append((index, seen[run[:SHARED_RUN]], run))
    return shared


def read_stock_phrases(path: Path = STOCK_PHRASES) -> list[str]:
    """The phrases of the list, without its comments."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line.strip() and not line.startswith("#")]


def _schema(rows: Sequence[LabelledOpinion], faults: Sequence[Fault]) -> Finding:
    if faults:
        affected = len({(fault.file, fault.line) for fault in faults})
        summary = f"{len(faults):,} faults in {affected:,} rows; {len(rows):,} rows without one"
        return Finding("fail", "schema", summary, [str(fault) for fault in faults])
    return Finding("good", "schema", f"{len(rows):,} rows, no fault")


def _labels(rows: Sequence[LabelledOpinion], taxonomy: Taxonomy) -> Finding:
    """How often each category is the primary one and one at all, and which are too rare."""
    primary = Counter(row.labels[0] for row in rows)
    anywhere = Counter(label for row in rows for label in row.labels)
    lines = [f"{'category':<22}{'primary':>9}{'share':>8}{'anywhere':>10}"]
    for code in sorted(taxonomy.codes, key=lambda code: -primary[code]):
        count = primary[code]
        mark = "" if count >= RARE else "  rare" if count else "  missing"
        share = f"{count / len(rows):.1%}"
        lines.append(f"{code:<22}{count:>9,}{share:>8}{anywhere[code]:>10,}{mark}")
    rare = sum(primary[code] < RARE for code in taxonomy.codes)
    summary = f"{rare} of {len(taxonomy.codes)} categories have fewer than {RARE} rows"
    return Finding("warn" if rare else "good", "labels", summary, lines)


def _balance(rows: Sequence[LabelledOpinion]) -> Finding:
    counts = Counter(row.labels[0] for row in rows).most_common()
    (most, high), (least, low) = counts[0], counts[-1]
    several = sum(len(row.labels) > 1 for row in rows)
    channels = Counter(row.channel for row in rows).most_common()
    lines = [
        f"several labels  {several:,} ({several / len(rows):.1%})",
        f"urgent          {sum(row.urgent for row in rows):,}",
        "channels        " + ", ".join(f"{name} {count:,}" for name, count in channels),
    ]
    level: Level = "warn" if high > IMBALANCE * low else "good"
    summary = f"{most} has {high / low:.1f} times the rows of {least} (up to {IMBALANCE} is fine)"
    return Finding(level, "balance", summary, lines)


def _duplicates(rows: Sequence[LabelledOpinion], clusters: list[list[int]]) -> list[Finding]:
    """One finding each for conflicting, exactly repeated and nearly repeated texts."""
    kinds: dict[str, list[str]] = {"conflicts": [], "exact copies": [], "near copies": []}
    for cluster in clusters:
        members = [rows[i] for i in cluster]
        if len({row.labels for row in members}) > 1:
            kind = "conflicts"
        elif len({_compact(row.text) for row in members}) == 1:
            kind = "exact copies"
        else:
            kind = "near copies"
        kinds[kind].append("; ".join(_capped([_quote(row) for row in members], 5)))
    asks = {
        "conflicts": "near-identical texts with different labels",
        "exact copies": "texts that differ in no letter or digit",
        "near copies": f"texts alike by a Jaccard similarity of {NEAR} or more",
    }
    return [
        Finding("warn" if found else "good", kind, f"{len(found):,} groups of {asks[kind]}",
                _capped(found))
        for kind, found in kinds.items()
    ]  # fmt: skip


def _splits(
    rows: Sequence[LabelledOpinion],
    splits: Mapping[str, Sequence[str]],
    clusters: list[list[int]],
) -> Finding:
    """Whether the splits name each row once and keep near-identical texts together."""
    split_of = {opinion_id: split for split, ids in splits.items() for opinion_id in ids}
    problems = list(split_faults(rows, splits))
    for cluster in clusters:
        members = [rows[i] for i in cluster if rows[i].id in split_of]
        if len({split_of[row.id] for row in members}) > 1:
            apart = "; ".join(_capped([f"{split_of[row.id]}: {_quote(row)}" for row in members], 5))
            problems.append(f"near-identical across splits: {apart}")
    sizes = ", ".join(f"{split} {len(ids):,}" for split, ids in splits.items())
    summary = f"{len(problems):,} problems; {sizes}"
    return Finding("fail" if problems else "good", "splits", summary, _capped(problems))


def _against(rows: Sequence[LabelledOpinion], path: Path) -> Finding:
    others = _read_texts(path)
    shared = shared_runs(
        [row.text for row in rows], [text for _, text in others], read_stock_phrases()
    )
    lines = [f"{rows[i].id} and {path}:{others[j][0]} share {run!r}" for i, j, run in shared]
    summary = f"{len(shared):,} runs of {SHARED_RUN} or more letters shared with {path}"
    return Finding("fail" if shared else "good", "against", summary, _capped(lines))


def _read_texts(path: Path) -> list[tuple[int, str]]:
    """The line and text of each row of a JSONL file."""
    texts = []
    for line, content in read_records(path, {}):
        text = None if isinstance(content, Fault) else content.get("text")
        if not isinstance(text, str):
            raise ValueError(f"{path}:{line}: no text: write a JSON object with a string there")
        texts.append((line, text))
    return texts


def _lengths(rows: Sequence[LabelledOpinion]) -> Finding:
    lengths = sorted(len(row.text) for row in rows)
    tenth = lengths[math.ceil(0.9 * len(lengths)) - 1]
    summary = (
        f"median {median(lengths):.0f}, 90% up to {tenth:,}, longest {lengths[-1]:,} characters"
    )
    return Finding("good", "lengths", summary)


def _quote(row: LabelledOpinion) -> str:
    text = row.text if len(row.text) <= 30 else f"{row.text[:29]}…"
    return f"{row.id} [{', '.join(row.labels)}] {text!r}"


def _capped(lines: list[str], shown: int = SHOWN) -> list[str]:
    more = len(lines) - shown
    return lines if more <= 0 else [*lines[:shown], f"… and {more:,} more"]


def _compact(text: str, keep: Callable[[str], bool] = str.isalnum) -> str:
    """The characters that carry meaning, in one form of width and case."""
    return "".join(filter(keep, unicodedata.normalize("NFKC", text).casefold()))


def _shingles(text: str) -> set[str]:
    return {text[i : i + SHINGLE] for i in range(max(1, len(text) - SHINGLE + 1))}


def _jaccard(first: set[str], second: set[str]) -> float:
    shared = len(first & second)
    return shared / (len(first) + len(second) - shared)


def _stretches(text: str, phrases: Sequence[str]) -> list[str]:
    """The letters of a text, cut where a stock phrase stood."""
    letters = _compact(text, str.isalpha)
    for phrase in phrases:
        letters = letters.replace(phrase, " ")
    return letters.split()


def _grams(stretch: str) -> list[str]:
    return [stretch[i : i + SHARED_RUN] for i in range(len(stretch) - SHARED_RUN + 1)]
