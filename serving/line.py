"""The line in front of the model: how many requests are let in and how many infer at once."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from serving.errors import RequestError


class Line:
    """Bounds requests under way, inferences at once and the wait between the two."""

    def __init__(self, slots: int, max_queue: int, max_wait_seconds: float) -> None:
        self._slots = asyncio.Semaphore(slots)
        self._max_queue = max_queue
        self._max_wait_seconds = max_wait_seconds
        self._under_way = 0

    @contextmanager
    def admit(self) -> Iterator[None]:
        """Count a request for as long as it is under way; refuse one too many."""
        if self._under_way >= self._max_queue:
            raise RequestError("too_busy", f"{self._max_queue} requests are under way: try again")
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Hold a slot, first come first served; refuse where none comes free in time."""
        try:
            async with asyncio.timeout(self._max_wait_seconds):
                await self._slots.acquire()
        except TimeoutError:
            message = f"no turn within {self._max_wait_seconds:g} s: try again later"
            raise RequestError("too_busy", message) from None
        try:
            yield
        finally:
            self._slots.release()
