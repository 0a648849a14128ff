"""Fine-tune the classifier by a recipe.

    python -m training train training/configs/full.toml     # about 45 minutes on 2 cores
    python -m training train training/configs/tiny.toml     # a minute, random two-layer encoder

Writes var/runs/<name>/: checkpoints that a stopped run resumes from, log.jsonl (one line a logged
step), and model/, the final weights with the tokenizer and the resolved recipe.
"""

import hashlib
import json
import math
import random
import time
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from datasets import Dataset
from safetensors.torch import load_file, save_file
from sklearn.metrics import f1_score
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.optim import AdamW
from transformers import AutoTokenizer, Trainer, TrainerCallback, TrainingArguments

from model.tokens import Reader, pad
from training import backbone, network
from training.augment import augment
from training.config import AugmentConfig, Config, TrainConfig, from_table
from training.corpus import Corpus, batches, load_corpus, primary_ids, reading, target
from training.network import OpinionNetwork

RUNS = Path("var/runs")
HEAD_INIT_ROWS = 40  # of each category, for the centroids the head starts from
HEAD_INIT_SCALE = 10.0  # logits per unit of cosine; spreads them like a trained head's
EVAL_BATCH = 32


class Collator:
    """Augments and tokenises the texts of a batch (training) or only tokenises (evaluation)."""

    def __init__(self, reader: Reader, changes: AugmentConfig | None, seed: int) -> None:
        self.reader = reader
        self.changes = changes
        self.rng = random.Random(seed)

    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, Tensor]:
        texts = [row["text"] for row in rows]
        if self.changes:
            texts = [augment(text, self.changes, self.rng) for text in texts]
        ids, mask = pad([item.ids for item in self.reader.encode(texts)])
        return {
            "input_ids": torch.from_numpy(ids),
            "attention_mask": torch.from_numpy(mask),
            "labels": torch.tensor([row["target"] for row in rows]),
            "urgent": torch.tensor([row["urgent"] for row in rows], dtype=torch.float32),
        }


class WeightAverage(TrainerCallback):
    """Running mean of the weights over the last part of a run, kept with the checkpoints."""

    def __init__(self, net: OpinionNetwork, start: float) -> None:
        self.net = net
        self.start = start
        self.mean: dict[str, Tensor] = {}
        self.count = 0

    def resume(self, checkpoint: Path) -> None:
        saved = checkpoint / "average.safetensors"
        if saved.exists():
            self.mean = load_file(saved)
            self.count = int(self.mean.pop("count"))

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
        if state.global_step < self.start * state.max_steps:
            return
        self.count += 1
        for name, value in self.net.state_dict().items():
            if name in self.mean:
                self.mean[name].lerp_(value.cpu(), 1.0 / self.count)
            else:
                self.mean[name] = value.cpu().clone()

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
        if self.count:
            directory = Path(args.output_dir) / f"checkpoint-{state.global_step}"
            save_file(
                {**self.mean, "count": torch.tensor(self.count)}, directory / "average.safetensors"
            )


class ProgressLog(TrainerCallback):
    """Appends each logged step to log.jsonl and prints it with the time left."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
        self.began, self.first = time.monotonic(), state.global_step

    def on_log(self, args: Any, state: Any, control: Any, logs: Any, **_: Any) -> None:  # noqa: ARG002
        done = max(1, state.global_step - self.first)
        left = (time.monotonic() - self.began) / done * (state.max_steps - state.global_step)
        line = {"step": state.global_step, "of": state.max_steps, "minutes_left": left / 60} | logs
        with self.path.open("a", encoding="utf-8") as log:
            log.write(json.dumps(line) + "\n")
        shown = ", ".join(f"{k} {v:.4g}" for k, v in logs.items() if isinstance(v, int | float))
        print(f"step {state.global_step}/{state.max_steps}, {left / 60:.1f} min left: {shown}")


class SoftTargetTrainer(Trainer):
    """Cross-entropy against the rows' label shares, smoothed, with urgency beside it."""

    smoothing = 0.0
    urgency_weight = 0.0

    def compute_loss(
        self, model: nn.Module, inputs: Any, return_outputs: bool = False, **_: Any
    ) -> Any:
        targets = inputs.pop("labels")
        urgent = inputs.pop("urgent")
        logits, embedding = model(**inputs)
        smooth = targets * (1.0 - self.smoothing) + self.smoothing / targets.shape[1]
        loss = -(smooth * logits.float().log_softmax(-1)).sum(-1).mean()
        danger = model.urgency(embedding).squeeze(-1).float()
        loss = loss + self.urgency_weight * binary_cross_entropy_with_logits(danger, urgent)
        return (loss, {"logits": logits}) if return_outputs else loss


