"""Subscription: one client's place in the hub: its filter, its cursor and its bounded queue.

Invariant: only the methods here change its state, and each cell of the table below is one of them. The one exception is
the hub's hot loop, which says so. A subscription does not know the hub.

States, and what each event makes of them (a test tries every cell):

| state    | go_live  | enqueue      | lag      | rest     | wake     | restart  | expel    | leave |
|----------|----------|--------------|----------|----------|----------|----------|----------|-------|
| behind   | live     | ignored      | behind   | waiting  | behind   | behind   | expelled | gone  |
| live     | live     | live, queued | behind   | resting  | live     | behind   | expelled | gone  |
| resting  | resting  | live, queued | behind   | resting  | live     | behind   | expelled | gone  |
| waiting  | waiting  | ignored      | behind   | waiting  | behind   | behind   | expelled | gone  |
| expelled | expelled | ignored      | expelled | expelled | expelled | expelled | expelled | gone  |
| gone     | gone     | ignored      | gone     | gone     | gone     | gone     | gone     | gone  |

- behind: its stream is reading the ring or the log; the hub hands it nothing.
- live: everything up to the hub's cursor has been handed to it; its sender (or request greenlet) is running.
- resting: live with nothing due and no greenlet; the hub may write to its socket directly.
- waiting: not live with nothing to do until the change log is readable again.
- expelled: the client may no longer have what it asked for; its sender says so and ends.
- gone: the client has left; ``gone`` says why.

``go_live`` leads to live only if the cursor has reached the hub's; else the state stays behind. ``enqueue`` leads to
behind instead if the queue overflows. Every event that ends resting or waiting calls ``on_wake`` once.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal

from gevent.event import Event

from app.feed.change import Change, Filter
from app.feed.client_socket import ClientSocket

State = Literal["behind", "live", "resting", "waiting", "expelled", "gone"]

# The empty queue that all share: most clients never queue anything. Nothing writes to it.
_NOTHING: list[Change] = []


class Subscription:
    """One client: what it asks for, how far it has come, and its bounded queue.

    ``cursor`` is the id up to which everything that matches has been handed over (written or queued). ``send`` writes
    to the client's socket: None unless the client is resting and has a socket of its own. ``owner`` is whatever let the
    client in.
    """

    __slots__ = (
        "_on_wake",
        "address",
        "beat_at",
        "client",
        "cursor",
        "filter",
        "gone",
        "is_chunked",
        "is_expelled",
        "is_live",
        "owner",
        "queue",
        "queue_bytes",
        "send",
    )

    def __init__(self, wanted: Filter, address: str = "", *, is_chunked: bool = False, owner: object = None) -> None:
        self.filter = wanted
        self.address = address
        self.is_chunked = is_chunked
        self.cursor = 0
        self.is_live = False
        self.is_expelled = False
        self.owner = owner
        self.beat_at = time.monotonic()
        self.client: ClientSocket | None = None
        self.send: Callable[[bytes], int] | None = None
        self.queue: list[Change] = _NOTHING
        self.queue_bytes = 0
        self.gone: str | None = None  # why, once the client has left
        self._on_wake: Callable[[], None] | None = None

    @property
    def state(self) -> State:
        """Its state, one of the rows of the table."""
        if self.gone is not None:
            return "gone"
        if self.is_expelled:
            return "expelled"
        if self._on_wake is None:
            return "live" if self.is_live else "behind"
        return "resting" if self.is_live else "waiting"

    def go_live(self, cursor: int) -> bool:
        """Become live if everything up to ``cursor``, the hub's, has been handed over; returns whether it is live."""
        if self._on_wake is None and self.gone is None and not self.is_expelled:
            self.is_live = self.cursor >= cursor
        return self.is_live

    def advance(self, cursor: int) -> None:
        """Everything up to ``cursor`` that matches has been handed over."""
        self.cursor = cursor

    def enqueue(self, changes: list[Change], *, max_frames: int, max_bytes: int) -> bool:
        """Queue changes for a live client and wake it; False if the queue overflowed and the client now lags."""
        if not self.is_live:
            return True
        self.cursor = changes[-1].id
        if self.queue:
            self.queue.extend(changes)
        else:
            self.queue = changes
        self.queue_bytes += sum([len(change.frame) for change in changes])
        if len(self.queue) > max_frames or self.queue_bytes > max_bytes:
            self.lag()
            return False
        self.wake()
        return True

    def lag(self) -> None:
        """Drop the queue: the stream continues after the last change that it took from it."""
        if self.queue:
            self.cursor = self.queue[0].id - 1
        self.restart()

    def restart(self) -> None:
        """Stop being live and drop the queue; the stream has to find its position again."""
        self.is_live = False
        self.take()
        self.wake()

    def rest(self, on_wake: Callable[[], None], send: Callable[[bytes], int] | None = None) -> None:
        """Nothing is due until ``wake``, which calls ``on_wake`` once; until then the hub may use ``send``.

        Call it in the same step that found nothing to do: a wake before rest() is lost.
        """
        if self.gone is not None or self.is_expelled:
            on_wake()
            return
        self._on_wake = on_wake
        self.send = send if self.is_live else None

    def wait(self, seconds: float | None = None) -> None:
        """Rest in the current greenlet until woken, or for at most ``seconds``."""
        woken = Event()
        self.rest(woken.set)
        if not woken.wait(seconds):
            self.wake()

    def wake(self) -> None:
        """End the rest."""
        on_wake, self._on_wake, self.send = self._on_wake, None, None
        if on_wake is not None:
            on_wake()

    def beat(self, frame: bytes, cursor: int, now: float) -> None:
        """Send a heartbeat that leads up to ``cursor``. Only for a client whose ``send`` is set."""
        self.cursor, self.beat_at = cursor, now
        assert self.send is not None
        try:
            sent = self.send(frame)
        except OSError as error:
            sent = self.fail(error)
        if sent != len(frame):
            self.keep(frame[sent:])

    def keep(self, rest: bytes) -> None:
        """The socket did not take these bytes: the sender writes them before anything else."""
        if self.client is not None:
            self.client.unsent = rest
        self.wake()

    def fail(self, error: OSError) -> int:
        """The socket took nothing, because it is full or closed. Returns the number of bytes taken: 0."""
        if not isinstance(error, BlockingIOError):
            self.leave(str(error))
        return 0

    def expel(self) -> None:
        """The client may have no more of this: what is queued is dropped, and its sender ends the stream."""
        self.is_expelled = True
        self.restart()

    def leave(self, why: str) -> None:
        """The client has left; the first reason stands."""
        if self.gone is None:
            self.gone = why
        self.is_live = False
        self.take()
        self.wake()

    def take(self) -> list[Change]:
        """Empty the queue and return what it held."""
        queue, self.queue, self.queue_bytes = self.queue, _NOTHING, 0
        return queue
