"""Stop: how a command that runs for long is told to end.

Invariant: SIGINT and SIGTERM do not interrupt what is being written; they cut the waiting short, and the command ends
by itself, tidily.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Stop:
    """A wish to stop, from SIGINT or SIGTERM. Waiting is cut short by it."""

    def __init__(self) -> None:
        self._wished = threading.Event()

    def __bool__(self) -> bool:
        return self._wished.is_set()

    def wish(self, _number: int = 0, _frame: FrameType | None = None) -> None:
        """Ask for the stop; also a signal handler."""
        self._wished.set()

    def wait(self, seconds: float) -> bool:
        """Wait so long, or until the stop; whether it came."""
        return self._wished.wait(max(0.0, seconds))


@contextmanager
def stop_on_signals() -> Iterator[Stop]:
    """A Stop that SIGINT and SIGTERM ask for while the block runs."""
    stop = Stop()
    before = {number: signal.signal(number, stop.wish) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
