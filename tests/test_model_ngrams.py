"""Votes of hashed character n-grams, from counting to weighing."""

from pathlib import Path

import numpy as np
import pytest

from data.schema import LabelledOpinion
from model.ngrams import BUCKETS, HIDDEN, NgramVotes, hash_ngrams
from training.ngrams import fit_votes, fit_weight, weigh

CODES = ("elevator", "parking", "other")
TEXTS = {
    "elevator": ["电梯坏了", "电梯又停了", "三号电梯异响", "电梯门关不上"],
    "parking": ["车位不够", "乱停车", "停车收费太贵", "车位被占"],
}


@pytest.fixture(scope="module")
def votes() -> NgramVotes:
    rows = [
        LabelledOpinion(f"{code}-{i}", text, (code,), False, "group", "test")
        for code, texts in TEXTS.items()
        for i, text in enumerate(texts)
    ]
    return fit_votes(rows, CODES)


def test_characters_and_pairs_are_counted() -> None:
    buckets, counts = hash_ngrams("电梯电梯")
    assert len(buckets) == 4  # 电, 梯, 电梯, 梯电
    assert sorted(np.exp(counts - 1).round()) == [1, 2, 2, 2]
    assert buckets.min() >= 0
    assert buckets.max() < BUCKETS


def test_hash_never_changes() -> None:
    """Weights in released artifacts stand at these places."""
    assert hash_ngrams("电梯")[0].tolist() == [4016, 28791, 181630]


def test_hidden_characters_take_their_pairs_with_them() -> None:
    seen = set(hash_ngrams("电梯")[0].tolist())
    assert set(hash_ngrams(f"电梯{HIDDEN}坏")[0].tolist()) - seen == set(hash_ngrams("坏")[0])


def test_empty_and_hidden_texts_give_the_bias(votes: NgramVotes) -> None:
    for text in ("", HIDDEN * 3):
        assert votes([text])[0] == pytest.approx(votes.bias)


def test_votes_favour_what_the_words_say(votes: NgramVotes) -> None:
    elevator, parking = votes(["电梯又坏了", "没有车位"])
    assert CODES[int(elevator.argmax())] == "elevator"
    assert CODES[int(parking.argmax())] == "parking"


def test_label_without_rows_never_leads(votes: NgramVotes) -> None:
    for text in ("电梯", "车位", "今天天气很好"):
        assert votes([text])[0].argmax() != CODES.index("other")


def test_saved_votes_are_the_same(votes: NgramVotes, tmp_path: Path) -> None:
    votes.save(tmp_path / "ngrams.npz")
    again = NgramVotes.load(tmp_path / "ngrams.npz", 3)
    assert np.array_equal(again(["电梯坏了"]), votes(["电梯坏了"]))


def test_votes_for_another_number_of_labels_are_refused(votes: NgramVotes, tmp_path: Path) -> None:
    votes.save(tmp_path / "ngrams.npz")
    with pytest.raises(ValueError, match=r"weights are \(262144, 3\), expected \(262144, 44\)"):
        NgramVotes.load(tmp_path / "ngrams.npz", 44)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 half", b"no archive"])
def test_broken_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "ngrams.npz").write_bytes(content)
    with pytest.raises(ValueError, match=r"ngrams\.npz: no n-gram weights"):
        NgramVotes.load(tmp_path / "ngrams.npz", 3)


def test_weight_follows_who_is_right() -> None:
    rng = np.random.default_rng(0)
    wanted = rng.integers(0, 3, 600)
    right = (np.eye(3)[wanted] * 2 + rng.normal(size=(600, 3))).astype(np.float32)
    noise = rng.normal(size=(600, 3)).astype(np.float32)
    assert fit_weight(noise, right, wanted) > 4
    assert fit_weight(right, noise, wanted) < 1


def test_weighing_scales_votes(votes: NgramVotes) -> None:
    assert weigh(votes, 3.0)(["电梯坏了"]) == pytest.approx(3 * votes(["电梯坏了"]), rel=1e-5)
