"""The bound on the size of every request body, whoever reads it."""

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.errors import RequestError, answer_request_error


class BodyLimit:
    """Refuses bodies that say they are too large at once, others when they have become so."""

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self.app = app
        self.max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        claimed = Headers(scope=scope).get("content-length", "0")
        if claimed.isdigit() and int(claimed) > self.max_bytes:
            wrong = RequestError("body_too_large", f"send at most {self.max_bytes} bytes")
            response = await answer_request_error(Request(scope), wrong)
            await response(scope, receive, send)
            return
        received = 0

        async def count() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self.max_bytes:
                raise HTTPException(413, f"send at most {self.max_bytes} bytes")
            return message

        await self.app(scope, count, send)
