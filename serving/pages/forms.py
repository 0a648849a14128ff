"""Reads the forms of pages, within bounds and after it is known who asks."""

from collections.abc import Awaitable, Callable
from typing import TypeVar, get_origin
from urllib.parse import parse_qsl

from fastapi import Request
from pydantic import BaseModel, ValidationError

from serving.errors import RequestError
from serving.limits import read_whole
from serving.settings import Settings

MAX_FIELDS = 1_000
Form = TypeVar("Form", bound=BaseModel)


def form(model: type[Form]) -> Callable[[Request], Awaitable[Form]]:
    """A dependency that reads the fields of a form; name it after the one that says who asks, so
    that strangers send no bodies."""

    async def read(request: Request) -> Form:
        return validate(model, await _read_fields(request))

    return read


def validate(model: type[Form], fields: list[tuple[str, str]]) -> Form:
    """The fields as a model: a list takes all of its name, another the last; blank ones are absent.

    Raises:
        RequestError: names the first field that does not fit.
    """
    given: dict[str, object] = {}
    for name, field in model.model_fields.items():
        values = [value for key, value in fields if key == (field.alias or name)]
        if get_origin(field.annotation) is list:
            given[field.alias or name] = values
        elif values and values[-1].strip():
            given[field.alias or name] = values[-1]
    try:
        return model.model_validate(given)
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(str(part) for part in fault["loc"])
        raise RequestError("bad_value", fault["msg"], where) from None


async def _read_fields(request: Request) -> list[tuple[str, str]]:
    settings: Settings = request.app.state.settings
    body = await read_whole(request, settings.max_wait_seconds)
    try:
        return parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError:
        message = f"send application/x-www-form-urlencoded in UTF-8, at most {MAX_FIELDS} fields"
        raise RequestError("bad_value", message) from None
