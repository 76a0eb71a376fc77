"""Stop: how a long-running command is told to end.

Invariant: SIGINT and SIGTERM do not interrupt a write; they cut waiting short, and the command ends by itself.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Stop:
    """A request to stop, by SIGINT or SIGTERM; it cuts waiting short."""

    def __init__(self) -> None:
        self._requested = threading.Event()

    def __bool__(self) -> bool:
        return self._requested.is_set()

    def request(self, _number: int = 0, _frame: FrameType | None = None) -> None:
        """Request the stop; also a signal handler."""
        self._requested.set()

    def wait(self, seconds: float) -> bool:
        """Wait up to ``seconds``; True if stopped."""
        return self._requested.wait(max(0.0, seconds))


@contextmanager
def stop_on_signals() -> Iterator[Stop]:
    """A Stop that SIGINT and SIGTERM request while the block runs."""
    stop = Stop()
    before = {number: signal.signal(number, stop.request) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
