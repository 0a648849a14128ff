"""Turn trained weights into an artifact: int8 ONNX, calibrated, measured, with its manifest.

python -m training export var/runs/full --out model/release
"""

import json
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import astuple
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from data.schema import LabelledOpinion
from model.artifact import Artifact, Calibration, load_artifact, sha256_of
from model.classifier import Classifier, softmax
from model.routing import load_routing
from model.tokens import Reader
from model.urgency import UrgencyHead
from model.urgent import UrgentDetector, load_urgent
from training import network
from training.backbone import SOURCE
from training.calibrate import ALWAYS, NEVER, Danger, calibrate
from training.card import fill as fill_card
from training.corpus import batches, load_corpus, primary_ids, reading
from training.evaluate import evaluate, judge, score_baselines
from training.network import OpinionNetwork
from training.ngrams import fit_votes, fit_weight, weigh
from training.quantise import fuse, store_weights_as_int8
from training.train import load_recipe

DATA = Path("data")
EXPERIMENTS = Path("training/experiments.md")
PARITY = 0.995
UNCALIBRATED = Calibration(1.0, 0.5, NEVER, NEVER, NEVER, ALWAYS, 0.05, 0.95)


class _Graph(nn.Module):
    """The network with plain tensors in and out, as ONNX wants it."""

    def __init__(self, net: OpinionNetwork) -> None:
        super().__init__()
        self.net = net

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
        logits: Tensor
        embedding: Tensor
        logits, embedding = self.net(input_ids, attention_mask)
        return logits, embedding


