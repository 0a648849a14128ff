"""Reads the body of a classification request: every opinion on its own, limits first."""

import json
import unicodedata
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from data.schema import CHANNELS
from model.calendar import SHANGHAI
from model.text import Opinion, has_words
from serving.errors import ErrorDetail, ItemError, RequestError
from serving.schema import MAX_EXTERNAL_ID, MAX_TOP_K, ClassifyRequest, OpinionInput, Submission
from serving.settings import Settings

_YEARS = range(2000, 2101)
_JSON_NAMES = {
    str: "a text",
    dict: "an object",
    list: "a list",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    type(None): "null",
}


@dataclass(frozen=True)
class Item:
    """One opinion, the moment it came in, and what else was said of it; "" for nothing."""

    opinion: Opinion
    received_at: datetime
    place: str = ""
    channel: str = ""
    external_id: str = ""


@dataclass(frozen=True)
class Job:
    """A request: its opinions in order, with what is wrong in the place of the unreadable ones."""

    items: tuple[Item | ErrorDetail, ...]
    top_k: int
    explain: bool


def parse_request(body: bytes, settings: Settings) -> Job:
    """Read a request body.

    Raises:
        RequestError: what is wrong concerns the whole request.
    """
    request = parse_json(body)
    if not isinstance(request, dict):
        raise _wrong_type("", "an object", request)
    if unknown := _first_unknown(request, ClassifyRequest.model_fields):
        raise RequestError("unknown_field", f"unknown key: use {_CLASSIFY_KEYS}", unknown)
    if "inputs" not in request:
        raise RequestError("missing_field", "give a text, an object or a list of these", "inputs")
    inputs, top_k, explain = request["inputs"], request.get("top_k", 5), request.get("explain")
    if not isinstance(inputs, str | dict | list):
        raise _wrong_type("inputs", "a text, an object or a list of these", inputs)
    if isinstance(top_k, bool) or not isinstance(top_k, int):
        raise _wrong_type("top_k", "a whole number", top_k)
    if not 1 <= top_k <= MAX_TOP_K:
        raise RequestError("out_of_range", f"must be from 1 to {MAX_TOP_K}", "top_k")
    if not isinstance(explain, bool | None):
        raise _wrong_type("explain", "true or false", explain)
    return Job(_read_items(inputs, bool(explain), settings), top_k, bool(explain))


def parse_submission(body: bytes, settings: Settings) -> tuple[bool, list[Item | ErrorDetail]]:
    """Read the body of a submission: an opinion, or a list of opinions.

    Returns:
        Whether it is a list; the opinions in order, errors in the place of the unreadable ones.

    Raises:
        RequestError: what is wrong concerns the whole request.
    """
    given = parse_json(body)
    if not isinstance(given, dict | list):
        raise _wrong_type("", "an opinion or a list of opinions", given)
    now = datetime.now(SHANGHAI).replace(microsecond=0)
    if isinstance(given, dict):
        return False, [read_item(given, "", settings.max_text_length, now, Submission)]
    if len(given) > settings.max_batch:
        message = f"{len(given)} opinions in one request: send at most {settings.max_batch}"
        raise RequestError("batch_too_large", message)
    return True, [
        read_item(value, f"[{i}]", settings.max_text_length, now, Submission)
        for i, value in enumerate(given)
    ]


def parse_json(body: bytes) -> object:
    """The body as JSON.

    Raises:
        RequestError: it is none.
    """
    try:
        return json.loads(body.decode())
    except (ValueError, RecursionError):
        raise RequestError("invalid_json", "the body is not JSON in UTF-8") from None


def read_item(
    value: object,
    field: str,
    max_length: int,
    now: datetime,
    form: type[OpinionInput] = OpinionInput,
) -> Item | ErrorDetail:
    """Read one opinion, a text or an object; say what is wrong with it where it cannot be read.

    Args:
        field: its place in what was sent, such as `inputs[1]`.
        now: its moment of receipt where it names none, an aware one.
        form: names the keys that an object may have.
    """
    try:
        return _read_item(value, field, max_length, now, form)
    except ItemError as error:
        return error.detail


