"""The text of an opinion as the model reads it."""

import pytest

from model.text import Opinion, has_words


@pytest.mark.parametrize(
    ("title", "text", "reading"),
    [
        ("", "电梯坏了", "电梯坏了"),
        ("求助", "电梯坏了", "求助。电梯坏了"),
        ("怎么又停电？", "已经三天", "怎么又停电？已经三天"),
    ],
)
def test_title_and_body_become_one_reading(title: str, text: str, reading: str) -> None:
    assert Opinion(text, title).reading == reading


def test_unreadable_characters_become_spaces_one_for_one() -> None:
    text = "电\x00梯\ud800困\n人\x85了"
    assert Opinion(text).reading == "电 梯 困 人 了"
    assert len(Opinion(text).reading) == len(text)


@pytest.mark.parametrize("text", ["", "  ", "😡😡", "。。。！？", "\x00\ud800"])
def test_text_without_a_letter_has_no_words(text: str) -> None:
    assert not has_words(text)


@pytest.mark.parametrize("text", ["停水", "WIFI", "110", "😡气死了", "電梯"])
def test_letters_digits_and_han_are_words(text: str) -> None:
    assert has_words(text)
