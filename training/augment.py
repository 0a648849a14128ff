"""Small changes to a training text that leave its matter as it is."""

import random
import re

from training.config import AugmentConfig

_TITLE = re.compile(r"^([^。！？!?]{4,40}[。！？!?])(?=.{30})", re.DOTALL)
_PUNCTUATION = re.compile(r"[，。！？、；：,.!?;:]+")
# Characters that Chinese input methods confuse: same or similar sound.
_HOMOPHONES = (
    "的得地", "在再", "他她它", "做作坐", "那哪", "以已", "是事", "象像", "到道", "没每",
    "有又", "以一", "进近", "长常", "只指", "请清", "只知", "向像", "停庭", "电店",
    "路录", "修休", "水睡", "楼搂", "物务", "业页", "区去", "车扯", "声生", "噪燥",
    "管馆", "站战", "园圆", "墙强", "梯体",
)  # fmt: skip
_CONFUSED = {c: group.replace(c, "") for group in _HOMOPHONES for c in group}


def augment(text: str, config: AugmentConfig, rng: random.Random) -> str:
    """One training text, changed by the probabilities of `config`.

    Args:
        text: the text.
        config: probabilities.
        rng: source of chance.

    Returns:
        The changed text, or `text` itself.
    """
    if rng.random() < config.drop_title:
        text = _TITLE.sub("", text)
    if rng.random() < config.drop_punctuation:
        text = _PUNCTUATION.sub(lambda _: rng.choice(("", " ")), text)
    if rng.random() < config.typo:
        characters = list(text)
        for place, character in enumerate(characters):
            if character in _CONFUSED and rng.random() < 0.1:
                characters[place] = rng.choice(_CONFUSED[character])
        text = "".join(characters)
    return text
