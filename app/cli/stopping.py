"""Stop: how a long-running command is told to end.

Invariant: SIGINT and SIGTERM do not interrupt a write; they cut waiting short, and the command ends by itself.
"""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType


class Stop:
    """A request to stop, by SIGINT or SIGTERM; it cuts waiting short.

    Deliberate: a pipe, not threading.Event. A handler runs in the thread that it interrupts, and an Event that is being
    waited for holds a lock for a moment, for which its own handler would then wait forever.
    """

    def __init__(self) -> None:
        self._is_requested = False
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)

    def __bool__(self) -> bool:
        return self._is_requested

    def __del__(self) -> None:
        os.close(self._read)
        os.close(self._write)

    def request(self, _number: int = 0, _frame: FrameType | None = None) -> None:
        """Request the stop; also a signal handler."""
        self._is_requested = True
        with suppress(BlockingIOError):  # full of requests already
            os.write(self._write, b"!")

    def wait(self, seconds: float) -> bool:
        """Wait up to ``seconds``; True if stopped."""
        select.select([self._read], [], [], max(0.0, seconds))
        return self._is_requested


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


@contextmanager
def interrupted_on_signals() -> Iterator[None]:
    """SIGTERM and SIGHUP interrupt the block as Ctrl-C does, so that it takes back what it has begun."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # a shell's background jobs ignore the first
    before = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
