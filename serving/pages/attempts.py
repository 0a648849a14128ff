"""The brake on guessing passwords: failed logins by name, in this process, bounded."""

import threading
import time
from collections import OrderedDict

MAX_FAILURES = 5
LOCKED_SECONDS = 60.0
MAX_NAMES = 10_000  # remembered at most; the longest untouched are forgotten


class Attempts:
    """Failed logins by name: after MAX_FAILURES each further one waits LOCKED_SECONDS."""

    def __init__(self) -> None:
        self._failed: OrderedDict[str, tuple[int, float]] = OrderedDict()
        self._lock = threading.Lock()

    def wait(self, name: str) -> float:
        """Seconds until the name may try again, 0 for at once."""
        with self._lock:
            count, at = self._failed.get(name, (0, 0.0))
            left = at + LOCKED_SECONDS - time.monotonic()
            return max(left, 0.0) if count >= MAX_FAILURES else 0.0

    def fail(self, name: str) -> None:
        """Count a failure; old ones lapse."""
        with self._lock:
            count, at = self._failed.pop(name, (0, 0.0))
            now = time.monotonic()
            lapsed = now - at > LOCKED_SECONDS * MAX_FAILURES
            self._failed[name] = (1 if lapsed else count + 1, now)
            while len(self._failed) > MAX_NAMES:
                self._failed.popitem(last=False)

    def succeed(self, name: str) -> None:
        """Forget the failures of a name."""
        with self._lock:
            self._failed.pop(name, None)
