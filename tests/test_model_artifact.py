"""An artifact is verified before it serves."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from model.artifact import ArtifactError, load_artifact, sha256_of
from model.classifier import Classifier


@pytest.fixture
def copy(tiny_artifact: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_artifact, tmp_path / "artifact"))


def rewrite(directory: Path, name: str, change: dict[str, Any]) -> None:
    """Change keys of a JSON file of the artifact and bring the manifest up to date."""
    path = directory / name
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    if name != "manifest.json":
        manifest = json.loads((directory / "manifest.json").read_text())
        manifest["files"][name] = sha256_of(path)
        (directory / "manifest.json").write_text(json.dumps(manifest))


def test_sound_artifact_loads(tiny_artifact: Path) -> None:
    artifact = load_artifact(tiny_artifact)
    assert len(artifact.codes) == 44
    assert artifact.version
    assert Classifier(artifact).artifact is artifact


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json", "labels.json", "card.md"])
def test_changed_file_is_named(copy: Path, name: str) -> None:
    content = bytearray((copy / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / name).write_bytes(content)
    with pytest.raises(ArtifactError, match=rf"{name}: SHA-256 .* copy the artifact again"):
        load_artifact(copy)


def test_half_copied_file_is_named(copy: Path) -> None:
    content = (copy / "model.onnx").read_bytes()
    (copy / "model.onnx").write_bytes(content[: len(content) // 2])
    with pytest.raises(ArtifactError, match=r"model\.onnx: SHA-256"):
        load_artifact(copy)


@pytest.mark.parametrize("name", ["model.onnx", "manifest.json", "calibration.json"])
def test_missing_file_is_named(copy: Path, name: str) -> None:
    (copy / name).unlink()
    with pytest.raises(ArtifactError, match=f"{name}.*missing"):
        load_artifact(copy)


def test_missing_directory_is_an_artifact_error(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"manifest\.json: missing"):
        load_artifact(tmp_path / "nowhere")


def test_manifest_must_list_the_graph(copy: Path) -> None:
    sums = json.loads((copy / "manifest.json").read_text())["files"]
    del sums["model.onnx"]
    rewrite(copy, "manifest.json", {"files": sums})
    with pytest.raises(ArtifactError, match=r"does not list model\.onnx"):
        load_artifact(copy)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("labels.json", {"codes": ["noise", "noise"]}, r"codes \['noise'\] stand twice"),
        ("labels.json", {"codes": []}, "no list of category codes"),
        ("labels.json", {"taxonomy_version": "one"}, "taxonomy_version = 'one' is no int"),
        ("calibration.json", {"temperature": 0}, "temperature = 0 is no positive number"),
        ("calibration.json", {"auto_threshold": None}, "auto_threshold = None"),
        ("manifest.json", {"version": 3}, "version = 3 is no str"),
    ],
)
def test_wrong_value_is_named(copy: Path, name: str, change: dict[str, Any], message: str) -> None:
    rewrite(copy, name, change)
    with pytest.raises(ArtifactError, match=message):
        load_artifact(copy)


def test_manifest_that_is_no_json_is_refused(copy: Path) -> None:
    (copy / "manifest.json").write_text("{")
    with pytest.raises(ArtifactError, match="not JSON"):
        load_artifact(copy)


def test_labels_of_another_head_are_refused(copy: Path) -> None:
    rewrite(copy, "labels.json", {"codes": ["noise", "other"]})
    with pytest.raises(ArtifactError, match=r"scores 44 categories, labels\.json names 2"):
        Classifier(load_artifact(copy))


def test_another_tokenizer_is_refused(copy: Path) -> None:
    rewrite(copy, "manifest.json", {"vocab_size": 5})
    with pytest.raises(ArtifactError, match="the graph was exported for 5"):
        Classifier(load_artifact(copy))


def test_graph_that_is_none_is_refused(copy: Path) -> None:
    (copy / "model.onnx").write_bytes(b"no graph")
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["files"]["model.onnx"] = sha256_of(copy / "model.onnx")
    (copy / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ArtifactError, match=r"model\.onnx: .*export again"):
        Classifier(load_artifact(copy))