def write_onnx(net: OpinionNetwork, path: Path) -> None:
    """Write the network as a float32 ONNX graph with free batch and length axes."""
    net.encoder.set_attn_implementation("eager")  # the form that fuses
    ids = torch.ones(2, 8, dtype=torch.long)
    axes = {0: "batch", 1: "tokens"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns of its own internals
        torch.onnx.export(
            _Graph(net).eval(),
            (ids, torch.ones_like(ids)),
            str(path),
            input_names=["input_ids", "attention_mask"],
            output_names=["logits", "embedding"],
            dynamic_axes={
                "input_ids": axes,
                "attention_mask": axes,
                "logits": {0: "batch"},
                "embedding": {0: "batch"},
            },
            opset_version=17,
            dynamo=False,
        )


def torch_logits(net: OpinionNetwork, rows: Sequence[LabelledOpinion], reader: Reader) -> Any:
    """Logits of the unquantised network, (N, K)."""
    logits = np.zeros((len(rows), net.head.out_features), dtype=np.float32)
    for places, batch in batches([reading(row) for row in rows], reader, 16):
        logits[places] = network.run(net, [batch])[0].numpy()
    return logits


def run_rows(classifier: Classifier, rows: Sequence[LabelledOpinion]) -> tuple[Any, Any]:
    """Logits (N, K) of the exported graph, without the votes of the n-grams; embeddings (N, H)."""
    return classifier.run(classifier.reader.encode([reading(row) for row in rows]))


def measure_danger(
    classifier: Classifier, urgent: UrgentDetector, rows: Sequence[LabelledOpinion], embeddings: Any
) -> Danger:
    """What the urgency head and the phrases say of the rows, beside their labels."""
    return Danger(
        classifier.urgency(embeddings),
        np.array([urgent.find(reading(row)) is not None for row in rows]),
        np.array([row.urgent for row in rows]),
    )


def add_votes(classifier: Classifier, logits: Any, rows: Sequence[LabelledOpinion]) -> Any:
    """Encoder logits with the votes of the rows' n-grams, (N, K)."""
    return logits + classifier.votes([reading(row) for row in rows])


def compare(
    classifier: Classifier,
    net: OpinionNetwork,
    rows: Sequence[LabelledOpinion],
    min_parity: float,
) -> dict[str, float]:
    """How far the exported graph is from the network it came from.

    Raises:
        ValueError: fewer than `min_parity` of the texts keep their primary label.
    """
    before = add_votes(classifier, torch_logits(net, rows, classifier.reader), rows)
    after = add_votes(classifier, run_rows(classifier, rows)[0], rows)
    same = float((before.argmax(1) == after.argmax(1)).mean())
    gap = np.abs(softmax(before) - softmax(after))
    found = {
        "texts": float(len(rows)),
        "same_primary": round(same, 4),
        "max_probability_difference": round(float(gap.max()), 4),
        "mean_max_probability_difference": round(float(gap.max(1).mean()), 4),
    }
    if same < min_parity:
        raise ValueError(
            f"int8 keeps the primary label of {same:.4f} of the test texts, min_parity is "
            f"{min_parity}; train longer, or accept less with --min-parity"
        )
    return found


def write_json(path: Path, value: Any) -> None:
    """Write indented UTF-8 JSON with a final newline."""
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def git_commit() -> str:
    """The commit the checkout stands at, with `-dirty` for uncommitted changes."""
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=12"],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or "unknown"


def write_manifest(directory: Path, facts: dict[str, Any]) -> None:
    """List every file of the artifact with its SHA-256; the version names the graph's sum."""
    files = sorted(p for p in directory.iterdir() if p.name != "manifest.json")
    now = datetime.now(UTC)
    sums = {path.name: sha256_of(path) for path in files}
    write_json(
        directory / "manifest.json",
        {
            "version": f"{now:%Y.%m.%d}-{sums['model.onnx'][:8]}",
            "created_at": now.isoformat(timespec="seconds"),
            **facts,
            "git_commit": git_commit(),
            "libraries": {
                name: version(name) for name in ("torch", "transformers", "onnx", "onnxruntime")
            },
            "files": sums,
        },
    )


def build_artifact(run: Path, build: Path, min_parity: float) -> dict[str, Any]:
    """Write every file of the artifact of a finished run into the empty directory `build`.

    Returns:
        What was measured, as in metrics.json.
    """
    config, record = load_recipe(run)
    corpus = load_corpus(config.data)
    net, codes = network.load(run / "model")
    with tempfile.TemporaryDirectory() as temporary:
        plain = Path(temporary) / "float32.onnx"
        write_onnx(net, plain)
        fuse(plain, net.encoder.config)
        store_weights_as_int8(plain, build / "model.onnx")
    shutil.copy(run / "model" / "tokenizer.json", build)
    reader = Reader.load(build / "tokenizer.json", config.model.serve_tokens)
    labels = {"taxonomy_version": corpus.taxonomy.version, "codes": list(codes)}
    write_json(build / "labels.json", labels)
    write_json(build / "calibration.json", vars(UNCALIBRATED))
    facts = {
        "max_tokens": reader.max_tokens,
        "vocab_size": reader.tokenizer.get_vocab_size(),
        "data_sha256": record["data_sha256"],
        "recipe": record["config"],
    }
    votes = fit_votes(corpus.splits["train"], codes)
    votes.save(build / "ngrams.npz")
    head = net.urgency
    UrgencyHead(head.weight[0].detach().numpy(), head.bias.item()).save(build / "urgency.npz")
    write_manifest(build, facts)
    classifier = Classifier(load_artifact(build))
    rows = corpus.splits["validation"]
    logits, embeddings = run_rows(classifier, rows)
    weight = fit_weight(logits, votes([reading(row) for row in rows]), primary_ids(rows, codes))
    weigh(votes, weight).save(build / "ngrams.npz")
    write_manifest(build, facts)
    classifier = Classifier(load_artifact(build))
    parity = compare(classifier, net, corpus.splits["test"], min_parity)
    urgent = load_urgent(DATA / "urgent.yaml")
    danger = measure_danger(classifier, urgent, rows, embeddings)
    rows = corpus.splits["calibration"]
    logits, embeddings = run_rows(classifier, rows)
    more = measure_danger(classifier, urgent, rows, embeddings)
    danger = Danger(*map(np.concatenate, zip(astuple(danger), astuple(more), strict=True)))
    calibration, evidence = calibrate(add_votes(classifier, logits, rows), rows, codes, danger)
    write_json(build / "calibration.json", {**vars(calibration), "evidence": evidence})
    write_manifest(build, facts)

    classifier = Classifier(load_artifact(build))
    routing = load_routing(DATA / "routing.yaml", corpus.taxonomy)
    judged = judge(corpus.splits["test"])
    test = evaluate(classifier, judged, corpus.taxonomy, routing, urgent)
    test["baselines"] = score_baselines(corpus.splits["train"], judged, corpus.taxonomy)
    metrics = {
        "data_sha256": record["data_sha256"],
        "rows": {side: len(members) for side, members in corpus.splits.items()},
        "test": test,
        "parity": parity,
        "calibration": evidence,
        "ngram_weight": weight,
    }
    write_json(build / "metrics.json", metrics)
    card = fill_card(
        classifier.artifact, metrics, record["config"], SOURCE, EXPERIMENTS.read_text()
    )
    (build / "card.md").write_text(card, encoding="utf-8")
    write_manifest(build, facts)
    return metrics


def export(run: Path, out: Path, min_parity: float = PARITY) -> Artifact:
    """Export, calibrate and measure the model of a finished run.

    Args:
        run: the directory that `train` wrote.
        out: the artifact directory, replaced whole when everything succeeded.
        min_parity: least share of the test texts whose primary label int8 must keep.

    Raises:
        ValueError: `run` holds no finished model, or int8 changes too many answers.
    """
    if not (run / "model" / "network.safetensors").exists():
        raise ValueError(f"{run}: holds no finished model; run python -m training train first")
    with tempfile.TemporaryDirectory() as temporary:
        build = Path(temporary) / "artifact"
        build.mkdir()
        build_artifact(run, build, min_parity)
        load_artifact(build)
        if out.exists():
            shutil.rmtree(out)
        shutil.copytree(build, out)
    return load_artifact(out)
