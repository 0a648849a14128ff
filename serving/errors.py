"""Everything that can be wrong with a request or with one of its opinions, in one form."""

from typing import Literal

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

ItemErrorType = Literal[
    "missing_field",
    "wrong_type",
    "unknown_field",
    "empty_text",
    "no_words",
    "text_too_long",
    "bad_datetime",
    "bad_value",
    "bad_row",
]
RequestErrorType = Literal[
    "invalid_json",
    "unauthorized",
    "forbidden",
    "not_found",
    "method_not_allowed",
    "body_timeout",
    "illegal_move",
    "version_conflict",
    "body_too_large",
    "batch_too_large",
    "unsupported_media_type",
    "missing_field",
    "wrong_type",
    "unknown_field",
    "out_of_range",
    "bad_value",
    "key_reused",
    "too_busy",
    "client_left",
    "internal",
    "not_ready",
]
ErrorType = ItemErrorType | RequestErrorType

STATUS: dict[RequestErrorType, int] = {
    "invalid_json": 400,
    "unauthorized": 401,
    "forbidden": 403,
    "not_found": 404,
    "method_not_allowed": 405,
    "body_timeout": 408,
    "illegal_move": 409,
    "version_conflict": 409,
    "body_too_large": 413,
    "batch_too_large": 413,
    "unsupported_media_type": 415,
    "missing_field": 422,
    "wrong_type": 422,
    "unknown_field": 422,
    "out_of_range": 422,
    "bad_value": 422,
    "key_reused": 422,
    "too_busy": 429,
    "client_left": 499,
    "internal": 500,
    "not_ready": 503,
}
_KIND_OF_FAULT: dict[str, RequestErrorType] = {
    "json_invalid": "invalid_json",
    "missing": "missing_field",
    "extra_forbidden": "unknown_field",
}
_RETRY_AFTER_SECONDS = {"too_busy": "1", "not_ready": "1"}


class ErrorDetail(BaseModel):
    """What is wrong, where, and what to do about it."""

    type: ErrorType
    field: str | None = Field(description="Place in the request body; null for the whole request")
    message: str


class ErrorAnswer(BaseModel):
    """The one form of every error, of a request as of an opinion in a batch."""

    error: ErrorDetail


class ItemError(ValueError):
    """One opinion cannot be read; the others of its batch can."""

    def __init__(self, type: ItemErrorType, field: str, message: str) -> None:
        super().__init__(message)
        self.detail = ErrorDetail(type=type, field=field, message=message)


class RequestError(ValueError):
    """The request as a whole cannot be answered."""

    def __init__(self, type: RequestErrorType, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.type = type
        self.detail = ErrorDetail(type=type, field=field, message=message)


async def answer_request_error(_: Request, error: Exception) -> JSONResponse:
    """The response to a RequestError."""
    assert isinstance(error, RequestError)
    headers = {}
    if error.type in _RETRY_AFTER_SECONDS:
        headers["retry-after"] = _RETRY_AFTER_SECONDS[error.type]
    return JSONResponse(
        ErrorAnswer(error=error.detail).model_dump(), STATUS[error.type], headers=headers
    )


async def answer_validation_error(request: Request, error: Exception) -> JSONResponse:
    """The response where a parameter or body does not fit its form: the first fault of it."""
    assert isinstance(error, RequestValidationError)
    fault = error.errors()[0]
    kind = _KIND_OF_FAULT.get(fault["type"], "bad_value")
    field = ".".join(str(part) for part in fault["loc"][1:]) or None
    wrong = RequestError(kind, fault["msg"], None if kind == "invalid_json" else field)
    return await answer_request_error(request, wrong)


async def answer_http_error(request: Request, error: Exception) -> JSONResponse:
    """The response where no route fits (404, 405) or no body can be read (400, 413)."""
    assert isinstance(error, HTTPException)
    if error.status_code == 413:
        wrong = RequestError("body_too_large", error.detail)
        return await answer_request_error(request, wrong)
    if error.status_code == 400:
        return await answer_request_error(request, RequestError("invalid_json", error.detail))
    if error.status_code != 405:
        wrong = RequestError("not_found", "there is nothing at this path")
        return await answer_request_error(request, wrong)
    allowed = (error.headers or {}).get("Allow", "GET")
    wrong = RequestError("method_not_allowed", f"use {allowed}: nothing else is served here")
    response = await answer_request_error(request, wrong)
    response.headers["allow"] = allowed
    return response