def _read_items(
    inputs: str | dict[str, object] | list[object], explain: bool, settings: Settings
) -> tuple[Item | ErrorDetail, ...]:
    now = datetime.now(SHANGHAI).replace(microsecond=0)
    if not isinstance(inputs, list):
        return (read_item(inputs, "inputs", settings.max_text_length, now),)
    most = min(settings.max_batch, settings.max_explain) if explain else settings.max_batch
    if len(inputs) > most:
        with_explain = " with explain" if explain else ""
        message = f"{len(inputs)} opinions in one request: send at most {most}{with_explain}"
        raise RequestError("batch_too_large", message, "inputs")
    return tuple(
        read_item(value, f"inputs[{i}]", settings.max_text_length, now)
        for i, value in enumerate(inputs)
    )


def _read_item(
    value: object, field: str, max_length: int, now: datetime, form: type[OpinionInput]
) -> Item:
    given = {"text": value} if isinstance(value, str) else value
    if not isinstance(given, dict):
        raise ItemError("wrong_type", field, f"must be a text or an object, not {_name(value)}")
    prefix = f"{field}." if field else ""
    if unknown := _first_unknown(given, form.model_fields):
        message = f"unknown key: use {', '.join(form.model_fields)}"
        raise ItemError("unknown_field", prefix + unknown, message)
    if "text" not in given:
        raise ItemError("missing_field", f"{prefix}text", "give the text of the opinion")
    texts = dict.fromkeys(form.model_fields, "")
    for key, text in given.items():
        if text is None and key != "text":
            continue
        if not isinstance(text, str):
            raise ItemError("wrong_type", prefix + key, f"must be a text, not {_name(text)}")
        if len(text) > max_length:
            message = f"{len(text)} characters: send at most {max_length}"
            raise ItemError("text_too_long", prefix + key, message)
        texts[key] = text
    opinion = Opinion(texts["text"], texts["title"])
    if not opinion.reading.strip():
        raise ItemError("empty_text", f"{prefix}text", "the text is empty")
    if not has_words(opinion.reading):
        raise ItemError("no_words", f"{prefix}text", "the text has no letter, digit or character")
    received_at = _read_moment(texts["received_at"], f"{prefix}received_at", now)
    channel, external_id = texts.get("channel", ""), texts.get("external_id", "")
    if channel and channel not in CHANNELS:
        raise ItemError("bad_value", f"{prefix}channel", f"must be one of {', '.join(CHANNELS)}")
    if len(external_id) > MAX_EXTERNAL_ID:
        message = f"{len(external_id)} characters: send at most {MAX_EXTERNAL_ID}"
        raise ItemError("bad_value", f"{prefix}external_id", message)
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in external_id):
        message = "a control character or lone surrogate stands in it: leave it out"
        raise ItemError("bad_value", f"{prefix}external_id", message)
    return Item(opinion, received_at, texts["place"], channel, external_id)


def _read_moment(text: str, field: str, now: datetime) -> datetime:
    """A moment without a time zone is on the clock of the offices."""
    if not text:
        return now
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        message = "must be a moment such as 2026-11-23T08:00:00+08:00"
        raise ItemError("bad_datetime", field, message) from None
    try:
        in_range(moment)
    except ValueError as error:
        raise ItemError("bad_datetime", field, str(error)) from None
    return moment.replace(microsecond=0, tzinfo=moment.tzinfo or SHANGHAI)


def in_range(moment: datetime) -> datetime:
    """The moment, if it is one that an opinion may have come in at.

    Raises:
        ValueError: it is not; names the years.
    """
    if moment.year not in _YEARS:
        raise ValueError(f"must be in the years {_YEARS[0]} to {_YEARS[-1]}")
    return moment


def _wrong_type(field: str, wanted: str, value: object) -> RequestError:
    return RequestError("wrong_type", f"must be {wanted}, not {_name(value)}", field or None)


def _name(value: object) -> str:
    return _JSON_NAMES[type(value)]


def _first_unknown(given: Mapping[str, object], known: Collection[str]) -> str | None:
    """The first unknown key, short and in characters that any answer can carry."""
    unknown = next((key for key in given if key not in known), None)
    return None if unknown is None else repr(unknown)[1:-1][:60]


_CLASSIFY_KEYS = ", ".join(ClassifyRequest.model_fields)
