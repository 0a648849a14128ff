"""Augmentation changes the form of a text, never loses it."""

import random
from dataclasses import replace

from training.augment import augment
from training.config import AugmentConfig

OFF = AugmentConfig(drop_title=0.0, drop_punctuation=0.0, typo=0.0)
LETTER = (
    "关于路灯的建议。我家门口的路灯坏了三个月了，晚上老人回家看不见路，打电话没有人接，请尽快修理。"
)


def test_nothing_changes_at_probability_zero() -> None:
    assert augment(LETTER, OFF, random.Random(1)) == LETTER


def test_title_is_dropped() -> None:
    changed = augment(LETTER, replace(OFF, drop_title=1.0), random.Random(1))
    assert changed == LETTER.removeprefix("关于路灯的建议。")


def test_short_text_keeps_its_only_sentence() -> None:
    assert augment("路灯坏了。", replace(OFF, drop_title=1.0), random.Random(1)) == "路灯坏了。"


def test_punctuation_is_dropped() -> None:
    changed = augment(LETTER, replace(OFF, drop_punctuation=1.0), random.Random(1))
    assert not set("，。") & set(changed)
    assert "".join(changed.split()) == LETTER.replace("，", "").replace("。", "")


def test_typos_keep_the_length_and_most_characters() -> None:
    changed = augment(LETTER * 5, replace(OFF, typo=1.0), random.Random(1))
    assert changed != LETTER * 5
    assert len(changed) == len(LETTER * 5)
    same = sum(a == b for a, b in zip(changed, LETTER * 5, strict=True))
    assert same / len(changed) > 0.9


def test_same_seed_same_change() -> None:
    half = AugmentConfig(drop_title=0.5, drop_punctuation=0.5, typo=0.5)
    assert augment(LETTER, half, random.Random(3)) == augment(LETTER, half, random.Random(3))
