"""A training recipe: a commented TOML file read into frozen dataclasses, nothing defaulted."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

Section = TypeVar("Section")


@dataclass(frozen=True)
class DataConfig:
    """Which opinions, label space and split the recipe reads."""

    opinions: str
    splits: str
    taxonomy: str
    limit: int  # rows of each split, 0 for all


@dataclass(frozen=True)
class ModelConfig:
    """The encoder and how a text is read."""

    backbone: str  # "e5-small-zh", "random-tiny", a hub id, or a local directory
    pooling: str  # "mean" or "cls"
    dropout: float  # hidden states; attention dropout is off, which halves the time on CPUs
    train_tokens: int  # longest training input; longer ones keep head and tail
    serve_tokens: int  # longest input of the artifact, at most the encoder's positions


@dataclass(frozen=True)
class TrainConfig:
    """The optimisation."""

    seed: int
    epochs: float
    batch_size: int
    learning_rate: float  # of the top layer
    layer_decay: float  # each layer below learns by this factor slower
    head_learning_rate: float
    frozen_layers: int  # embeddings and this many lowest layers stay as they are; 0 trains all
    weight_decay: float
    warmup: float  # share of the steps
    label_smoothing: float
    secondary_share: float  # of the target that goes to the labels after the primary one
    urgency_weight: float  # of the loss on "people are in danger now" beside that on the category
    averaged_from: float  # weights are averaged from this share of the steps on; 1 for the last


@dataclass(frozen=True)
class AugmentConfig:
    """Probability, for each text each time it is read, of each change."""

    drop_title: float
    drop_punctuation: float
    typo: float


@dataclass(frozen=True)
class Config:
    """A whole recipe."""

    name: str
    data: DataConfig
    model: ModelConfig
    train: TrainConfig
    augment: AugmentConfig


def _section(kind: type[Section], table: Mapping[str, Any], where: str) -> Section:
    known = {field.name: field.type for field in fields(kind)}  # type: ignore[arg-type]
    for key in table:
        if key not in known:
            raise ValueError(f"{where}: unknown key {key!r}; known are {', '.join(known)}")
    for key, wanted in known.items():
        if key not in table:
            raise ValueError(f"{where}: key {key!r} is missing; add it")
        accepted = (int, float) if wanted is float else (wanted,)
        if type(table[key]) not in accepted:
            raise ValueError(
                f"{where}: {key} = {table[key]!r} is no {wanted.__name__}; write it as one"
            )
    return kind(**table)


def load_config(path: Path) -> Config:
    """Read a recipe.

    Raises:
        ValueError: not TOML, an unknown or missing key, a wrong type or an impossible value.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path}: not TOML: {error}; mend that line") from error
    return from_table({"name": path.stem, **table}, str(path))


def from_table(table: Mapping[str, Any], where: str) -> Config:
    """A recipe from nested mappings; `where` names their source in errors."""
    kinds: dict[str, type] = {field.name: field.type for field in fields(Config)}  # type: ignore[misc]
    for key in table:
        if key not in kinds:
            raise ValueError(f"{where}: unknown key {key!r}; known are {', '.join(kinds)}")
    name = table.get("name")
    if not isinstance(name, str):
        raise ValueError(f"{where}: name = {name!r} is no text; write a name for the run")
    parts = {
        key: _section(kind, table.get(key, {}), f"{where} [{key}]")
        for key, kind in kinds.items()
        if key != "name"
    }
    config = Config(name=name, **parts)
    _check(config, where)
    return config


def _check(config: Config, where: str) -> None:
    if config.model.pooling not in ("mean", "cls"):
        raise ValueError(f"{where}: pooling = {config.model.pooling!r}; choose 'mean' or 'cls'")
    if config.model.train_tokens < 8 or config.model.serve_tokens < 8:
        raise ValueError(f"{where}: train_tokens and serve_tokens must be 8 or more")
    if config.train.epochs <= 0 or config.train.batch_size < 1:
        raise ValueError(f"{where}: epochs and batch_size must be positive")
    if config.train.urgency_weight < 0:
        raise ValueError(f"{where}: urgency_weight must not be negative")
    train, augment = config.train, config.augment
    shares = {
        "dropout": config.model.dropout,
        "warmup": train.warmup,
        "label_smoothing": train.label_smoothing,
        "secondary_share": train.secondary_share,
        "averaged_from": train.averaged_from,
        **{field.name: getattr(augment, field.name) for field in fields(augment)},
    }
    for key, value in shares.items():
        if not 0.0 <= value <= 1.0:
            raise ValueError(f"{where}: {key} = {value} is no share; choose 0 to 1")
