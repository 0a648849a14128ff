"""Measure an artifact on judged opinions, beside simple baselines.

    python -m training evaluate model/release data/opinions.jsonl --split test
    python -m training evaluate model/release messages.jsonl --out var/reports/messages

FILE is a label file, or JSONL whose rows also carry `primary`, the list of acceptable primary
codes. Writes report.json, report.md, confusion.png and reliability.png.
"""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics import confusion_matrix
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC

from data.schema import LabelledOpinion, read_opinions
from data.split import load_splits
from model.classifier import Classifier
from model.labels import Taxonomy
from model.routing import RoutingTable
from model.text import Opinion
from model.triage import is_urgent
from model.urgent import UrgentDetector
from training.metrics import Judged, choose_primary, score_labels, score_predictions

mpl.use("Agg")
from matplotlib import pyplot as plt

HEADLINE = ("primary_accuracy", "domain_accuracy", "macro_f1", "micro_f1")


def judge(rows: Sequence[LabelledOpinion]) -> list[Judged]:
    """Labelled opinions as judged ones."""
    return [Judged(r.text, r.acceptable, r.labels, r.channel, r.urgent) for r in rows]


def read_judged(path: Path, taxonomy: Taxonomy, splits: Path, side: str) -> list[Judged]:
    """Read FILE of the command line.

    Args:
        path: a label file, or JSONL with `text`, `primary`, `labels`.
        taxonomy: the label space.
        splits: the split file, read if `side` is given.
        side: train, validation, calibration or test; "" for all rows.

    Raises:
        ValueError: the file is empty, or a row is faulty.
    """
    if path.suffix == ".jsonl":
        with path.open(encoding="utf-8") as file:
            first = json.loads(file.readline() or "{}")
        if "primary" in first:
            return _read_acceptable(path, taxonomy)
    rows, faults = read_opinions(path, taxonomy)
    if faults:
        raise ValueError(f"{path}: {len(faults)} faults; python -m data check {path} lists them")
    return judge(load_splits(splits, rows)[side] if side else rows)


def _read_acceptable(path: Path, taxonomy: Taxonomy) -> list[Judged]:
    judged = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        row = json.loads(line)
        for code in (*row["primary"], *row["labels"]):
            if code not in taxonomy.codes:
                raise ValueError(f"{path}:{number}: unknown category {code!r}; mend the row")
        judged.append(
            Judged(
                row["text"],
                tuple(row["primary"]),
                tuple(row["labels"]),
                row.get("channel", ""),
                bool(row.get("urgent", False)),
            )
        )
    return judged


def evaluate(
    classifier: Classifier,
    judged: Sequence[Judged],
    taxonomy: Taxonomy,
    routing: RoutingTable,
    urgent: UrgentDetector,
) -> dict[str, Any]:
    """Measures of an artifact on judged opinions, ready for JSON."""
    readings = [Opinion(row.text).reading for row in judged]
    predictions, embeddings = classifier.predict_embed(readings)
    report = score_predictions(
        judged, predictions, taxonomy, lambda code: routing.rules[code].lead.code
    )
    predicted = [p.labels[0].code for p in predictions]
    codes = list(taxonomy.codes)
    matrix = confusion_matrix(choose_primary(judged, predicted), predicted, labels=codes)
    calibration = classifier.artifact.calibration
    fired = [
        is_urgent(calibration, danger, urgent.find(reading) is not None)
        for danger, reading in zip(classifier.urgency(embeddings), readings, strict=True)
    ]
    both = sum(f and row.urgent for f, row in zip(fired, judged, strict=True))
    n_urgent = sum(row.urgent for row in judged)
    return report | {
        "model_version": classifier.artifact.version,
        "urgent": {
            "rows": n_urgent,
            "recall": round(both / n_urgent, 4) if n_urgent else None,
            "precision": round(both / sum(fired), 4) if any(fired) else None,
        },
        "confusion": matrix.tolist(),
    }


def score_baselines(
    train: Sequence[LabelledOpinion], judged: Sequence[Judged], taxonomy: Taxonomy
) -> dict[str, dict[str, Any]]:
    """Majority class, and character TF-IDF (1-3 characters) with a linear SVM, on the same rows."""
    labels = [row.labels[0] for row in train]
    svm = make_pipeline(
        TfidfVectorizer(analyzer="char", ngram_range=(1, 3), min_df=2, sublinear_tf=True),
        LinearSVC(C=0.5),
    ).fit([row.text for row in train], labels)
    predicted = {
        "majority": [Counter(labels).most_common(1)[0][0]] * len(judged),
        "tfidf_svm": list(svm.predict([row.text for row in judged])),
    }
    return {
        name: {key: score_labels(judged, answer, taxonomy)[key] for key in HEADLINE}
        for name, answer in predicted.items()
    }


