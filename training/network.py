"""The network: a BERT encoder, one pooled embedding, linear heads for categories and urgency."""

import json
from pathlib import Path

import torch
from safetensors.torch import load_model, save_model
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, BertConfig, PreTrainedModel

from training.config import ModelConfig


class OpinionNetwork(nn.Module):
    """Logits over K categories and the pooled embedding they are read from."""

    def __init__(self, encoder: PreTrainedModel, n_labels: int, pooling: str) -> None:
        super().__init__()
        self.encoder = encoder
        self.pooling = pooling
        self.dropout = nn.Dropout(encoder.config.hidden_dropout_prob)
        self.head = nn.Linear(encoder.config.hidden_size, n_labels)
        self.urgency = nn.Linear(encoder.config.hidden_size, 1)

    def embed(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Pooled embedding, (N, H)."""
        states: Tensor = self.encoder(
            input_ids=input_ids, attention_mask=attention_mask
        ).last_hidden_state
        if self.pooling == "cls":
            return states[:, 0]
        mask = attention_mask.unsqueeze(-1).to(states.dtype)
        return (states * mask).sum(1) / mask.sum(1)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (N, K) and embedding (N, H)."""
        embedding = self.embed(input_ids, attention_mask)
        return self.head(self.dropout(embedding)), embedding

    def layers(self) -> list[list[nn.Parameter]]:
        """Encoder parameters from the embeddings (first) up to the top layer (last)."""
        blocks = self.encoder.get_submodule("encoder.layer")
        return [
            list(self.encoder.get_submodule("embeddings").parameters()),
            *[list(block.parameters()) for block in blocks.children()],
        ]


def build(config: ModelConfig, backbone: Path | str, n_labels: int, vocab_size: int) -> nn.Module:
    """A network with a pretrained encoder and an untrained head.

    `random-tiny` gives a random two-layer encoder, for tests and for trying the pipeline.
    """
    dropouts = {
        "hidden_dropout_prob": config.dropout,
        "attention_probs_dropout_prob": 0.0,
    }
    if config.backbone == "random-tiny":
        tiny = BertConfig(
            vocab_size=vocab_size,
            hidden_size=64,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=128,
            **dropouts,
        )
        encoder = AutoModel.from_config(tiny, add_pooling_layer=False)
    else:
        encoder = AutoModel.from_pretrained(backbone, add_pooling_layer=False, **dropouts)
    positions = encoder.config.max_position_embeddings
    for key in ("train_tokens", "serve_tokens"):
        if getattr(config, key) > positions:
            raise ValueError(
                f"model.{key} = {getattr(config, key)} exceeds the {positions} positions of "
                f"{config.backbone}; lower it"
            )
    return OpinionNetwork(encoder, n_labels, config.pooling)


def save(network: OpinionNetwork, directory: Path, codes: tuple[str, ...]) -> None:
    """Write weights, encoder configuration, pooling and the ordered label codes."""
    directory.mkdir(parents=True, exist_ok=True)
    network.encoder.config.save_pretrained(directory)
    save_model(network, str(directory / "network.safetensors"))
    head = {"pooling": network.pooling, "codes": list(codes)}
    (directory / "network.json").write_text(json.dumps(head, indent=2), encoding="utf-8")


def load(directory: Path) -> tuple[OpinionNetwork, tuple[str, ...]]:
    """Read what `save` wrote: the network in evaluation mode, and its ordered codes."""
    head = json.loads((directory / "network.json").read_text(encoding="utf-8"))
    encoder = AutoModel.from_config(AutoConfig.from_pretrained(directory), add_pooling_layer=False)
    network = OpinionNetwork(encoder, len(head["codes"]), head["pooling"])
    load_model(network, str(directory / "network.safetensors"))
    return network.eval(), tuple(head["codes"])


@torch.inference_mode()
def run(network: OpinionNetwork, batches: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """Logits (N, K) and embeddings (N, H) of padded batches, in order, on the network's device."""
    device = next(network.parameters()).device
    outputs = [network(ids.to(device), mask.to(device)) for ids, mask in batches]
    return torch.cat([o[0].cpu() for o in outputs]), torch.cat([o[1].cpu() for o in outputs])
