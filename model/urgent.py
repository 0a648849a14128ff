"""Whether people are in danger now: phrases from data/urgent.yaml, read with their clause."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from model.yaml_file import Section, read_yaml

# How many characters around a phrase are read; a bound keeps endless texts linear.
_REACH = 60


@dataclass(frozen=True)
class UrgentMatch:
    """The phrase that fired, as it stands in the text, and its place in code points."""

    phrase: str
    start: int
    end: int


@dataclass(frozen=True)
class Cues:
    """What around a phrase says that nobody is in danger now.

    Attributes:
        clause_before: denial, fear, supposition; read in the clause up to the phrase.
        clause_after: the phrase is part of a name or a question; read in the rest of the clause.
        past: a time gone by; read in the sentence up to the phrase.
        present: undoes every `past` before it.
        settled: the danger is over; read from the phrase to the end of the next sentence.
    """

    clause_before: re.Pattern[str]
    clause_after: re.Pattern[str]
    past: re.Pattern[str]
    present: re.Pattern[str]
    settled: re.Pattern[str]


@dataclass(frozen=True)
class UrgentDetector:
    """Finds phrases of present danger.

    Attributes:
        danger: phrases that fire by themselves; deep inside a text they need an alarm or a
            present cue.
        threat: phrases that fire only near an alarm, or at the opening of a text that has one.
        alarm: calls for help at once.
        variants: one character read as another, such as traditional as simplified.
    """

    danger: re.Pattern[str]
    threat: re.Pattern[str]
    alarm: re.Pattern[str]
    cues: Cues
    clause_end: re.Pattern[str]
    sentence_end: re.Pattern[str]
    variants: dict[int, str]

    def find(self, text: str) -> UrgentMatch | None:
        """The first phrase of present danger in the text."""
        reading = text.translate(self.variants)
        alarmed = self.alarm.search(reading) is not None
        for match in self._phrases(reading, alarmed):
            if self._is_present(reading, match, alarmed):
                start, end = match.span()
                return UrgentMatch(text[start:end], start, end)
        return None

    def _phrases(self, reading: str, alarmed: bool) -> Iterator[re.Match[str]]:
        yield from self.danger.finditer(reading)
        if alarmed:
            for match in self.threat.finditer(reading):
                around = reading[max(0, match.start() - _REACH) : match.end() + _REACH]
                if match.start() < _REACH or self.alarm.search(around):
                    yield match

    def _is_present(self, reading: str, match: re.Match[str], alarmed: bool) -> bool:
        lead = reading[max(0, match.start() - _REACH) : match.start()]
        tail = reading[match.end() : match.end() + _REACH]
        sentence = self.sentence_end.split(lead)[-1]
        clause = self.clause_end.split(sentence)[-1]
        # The phrase may hold the time itself: 孩子上周从楼上摔下去.
        told = sentence + match.group()
        # A letter opens with what it is about; deep inside, an event without a call for help
        # or a word for now is a story.
        if match.start() > _REACH and not (alarmed or self.cues.present.search(told)):
            return False
        return not (
            self.cues.past.search(self.cues.present.split(told)[-1])
            or self.cues.clause_before.search(clause)
            or self.cues.clause_after.match(tail)
            or self.cues.settled.search(" ".join(self.sentence_end.split(tail)[:2]))
        )


def load_urgent(path: Path) -> UrgentDetector:
    """Read the phrases and cues.

    Raises:
        ValueError: names the file, the field, the value and the remedy.
    """
    file = read_yaml(path)
    file.only("danger", "threat", "alarm", "cues", "clause_end", "sentence_end", "variants")
    cues = file.section("cues")
    names = ("clause_before", "clause_after", "past", "present", "settled")
    cues.only(*names)
    return UrgentDetector(
        danger=_any_of_groups(file.section("danger")),
        threat=_any_of_groups(file.section("threat")),
        alarm=_any_of(file, "alarm"),
        cues=Cues(**{name: _any_of(cues, name) for name in names}),
        clause_end=_any_of(file, "clause_end"),
        sentence_end=_any_of(file, "sentence_end"),
        variants=_variants(file),
    )


def _any_of_groups(section: Section) -> re.Pattern[str]:
    groups = [_any_of(section, str(name)) for name in section.values]
    return re.compile("|".join(group.pattern for group in groups))


def _any_of(section: Section, key: str) -> re.Pattern[str]:
    patterns = section.texts(key)
    if not patterns:
        raise section.fault(key, "list at least one regular expression")
    for pattern in patterns:
        try:
            compiled = re.compile(pattern)
        except re.error as error:
            raise section.fault(key, f"{pattern!r} is no regular expression ({error})") from error
        if compiled.search(""):
            raise section.fault(key, f"{pattern!r} matches an empty text: make it need a character")
        if compiled.groups:
            raise section.fault(key, f"{pattern!r} captures: write (?:...) for (...)")
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns))


def _variants(file: Section) -> dict[int, str]:
    pairs = file.texts("variants")
    for pair in pairs:
        if len(pair) != 2:
            raise file.fault(
                "variants", f"write {pair!r} as two characters: the variant, then its reading"
            )
    return {ord(pair[0]): pair[1] for pair in pairs}
