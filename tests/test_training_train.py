"""A training run: what it leaves behind, going on after a stop, refusing another recipe."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from model.labels import load_taxonomy
from training import network, train
from training.config import Config, load_config
from training.corpus import target
from training.train import ProgressLog, load_recipe, parameter_groups


@pytest.fixture
def recipe() -> Config:
    config = load_config(Path("training/configs/tiny.toml"))
    return replace(config, data=replace(config.data, limit=100))


def logged_steps(run: Path) -> list[int]:
    lines = (run / "log.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["step"] for line in lines]


def test_run_leaves_weights_recipe_and_log(tiny_run: Path, recipe: Config) -> None:
    net, codes = network.load(tiny_run / "model")
    assert codes == load_taxonomy(Path("data/taxonomy.yaml")).codes
    assert net.head.out_features == len(codes)
    config, record = load_recipe(tiny_run)
    assert config == recipe
    assert set(record["versions"]) == {"torch", "transformers", "datasets"}
    lines = [json.loads(line) for line in (tiny_run / "log.jsonl").read_text().splitlines()]
    assert any("loss" in line for line in lines)
    assert any("eval_primary_accuracy" in line for line in lines)
    assert all("minutes_left" in line for line in lines)


def test_stopped_run_goes_on_from_its_checkpoint(
    recipe: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = replace(recipe, train=replace(recipe.train, epochs=8.0, averaged_from=0.2))
    run = tmp_path / "run"
    log = ProgressLog.on_log

    def stop_at_30(self: Any, args: Any, state: Any, control: Any, logs: Any, **rest: Any) -> None:
        log(self, args, state, control, logs, **rest)
        if state.global_step >= 30:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(ProgressLog, "on_log", stop_at_30)
        with pytest.raises(KeyboardInterrupt):
            train.train(recipe, run)
    stopped = len(logged_steps(run))
    assert not (run / "model" / "network.safetensors").exists()
    train.train(recipe, run)
    assert min(logged_steps(run)[stopped:]) > 20  # the checkpoint, not the beginning
    assert (run / "model" / "network.safetensors").exists()


def test_run_of_another_recipe_is_refused(tiny_run: Path, recipe: Config) -> None:
    other = replace(recipe, train=replace(recipe.train, seed=8))
    with pytest.raises(ValueError, match="begun with another config"):
        train.train(other, tiny_run)


def test_more_tokens_than_positions_are_refused(recipe: Config, tmp_path: Path) -> None:
    long = replace(recipe, model=replace(recipe.model, serve_tokens=4096))
    with pytest.raises(ValueError, match=r"model\.serve_tokens = 4096 exceeds the 512 positions"):
        train.train(long, tmp_path / "run")


def test_lower_layers_learn_slower_and_frozen_ones_not(tiny_run: Path, recipe: Config) -> None:
    net, _ = network.load(tiny_run / "model")
    rates = [group["lr"] for group in parameter_groups(net, recipe.train)]
    assert rates[0] == recipe.train.head_learning_rate
    assert rates[1:] == sorted(rates[1:])
    parameter_groups(net, replace(recipe.train, frozen_layers=1))
    embeddings, first, second = net.layers()
    assert not any(p.requires_grad for p in [*embeddings, *first])
    assert all(p.requires_grad for p in second)


def test_labels_share_the_target() -> None:
    codes = ("a", "b", "c")
    assert target(("b",), codes, 0.25) == [0.0, 1.0, 0.0]
    assert target(("b", "c"), codes, 0.25) == [0.0, 0.75, 0.25]
    assert target(("b", "c", "a"), codes, 0.2) == [0.1, 0.8, 0.1]


def test_saved_network_answers_as_before(tiny_run: Path, tmp_path: Path) -> None:
    net, codes = network.load(tiny_run / "model")
    network.save(net, tmp_path / "again", codes)
    again, _ = network.load(tmp_path / "again")
    ids = torch.randint(5, 1000, (3, 12))
    before, _ = network.run(net, [(ids, torch.ones_like(ids))])
    after, _ = network.run(again, [(ids, torch.ones_like(ids))])
    assert torch.equal(before, after)