def write_report(report: dict[str, Any], taxonomy: Taxonomy, out: Path) -> None:
    """Write report.json, report.md and the two pictures into `out`."""
    out.mkdir(parents=True, exist_ok=True)
    text = json.dumps(report, indent=2, ensure_ascii=False)
    (out / "report.json").write_text(text + "\n", encoding="utf-8")
    (out / "report.md").write_text(to_markdown(report), encoding="utf-8")
    draw_confusion(np.array(report["confusion"]), taxonomy, out / "confusion.png")
    draw_reliability(report["calibration"], out / "reliability.png")


def to_markdown(report: dict[str, Any]) -> str:
    """The report for people."""
    decisions, urgent = report["decisions"], report["urgent"]
    lines = [
        f"# Evaluation of {report['model_version']} on {report['n']} opinions",
        "",
        "| measure | model | " + " | ".join(report["baselines"]) + " |",
        "|---|---|" + "---|" * len(report["baselines"]),
        *(
            f"| {key} | {report[key]} | "
            + " | ".join(str(b[key]) for b in report["baselines"].values())
            + " |"
            for key in HEADLINE
        ),
        "",
        f"- one of the top three: {report['top3_accuracy']}",
        f"- routing (lead department): {report['routing_accuracy']}",
        f"- multi-label micro-F1: {report['multi_label_micro_f1']}",
        f"- expected calibration error: {report['calibration']['ece']}",
        f"- auto: {decisions['auto_coverage']} of the opinions, of which "
        f"{decisions['auto_primary_error']} are not the primary category, "
        f"{decisions['auto_error']} none of the opinion's",
        f"- out of scope: {decisions['out_of_scope_coverage']} of the opinions, "
        f"error {decisions['out_of_scope_error']}",
        f"- urgent: recall {urgent['recall']}, precision {urgent['precision']} "
        f"({urgent['rows']} urgent rows)",
        f"- read in part (truncated): {report['truncated']}",
    ]
    for key, title in (("by_length", "characters"), ("by_channel", "channel")):
        lines += ["", f"| {title} | accuracy | n |", "|---|---|---|"]
        lines += [f"| {k or '-'} | {v['accuracy']} | {v['n']} |" for k, v in report[key].items()]
    lines += ["", "| domain | accuracy | n |", "|---|---|---|"]
    lines += [
        f"| {k} | {v['accuracy']} | {v['support']} |" for k, v in report["per_domain"].items()
    ]
    lines += ["", "| category | precision | recall | F1 | n |", "|---|---|---|---|---|"]
    lines += [
        f"| {k} | {v['precision']} | {v['recall']} | {v['f1']} | {v['support']} |"
        for k, v in report["per_category"].items()
    ]
    return "\n".join(lines) + "\n"


def draw_confusion(matrix: Any, taxonomy: Taxonomy, path: Path) -> None:
    """Confusion matrix (K, K), rows true, each row scaled to its sum."""
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    figure, axes = plt.subplots(figsize=(11, 11), layout="constrained")
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(taxonomy.codes)), taxonomy.codes, rotation=90, fontsize=7)
    axes.set_yticks(range(len(taxonomy.codes)), taxonomy.codes, fontsize=7)
    axes.set(xlabel="predicted", ylabel="true", title="Share of each true category")
    for i, j in zip(*np.nonzero(matrix), strict=True):
        colour = "white" if shares[i, j] > 0.5 else "black"
        axes.text(j, i, matrix[i, j], ha="center", va="center", fontsize=6, color=colour)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def draw_reliability(calibration: dict[str, Any], path: Path) -> None:
    """Accuracy against score; on the diagonal a score is what it says."""
    table = calibration["reliability"]
    figure, axes = plt.subplots(figsize=(5, 5), layout="constrained")
    axes.plot([0, 1], [0, 1], color="grey", linewidth=1)
    axes.plot([r["score"] for r in table], [r["accuracy"] for r in table], marker="o")
    for row in table:
        axes.annotate(str(row["n"]), (row["score"], row["accuracy"]), xytext=(4, -12),
                      textcoords="offset points", fontsize=7)  # fmt: skip
    axes.set(xlabel="score", ylabel="accuracy", xlim=(0, 1), ylim=(0, 1))
    axes.set_title(f"Reliability, ECE {calibration['ece']:.3f} (numbers: opinions)")
    figure.savefig(path, dpi=110)
    plt.close(figure)
