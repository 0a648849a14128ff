"""From a run to an artifact and its report."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from model.artifact import load_artifact
from model.classifier import Classifier
from model.labels import load_taxonomy
from training import network
from training.__main__ import app
from training.corpus import load_corpus
from training.evaluate import judge, read_judged, score_baselines
from training.export import export, run_rows, torch_logits
from training.train import load_recipe

TAXONOMY = load_taxonomy(Path("data/taxonomy.yaml"))


def test_artifact_is_complete(tiny_artifact: Path) -> None:
    names = {path.name for path in tiny_artifact.iterdir()}
    assert names == {
        "model.onnx",
        "ngrams.npz",
        "urgency.npz",
        "tokenizer.json",
        "labels.json",
        "calibration.json",
        "metrics.json",
        "card.md",
        "manifest.json",
    }
    manifest = json.loads((tiny_artifact / "manifest.json").read_text())
    assert set(manifest["files"]) == names - {"manifest.json"}
    assert manifest["recipe"]["name"] == "tiny"
    assert len(manifest["data_sha256"]) == 64


def test_graph_answers_nearly_as_the_network(tiny_run: Path, tiny_artifact: Path) -> None:
    """int8 moves logits a little; a wrong export (dropout left on, mask lost) moves them a lot."""
    config, _ = load_recipe(tiny_run)
    rows = load_corpus(config.data).splits["validation"]
    classifier = Classifier(load_artifact(tiny_artifact))
    net, _ = network.load(tiny_run / "model")
    before = torch_logits(net, rows, classifier.reader)
    after = run_rows(classifier, rows)[0]
    assert np.corrcoef(before.ravel(), after.ravel())[0, 1] > 0.99
    parity = json.loads((tiny_artifact / "metrics.json").read_text())["parity"]
    assert parity["same_primary"] >= 0.9


def test_too_little_parity_is_refused(tiny_run: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"int8 keeps the primary label .* min_parity is 1\.01"):
        export(tiny_run, tmp_path / "out", min_parity=1.01)
    assert not (tmp_path / "out").exists()


def test_unfinished_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no finished model"):
        export(tmp_path, tmp_path / "out")


def test_card_states_what_was_measured(tiny_artifact: Path) -> None:
    metrics = json.loads((tiny_artifact / "metrics.json").read_text())
    card = (tiny_artifact / "card.md").read_text(encoding="utf-8")
    assert f"| primary_accuracy | {metrics['test']['primary_accuracy']} |" in card
    assert f"| macro_f1 | {metrics['test']['macro_f1']} |" in card
    assert "random-tiny" in card
    assert str(metrics["parity"]["same_primary"]) in card
    assert "{" not in card


def test_evaluate_command_writes_a_report(tiny_artifact: Path, tmp_path: Path) -> None:
    file = tmp_path / "messages.jsonl"
    rows = [
        {"text": "地铁口没有路灯", "primary": ["power_lighting", "roads"], "labels": ["roads"]},
        {"text": "电梯困人", "primary": ["elevator"], "labels": ["elevator"], "urgent": 1},
    ]
    file.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows))
    out = tmp_path / "report"
    arguments = ["evaluate", str(tiny_artifact), str(file), "--out", str(out)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    assert report["n"] == 2
    assert set(report["baselines"]) == {"majority", "tfidf_svm"}
    assert len(report["confusion"]) == 44
    assert report["urgent"] == {"rows": 1, "recall": 1.0, "precision": 1.0}
    for picture in ("confusion.png", "reliability.png"):
        assert (out / picture).read_bytes().startswith(b"\x89PNG")
    assert "| primary_accuracy |" in (out / "report.md").read_text(encoding="utf-8")


def test_unknown_code_in_messages_is_named(tmp_path: Path) -> None:
    file = tmp_path / "messages.jsonl"
    file.write_text('{"text": "a", "primary": ["ufo"], "labels": ["ufo"]}\n')
    with pytest.raises(ValueError, match=r"messages\.jsonl:1: unknown category 'ufo'"):
        read_judged(file, TAXONOMY, Path("data/splits.json"), "")


def test_baseline_learns_what_is_plain(tiny_run: Path) -> None:
    config, _ = load_recipe(tiny_run)
    rows = load_corpus(config.data).splits["train"]
    scores = score_baselines(rows, judge(rows), TAXONOMY)
    assert scores["tfidf_svm"]["primary_accuracy"] > 0.9  # on its own training rows
    assert scores["majority"]["primary_accuracy"] < 0.2


def test_export_replaces_an_older_artifact_whole(tiny_artifact: Path, tiny_run: Path) -> None:
    out = tiny_run.parent / "again"
    shutil.copytree(tiny_artifact, out)
    (out / "left-over.txt").write_text("of an older version")
    export(tiny_run, out, min_parity=0.5)
    assert not (out / "left-over.txt").exists()
