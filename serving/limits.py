"""The bounds of every request body: its size, whoever reads it, and the time it may take."""

import asyncio

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.errors import RequestError, answer_request_error


class BodyLimit:
    """Refuses bodies that say they are too large at once, others when they have become so."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        max_bytes = scope["app"].state.settings.max_body_bytes
        claimed = Headers(scope=scope).get("content-length", "0")
        if claimed.isdigit() and int(claimed) > max_bytes:
            wrong = RequestError("body_too_large", f"send at most {max_bytes} bytes")
            response = await answer_request_error(Request(scope), wrong)
            await response(scope, receive, send)
            return
        received = 0

        async def count() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > max_bytes:
                raise HTTPException(413, f"send at most {max_bytes} bytes")
            return message

        await self.app(scope, count, send)


async def read_whole(request: Request, max_seconds: float) -> bytes:
    """The body of a request; BodyLimit bounds its size.

    Raises:
        RequestError: too slow, or cut off.
    """
    try:
        async with asyncio.timeout(max_seconds):
            return await request.body()
    except TimeoutError:
        raise RequestError("body_timeout", f"no whole body within {max_seconds:g} s") from None
    except ClientDisconnect:
        raise RequestError("client_left", "the client left before its body was whole") from None
