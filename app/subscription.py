"""Subscription: one client's place in the hub: its filter, its cursor and its bounded queue.

Invariant: at any moment it rests, and then the hub may write to it, or somebody (its courier, or its request's
greenlet) works for it, and looks at everything that may be due before it rests again. It knows nothing of the hub.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from gevent.event import Event

from app.changes import Change, Filter
from app.outlet import Outlet

# The empty queue of all who have none: most clients never queue anything. Nobody writes to it.
_NOTHING: list[Change] = []


class Subscription:
    """One client: what it asks for, how far it is, and its bounded queue.

    ``cursor`` is the id up to which everything that matches has been handed over (written or queued). ``send`` is where
    the hub may write to: None unless the client is live, rests, and has a socket of its own.
    """

    __slots__ = (
        "_on_wake",
        "address",
        "beat_at",
        "cursor",
        "filter",
        "gone",
        "is_chunked",
        "is_live",
        "outlet",
        "queue",
        "queue_bytes",
        "send",
    )

    def __init__(self, wanted: Filter, address: str = "", *, is_chunked: bool = False) -> None:
        self.filter = wanted
        self.address = address
        self.is_chunked = is_chunked
        self.cursor = 0
        self.is_live = False
        self.beat_at = time.monotonic()
        self.outlet: Outlet | None = None
        self.send: Callable[[bytes], int] | None = None
        self.queue: list[Change] = _NOTHING
        self.queue_bytes = 0
        self.gone: str | None = None  # why, once the client has left
        self._on_wake: Callable[[], None] | None = None

    def rest(self, on_wake: Callable[[], None], send: Callable[[bytes], int] | None = None) -> None:
        """There is nothing to do until ``wake``, which calls ``on_wake`` once; until then the hub may ``send``.

        To be called in the very step in which nothing was found to do: nobody remembers a wake that nobody rests for.
        """
        self._on_wake = on_wake
        self.send = send if self.is_live else None

    def wait(self) -> None:
        """Rest in this greenlet."""
        woken = Event()
        self.rest(woken.set)
        woken.wait()

    def wake(self) -> None:
        """End the rest."""
        on_wake, self._on_wake, self.send = self._on_wake, None, None
        if on_wake is not None:
            on_wake()

    def offer(self, data: bytes) -> None:
        """Send what the socket takes at once. Only for one that may be sent to."""
        assert self.send is not None
        try:
            sent = self.send(data)
        except OSError as error:
            sent = self.fail(error)
        if sent != len(data):
            self.keep(data[sent:])

    def keep(self, rest: bytes) -> None:
        """The socket did not take this: it goes out before anything else, by the courier."""
        if self.outlet is not None:
            self.outlet.unsent = rest
        self.wake()

    def fail(self, error: OSError) -> int:
        """The socket took nothing: it is full, or the client has gone. Returns how much it took."""
        if not isinstance(error, BlockingIOError):
            self.leave(str(error))
        return 0

    def leave(self, why: str) -> None:
        """The client has gone."""
        self.gone = why
        self.wake()

    def take(self) -> list[Change]:
        """Empty the queue."""
        queue, self.queue, self.queue_bytes = self.queue, _NOTHING, 0
        return queue