def prepare_backbone(name: str) -> Path | str:
    """Directory or hub id of the encoder; the default one is unpacked on first use."""
    if name in (backbone.NAME, "random-tiny"):
        return backbone.unpack(Path("var/backbone") / backbone.NAME)
    return name


def parameter_groups(net: OpinionNetwork, config: TrainConfig) -> list[dict[str, Any]]:
    """Optimiser groups: the head, then each layer with a rate that falls towards the bottom."""
    groups: list[dict[str, Any]] = [
        {
            "params": [*net.head.parameters(), *net.urgency.parameters()],
            "lr": config.head_learning_rate,
        }
    ]
    layers = net.layers()
    for depth, parameters in enumerate(layers):
        if config.frozen_layers and depth <= config.frozen_layers:
            for parameter in parameters:
                parameter.requires_grad_(False)
            continue
        rate = config.learning_rate * config.layer_decay ** (len(layers) - 1 - depth)
        groups.append({"params": parameters, "lr": rate})
    return groups


def start_head_from_centroids(
    net: OpinionNetwork, corpus: Corpus, reader: Reader, seed: int
) -> None:
    """Set the head so that its logits are scaled similarities to the categories' mean embeddings.

    A random head would spend the first epoch on what the encoder knows already.
    """
    codes = corpus.taxonomy.codes
    rows = list(corpus.splits["train"])
    random.Random(seed).shuffle(rows)
    chosen = [
        row for code in codes for row in [r for r in rows if r.labels[0] == code][:HEAD_INIT_ROWS]
    ]
    places: list[int] = []
    parts: list[Tensor] = []
    net.eval()
    for some, batch in batches([reading(row) for row in chosen], reader, EVAL_BATCH):
        places += some
        parts.append(network.run(net, [batch])[1])
    embeddings = torch.cat(parts)
    labels = torch.from_numpy(primary_ids(chosen, codes))[places]
    middle = embeddings.mean(0)
    scale = HEAD_INIT_SCALE / (embeddings - middle).norm(dim=1).mean()
    with torch.no_grad():
        for i in range(len(codes)):
            members = embeddings[labels == i]
            if len(members):
                direction = nn.functional.normalize(members.mean(0) - middle, dim=0)
                net.head.weight[i] = direction * scale
        net.head.bias.copy_(-(net.head.weight @ middle.to(net.head.weight.device)))


def measure(prediction: Any) -> dict[str, float]:
    """Primary accuracy and macro-F1 of a Trainer evaluation."""
    predicted = prediction.predictions.argmax(-1)
    wanted = prediction.label_ids.argmax(-1)
    present = np.unique(wanted)
    macro = f1_score(wanted, predicted, labels=present, average="macro", zero_division=0)
    return {"primary_accuracy": float((predicted == wanted).mean()), "macro_f1": float(macro)}


def to_dataset(corpus: Corpus, side: str, secondary_share: float) -> Dataset:
    """A datasets.Dataset with text, target (K,) and length (characters) of one split."""
    codes = corpus.taxonomy.codes
    rows = corpus.splits[side]
    return Dataset.from_dict(
        {
            "text": [reading(row) for row in rows],
            "target": [target(row.labels, codes, secondary_share) for row in rows],
            "urgent": [row.urgent for row in rows],
            "length": [len(row.text) for row in rows],
        }
    )


def latest_checkpoint(run: Path) -> Path | None:
    """The checkpoint with the highest step, if any."""
    found = sorted(run.glob("checkpoint-*"), key=lambda p: int(p.name.rsplit("-", 1)[1]))
    return found[-1] if found else None


