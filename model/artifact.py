"""The artifact: a directory with everything a classifier needs, verified before it is used.

model.onnx        input_ids, attention_mask -> logits (N, K), embedding (N, H)
ngrams.npz        votes of character n-grams, added to the logits
urgency.npz       a linear head on the embedding: are people in danger now
tokenizer.json    the tokenizer of the encoder
labels.json       ordered category codes and the taxonomy version they come from
calibration.json  temperature and decision thresholds, with the evidence they rest on
metrics.json      what was measured on the frozen test split
card.md           the model card
manifest.json     version, sizes, and the SHA-256 of every other file
"""

import hashlib
import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

REQUIRED = (
    "model.onnx", "ngrams.npz", "urgency.npz", "tokenizer.json", "labels.json", "calibration.json",
)  # fmt: skip


class ArtifactError(ValueError):
    """The directory is no artifact that may serve; the message says what to do."""


@dataclass(frozen=True)
class Calibration:
    """From logits to scores and decisions.

    Attributes:
        temperature: logits are divided by it before the softmax.
        label_threshold: a category after the primary one is named from this score on.
        auto_threshold: a primary score from here on may be routed unseen; above 1 for never.
        out_of_scope_threshold: the same for the category `other`.
        urgent_threshold: an opinion is urgent from this probability of danger on; above 1 for
            never by the model alone.
        urgent_threshold_phrase: the same where a phrase of data/urgent.yaml stands in it; close
            to 0 for always.
        target_error: the share of wrong decisions that the thresholds allow.
        confidence: how sure the calibration split makes that the share is kept.
    """

    temperature: float
    label_threshold: float
    auto_threshold: float
    out_of_scope_threshold: float
    urgent_threshold: float
    urgent_threshold_phrase: float
    target_error: float
    confidence: float


@dataclass(frozen=True)
class Artifact:
    """A verified artifact."""

    directory: Path
    version: str
    created_at: str
    codes: tuple[str, ...]
    taxonomy_version: int
    max_tokens: int
    vocab_size: int
    calibration: Calibration


def sha256_of(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ArtifactError(f"{path}: missing; export the artifact again") from None
    except ValueError as error:
        raise ArtifactError(f"{path}: not JSON ({error}); export the artifact again") from None
    if not isinstance(value, dict):
        raise ArtifactError(f"{path}: holds no JSON object; export the artifact again")
    return value


def _verify_files(directory: Path, manifest: dict[str, Any]) -> None:
    sums = manifest.get("files")
    if not isinstance(sums, dict):
        raise ArtifactError(f"{directory}/manifest.json: 'files' is missing; export again")
    for name in REQUIRED:
        if name not in sums:
            raise ArtifactError(f"{directory}/manifest.json: does not list {name}; export again")
    for name, expected in sums.items():
        path = directory / name
        if not path.is_file():
            raise ArtifactError(f"{path}: listed in the manifest but missing; copy it again")
        found = sha256_of(path)
        if found != expected:
            raise ArtifactError(
                f"{path}: SHA-256 is {found[:12]}…, the manifest says {str(expected)[:12]}…; "
                "the file was changed or copied in part, copy the artifact again"
            )


def _read_codes(path: Path, labels: dict[str, Any]) -> tuple[str, ...]:
    codes = labels.get("codes")
    if not isinstance(codes, list) or not codes or not all(isinstance(c, str) for c in codes):
        raise ArtifactError(f"{path}: 'codes' is no list of category codes; export again")
    repeated = sorted({code for code in codes if codes.count(code) > 1})
    if repeated:
        raise ArtifactError(f"{path}: codes {repeated} stand twice; export again")
    return tuple(codes)


def _read_calibration(path: Path) -> Calibration:
    values = _read_json(path)
    numbers: dict[str, float] = {}
    for field in fields(Calibration):
        value = values.get(field.name)
        if not isinstance(value, int | float) or isinstance(value, bool) or not value > 0:
            raise ArtifactError(f"{path}: {field.name} = {value!r} is no positive number")
        numbers[field.name] = float(value)
    return Calibration(**numbers)


def load_artifact(directory: Path) -> Artifact:
    """Read and verify an artifact; its ONNX graph is checked by the Classifier.

    Raises:
        ArtifactError: a file is missing, changed or contradicts another.
    """
    manifest = _read_json(directory / "manifest.json")
    _verify_files(directory, manifest)
    labels = _read_json(directory / "labels.json")
    for key, kind, table in (
        ("version", str, manifest),
        ("created_at", str, manifest),
        ("max_tokens", int, manifest),
        ("vocab_size", int, manifest),
        ("taxonomy_version", int, labels),
    ):
        if not isinstance(table.get(key), kind):
            raise ArtifactError(f"{directory}: {key} = {table.get(key)!r} is no {kind.__name__}")
    return Artifact(
        directory=directory,
        version=manifest["version"],
        created_at=manifest["created_at"],
        codes=_read_codes(directory / "labels.json", labels),
        taxonomy_version=labels["taxonomy_version"],
        max_tokens=manifest["max_tokens"],
        vocab_size=manifest["vocab_size"],
        calibration=_read_calibration(directory / "calibration.json"),
    )
