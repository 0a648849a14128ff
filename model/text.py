"""The text of an opinion as the model reads it."""

from dataclasses import dataclass
from functools import cached_property

_SENTENCE_ENDS = "。！？!?…；;：:，,.~～"


def _is_readable(character: str) -> bool:
    """Lone surrogates and control characters have no place in a tokenizer's input."""
    code = ord(character)
    return not (code < 0x20 or 0x7F <= code < 0xA0 or 0xD800 <= code <= 0xDFFF)


@dataclass(frozen=True)
class Opinion:
    """What a resident wrote.

    Attributes:
        text: the body.
        title: the headline, where the channel has one.
    """

    text: str
    title: str = ""

    @cached_property
    def reading(self) -> str:
        """Title and body in one line; offsets of spans count its code points.

        A title that ends in no punctuation is closed with "。". Characters that no tokenizer
        takes become spaces one for one, so that offsets stay those of what was sent.
        """
        title = self.title
        if title and title[-1] not in _SENTENCE_ENDS:
            title += "。"
        joined = title + self.text
        return "".join(c if _is_readable(c) else " " for c in joined)


def has_words(text: str) -> bool:
    """Whether `text` holds at least one letter, digit or Han character."""
    return any(c.isalnum() for c in text)