def train(config: Config, run: Path) -> Path:
    """Train by `config` in directory `run`, going on from its latest checkpoint.

    Returns:
        The directory of the final weights, `run`/model.

    Raises:
        ValueError: the recipe or the data is wrong, or `run` was begun with another recipe.
    """
    run.mkdir(parents=True, exist_ok=True)
    remember_recipe(config, run)
    transformers.set_seed(config.train.seed)
    torch.set_flush_denormal(True)
    corpus = load_corpus(config.data)
    source = prepare_backbone(config.model.backbone)
    tokenizer = AutoTokenizer.from_pretrained(source)
    (run / "model").mkdir(exist_ok=True)
    tokenizer.backend_tokenizer.save(str(run / "model" / "tokenizer.json"))
    reader = Reader.load(run / "model" / "tokenizer.json", config.model.train_tokens)
    net = network.build(config.model, source, len(corpus.taxonomy.codes), len(tokenizer))
    checkpoint = latest_checkpoint(run)
    if checkpoint is None:
        start_head_from_centroids(net, corpus, reader, config.train.seed)

    data = {s: to_dataset(corpus, s, config.train.secondary_share) for s in ("train", "validation")}
    steps = math.ceil(len(data["train"]) / config.train.batch_size) * config.train.epochs
    arguments = TrainingArguments(
        output_dir=str(run),
        num_train_epochs=config.train.epochs,
        per_device_train_batch_size=config.train.batch_size,
        per_device_eval_batch_size=EVAL_BATCH,
        train_sampling_strategy="group_by_length",
        lr_scheduler_type="linear",
        warmup_steps=int(steps * config.train.warmup),
        bf16=has_bf16(),
        logging_steps=max(1, int(steps) // 60),
        eval_strategy="epoch",
        save_steps=max(20, int(steps) // 6),
        save_total_limit=1,
        seed=config.train.seed,
        remove_unused_columns=False,
        label_names=["labels"],
        report_to="none",
        disable_tqdm=True,
        use_cpu=not torch.cuda.is_available(),
    )
    average = WeightAverage(net, config.train.averaged_from)
    if checkpoint:
        average.resume(checkpoint)
        print(f"going on from {checkpoint}")
    groups = parameter_groups(net, config.train)
    trainer = SoftTargetTrainer(
        model=net,
        args=arguments,
        data_collator=Collator(reader, config.augment, config.train.seed),
        train_dataset=data["train"],
        eval_dataset=data["validation"],
        compute_metrics=measure,
        optimizers=(AdamW(groups, weight_decay=config.train.weight_decay), None),  # type: ignore[arg-type]
        callbacks=[average, ProgressLog(run / "log.jsonl")],
    )
    trainer.smoothing = config.train.label_smoothing
    trainer.urgency_weight = config.train.urgency_weight
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)

    if average.count:
        net.load_state_dict(average.mean)
        print("averaged weights:", trainer.evaluate())
    network.save(net, run / "model", corpus.taxonomy.codes)
    return run / "model"


def has_bf16() -> bool:
    """Whether bfloat16 is native here: CUDA with support, or a CPU with AVX512-BF16 or AMX."""
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported()
    return bool(torch.backends.cpu.get_cpu_capability() == "AVX512") and bool(
        torch.cpu._is_avx512_bf16_supported()
    )


def load_recipe(run: Path) -> tuple[Config, dict[str, Any]]:
    """The recipe of a run as `remember_recipe` wrote it, and the whole record."""
    record = json.loads((run / "recipe.json").read_text(encoding="utf-8"))
    return from_table(record["config"], str(run / "recipe.json")), record


def remember_recipe(config: Config, run: Path) -> None:
    """Write the resolved recipe, data hash and versions once; a different one is refused."""
    digest = hashlib.sha256(Path(config.data.opinions).read_bytes()).hexdigest()
    record = {
        "config": asdict(config),
        "data_sha256": digest,
        "versions": {name: version(name) for name in ("torch", "transformers", "datasets")},
    }
    path = run / "recipe.json"
    if path.exists():
        before = json.loads(path.read_text(encoding="utf-8"))
        for key in ("config", "data_sha256"):
            if before[key] != record[key]:
                raise ValueError(
                    f"{run}: was begun with another {key}; choose another --run or delete it"
                )
        return
    path.write_text(json.dumps(record, indent=2, ensure_ascii=False), encoding="utf-8")
