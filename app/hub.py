"""Hub: the fan-out inside one worker, and the Subscription, one client's place in it.

Invariant: a live subscription has been handed every matching change up to the hub's cursor, in order, once. It
becomes live in the very step in which its greenlet finds that it has read up to there (nothing yields in between),
and stops being live when its queue is full; its greenlet then reads what it lacks, from the ring or the log, and
becomes live again. So a slow client costs its queue and no more, and loses nothing.

Filters are looked up, not tried: subscriptions stand under (topic, session). The hub knows neither the database nor
HTTP; somebody publishes to it, in cursor order, from one greenlet.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence

import gevent
from gevent.event import Event

from app.changes import Change, Filter, Topic
from app.outlet import Gone, Outlet
from app.ring import Ring

# How many clients are served before the loop may run: about 2 ms of work.
_SLICE = 250


class Full(Exception):
    """The hub takes no more streams; the message says which limit was reached."""


class Subscription:
    """One client: what it asks for, how far it is, and its bounded queue.

    ``cursor`` is the id up to which everything that matches has been handed over (written or queued).
    """

    __slots__ = (
        "_woken",
        "address",
        "beat_at",
        "cursor",
        "filter",
        "gone",
        "is_idle",
        "is_live",
        "outlet",
        "queue",
        "queue_bytes",
    )

    def __init__(self, wanted: Filter, address: str = "") -> None:
        self.filter = wanted
        self.address = address
        self.cursor = 0
        self.is_live = False
        self.is_idle = False
        self.beat_at = time.monotonic()
        self.outlet: Outlet | None = None
        self.queue: list[Change] = []
        self.queue_bytes = 0
        self.gone: str | None = None  # why, once the client has left
        self._woken = Event()

    def wait(self) -> None:
        """Sleep until there is something to do. Only now may the hub write to the outlet."""
        self.is_idle = not self.queue and not (self.outlet and self.outlet.unsent)
        self._woken.wait()
        self._woken.clear()
        self.is_idle = False

    def wake(self) -> None:
        """End the wait."""
        self.is_idle = False
        self._woken.set()

    def leave(self, why: str) -> None:
        """The client has gone."""
        self.gone = why
        self.wake()

    def take(self) -> list[Change]:
        """Empty the queue."""
        queue, self.queue, self.queue_bytes = self.queue, [], 0
        return queue


class Hub:
    """The subscriptions of a worker. ``cursor`` is the newest change that was published.

    ``settled`` is the newest that has been handed to everyone; it follows ``cursor`` at the end of each publish.
    ``generation`` counts how often the log began; 0 means that nobody has said yet where it stands.
    ``is_available`` tells whether the log can be read and heard; ``is_draining``, that all streams end.
    ``counts`` holds the sums that the System page shows.
    """

    def __init__(
        self, *, ring_bytes: int, queue_frames: int, queue_bytes: int, max_streams: int, max_streams_per_address: int
    ) -> None:
        self.ring = Ring(ring_bytes)
        self.settled = 0
        self.generation = 0
        self.is_available = False
        self.is_draining = False
        self.counts: Counter[str] = Counter()
        self._queue_frames = queue_frames
        self._queue_bytes = queue_bytes
        self._max_streams = max_streams
        self._max_streams_per_address = max_streams_per_address
        self._subscriptions: dict[Subscription, None] = {}
        self._streams_of_address: Counter[str] = Counter()
        # Clients that ask for the same get the same bytes: changes are matched with filters, not with clients.
        self._groups: dict[Filter, dict[Subscription, None]] = {}
        self._index: dict[tuple[Topic, str | None], dict[Filter, None]] = {}

    @property
    def cursor(self) -> int:
        return self.ring.cursor

    @property
    def stream_count(self) -> int:
        return len(self._subscriptions)

    def add(self, subscription: Subscription) -> None:
        """Register a subscription; it is not live yet.

        Raises:
            Full: the worker, or the client's address, has as many streams as it may.
        """
        address, wanted = subscription.address, subscription.filter
        if len(self._subscriptions) >= self._max_streams:
            raise Full(f"This server has {self._max_streams} streams open and takes no more.")
        if self._streams_of_address[address] >= self._max_streams_per_address:
            raise Full(f"{address} has {self._max_streams_per_address} streams open and may have no more.")
        self._subscriptions[subscription] = None
        self._streams_of_address[address] += 1
        if wanted not in self._groups:
            self._groups[wanted] = {}
            for topic in wanted.topics:
                self._index.setdefault((topic, wanted.session_id), {})[wanted] = None
        self._groups[wanted][subscription] = None
        self.counts["opened"] += 1

    def remove(self, subscription: Subscription) -> None:
        """Forget a subscription. May be called twice."""
        if subscription not in self._subscriptions:
            return
        address, wanted = subscription.address, subscription.filter
        del self._subscriptions[subscription]
        self._streams_of_address[address] -= 1
        if not self._streams_of_address[address]:
            del self._streams_of_address[address]
        del self._groups[wanted][subscription]
        if not self._groups[wanted]:
            del self._groups[wanted]
            for topic in wanted.topics:
                del self._index[topic, wanted.session_id][wanted]
                if not self._index[topic, wanted.session_id]:
                    del self._index[topic, wanted.session_id]

    def go_live(self, subscription: Subscription) -> bool:
        """Make a subscription live if it has been handed everything up to the hub's cursor."""
        subscription.is_live = subscription.cursor >= self.cursor
        return subscription.is_live

    def publish(self, changes: Sequence[Change]) -> None:
        """Hand the changes that follow the cursor to everyone they concern. Yields to the loop between slices."""
        if not changes:
            return
        # First the ring, then the clients: who goes live between two slices has read these from the ring.
        self.ring.append(changes)
        self.counts["changes"] += len(changes)
        batches: dict[Filter, list[Change]] = {}
        for change in changes:
            for wanted in self._concerned(change):
                batches.setdefault(wanted, []).append(change)
        served = 0
        for wanted, batch in batches.items():
            framed: dict[bool, bytes] = {}
            written = 0
            for subscription in list(self._groups.get(wanted, ())):
                written += self._hand_over(subscription, batch, framed)
                served += 1
                if served % _SLICE == 0:
                    gevent.sleep(0)
            self.counts["deliveries"] += written * len(batch)
        self.settled = self.cursor

    def start_at(self, cursor: int) -> None:
        """The log begins, or begins anew, at ``cursor``: what clients had before has no continuation."""
        self.generation += 1
        self.ring.start_at(cursor)
        self.settled = cursor
        for subscription in self._subscriptions:
            subscription.is_live = False
            subscription.take()
        self._wake_all()

    def set_available(self, is_available: bool) -> None:
        """Tell every stream that the change log went away or came back."""
        if is_available != self.is_available:
            self.is_available = is_available
            self._wake_all()

    def drain(self) -> None:
        """End all streams, and every one that still comes. May be called twice."""
        self.is_draining = True
        self._wake_all()

    def cut(self) -> None:
        """Cut off the clients whose streams the drain has not ended, because they take nothing."""
        for subscription in self._subscriptions:
            if subscription.outlet:
                subscription.outlet.cut()

    def beat(self, heartbeat_seconds: float) -> None:
        """Wake everyone whose last heartbeat is so long ago. To be called about every second."""
        due = time.monotonic() - heartbeat_seconds
        for number, subscription in enumerate(list(self._subscriptions), 1):
            if subscription.beat_at <= due:
                subscription.wake()
            if number % _SLICE == 0:
                gevent.sleep(0)

    def _concerned(self, change: Change) -> Iterator[Filter]:
        if change.is_table_wide:
            yield from (wanted for wanted in self._groups if wanted.matches(change))
            return
        for session_id in (None, *change.session_ids):
            for wanted in self._index.get((change.topic, session_id), ()):
                if wanted.resolved is None or wanted.matches(change):
                    yield wanted

    def _hand_over(self, subscription: Subscription, batch: list[Change], framed: dict[bool, bytes]) -> bool:
        """Write to the client, or put into its queue; whether it was written."""
        cursor, newest = subscription.cursor, batch[-1].id
        if not subscription.is_live or newest <= cursor:
            return False  # it reads, or has read, these from the ring
        outlet = subscription.outlet
        if outlet is None or not subscription.is_idle or batch[0].id <= cursor:
            self._enqueue(subscription, [change for change in batch if change.id > cursor])
            return False
        data = framed.get(outlet.is_chunked)
        if data is None:
            data = framed[outlet.is_chunked] = outlet.framed(b"".join([change.frame for change in batch]))
        subscription.cursor = newest
        try:
            outlet.offer(data)
        except Gone as error:
            subscription.leave(str(error))
        else:
            if outlet.unsent:
                subscription.wake()
        return True

    def _enqueue(self, subscription: Subscription, batch: list[Change]) -> None:
        subscription.cursor = batch[-1].id
        subscription.queue.extend(batch)
        subscription.queue_bytes += sum([len(change.frame) for change in batch])
        if len(subscription.queue) > self._queue_frames or subscription.queue_bytes > self._queue_bytes:
            # It lags: its greenlet goes on behind the last change that it took from the queue.
            subscription.cursor = subscription.queue[0].id - 1
            subscription.is_live = False
            subscription.take()
            self.counts["overflows"] += 1
        subscription.wake()

    def _wake_all(self) -> None:
        for subscription in self._subscriptions:
            subscription.wake()
