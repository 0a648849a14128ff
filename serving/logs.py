"""JSON log lines and the middleware that names, times and logs every request, never its texts."""

import logging
import re
import sys
import time
import traceback
import uuid

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.errors import RequestError, answer_request_error

_log = structlog.get_logger()
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


def configure_logs(level: str) -> None:
    """Write the program's own and its libraries' log lines as JSON to standard error."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso"),
    ]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            structlog.processors.JSONRenderer(), foreign_pre_chain=shared
        )
    )
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    structlog.configure(
        [*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
    )


class RequestLog:
    """Gives a request its id, answers HEAD as GET, logs the outcome and is the one 500 handler."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, status = time.perf_counter(), 0
        sent_id = Headers(scope=scope).get("x-request-id", "")
        request_id = sent_id if _REQUEST_ID.fullmatch(sent_id) else uuid.uuid4().hex
        method = scope["method"]
        # The server drops the body of an answer to HEAD.
        inner = {**scope, "method": "GET" if method == "HEAD" else method, "state": {}}

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["x-request-id"] = request_id
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self.app(inner, receive, send_with_id)
            except Exception as error:
                # Its message may quote an opinion: only its kind and place are kept.
                frames = traceback.format_tb(error.__traceback__)
                _log.error("failure", error=type(error).__name__, frames=frames)
                if status:
                    raise
                wrong = RequestError("internal", f"the server failed: see its log, id {request_id}")
                answer = await answer_request_error(Request(inner), wrong)
                await answer(inner, receive, send_with_id)
            log = _log.debug if scope["path"].startswith("/health/") else _log.info
            log(
                "request",
                method=method,
                path=scope["path"],
                status=status,
                duration_ms=round((time.perf_counter() - started) * 1000, 1),
                items=inner["state"].get("items"),
            )
