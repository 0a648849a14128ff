"""Readings to token ids."""

from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from model.tokens import Reader, pad


@pytest.fixture
def tokenizer() -> Tokenizer:
    vocab = {"<s>": 0, "</s>": 1, "<unk>": 2, **{chr(97 + i): 3 + i for i in range(26)}}
    tokenizer = Tokenizer(models.WordLevel(vocab, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 1)]
    )
    return tokenizer


def test_short_text_is_read_whole(tokenizer: Tokenizer) -> None:
    (item,) = Reader(tokenizer, 8).encode(["abc"])
    assert item.ids == [0, 3, 4, 5, 1]
    assert item.offsets == [(0, 0), (0, 1), (1, 2), (2, 3), (0, 0)]
    assert not item.truncated


def test_long_text_keeps_head_and_tail_and_says_so(tokenizer: Tokenizer) -> None:
    (item,) = Reader(tokenizer, 10).encode(["abcdefghijklmnopqrstuvwxyz"])
    assert item.truncated
    assert len(item.ids) == 10
    assert [start for start, _ in item.offsets[1:-1]] == [0, 1, 2, 3, 4, 5, 24, 25]


def test_text_of_exactly_the_room_is_not_truncated(tokenizer: Tokenizer) -> None:
    (item,) = Reader(tokenizer, 10).encode(["abcdefgh"])
    assert not item.truncated


def test_truncation_saved_in_the_tokenizer_is_ignored(tokenizer: Tokenizer, tmp_path: Path) -> None:
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=20)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    (item,) = Reader.load(tmp_path / "tokenizer.json", 64).encode(["abcdefgh"])
    assert len(item.ids) == 10


def test_tokenizer_without_bert_frame_is_refused() -> None:
    bare = Tokenizer(models.WordLevel({"<unk>": 0}, unk_token="<unk>"))
    with pytest.raises(ValueError, match="0 special tokens, expected 2"):
        Reader(bare, 8)


def test_padding_is_masked() -> None:
    ids, mask = pad([[5, 6, 7], [8]])
    assert ids.tolist() == [[5, 6, 7], [8, 0, 0]]
    assert mask.tolist() == [[1, 1, 1], [1, 0, 0]]
