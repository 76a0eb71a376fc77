"""Hub: the fan-out inside one worker, to groups of subscriptions.

Invariant: a live subscription has been handed every matching change up to the hub's cursor, in order, once. It
becomes live in the very step in which its stream finds that it has read up to there (nothing yields in between),
and stops being live when its queue is full; its stream then reads what it lacks, from the ring or the log, and
becomes live again. So a slow client costs its queue and no more, and loses nothing.

A live client that rests is written to here and now; everything else goes to its queue and wakes it. Filters are looked
up, not tried: groups stand under (topic, session). The hub knows neither the database nor HTTP; somebody publishes to
it, in cursor order, from one greenlet.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence

import gevent

from app.changes import Change, Filter, Topic
from app.ring import Ring
from app.sse import chunked, heartbeat_frame
from app.subscription import Subscription

# How many clients are served before the loop may run: about 2 ms of work.
_SLICE = 500


class Full(Exception):
    """The hub takes no more streams; the message says which limit was reached."""


class Group:
    """Those who ask for the same over the same wire: they get the same bytes. It has a member, or it does not exist."""

    __slots__ = ("filter", "is_chunked", "members", "turn")

    def __init__(self, wanted: Filter, *, is_chunked: bool) -> None:
        self.filter = wanted
        self.is_chunked = is_chunked
        self.members: dict[Subscription, None] = {}
        self.turn = 0

    def in_turn(self) -> list[Subscription]:
        """All members, beginning further on each time: nobody is always the last to be served."""
        members = list(self.members)
        if len(members) > _SLICE:
            self.turn = (self.turn + _SLICE // 2) % len(members)
            members = members[self.turn :] + members[: self.turn]
        return members

    def framed(self, frames: list[bytes]) -> bytes:
        """The frames as they stand on the wire."""
        data = b"".join(frames)
        return chunked(data) if self.is_chunked else data


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
        # Changes are matched with groups, not with clients.
        self._groups: dict[tuple[Filter, bool], Group] = {}
        self._index: dict[tuple[Topic, str | None], dict[Group, None]] = {}

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
        address = subscription.address
        if len(self._subscriptions) >= self._max_streams:
            raise Full(f"This server has {self._max_streams} streams open and takes no more.")
        if self._streams_of_address[address] >= self._max_streams_per_address:
            raise Full(f"{address} has {self._max_streams_per_address} streams open and may have no more.")
        self._subscriptions[subscription] = None
        self._streams_of_address[address] += 1
        wanted, is_chunked = key = subscription.filter, subscription.is_chunked
        if key not in self._groups:
            group = self._groups[key] = Group(wanted, is_chunked=is_chunked)
            for topic in wanted.topics:
                self._index.setdefault((topic, wanted.session_id), {})[group] = None
        self._groups[key].members[subscription] = None
        self.counts["opened"] += 1

    def remove(self, subscription: Subscription) -> None:
        """Forget a subscription. May be called twice."""
        if subscription not in self._subscriptions:
            return
        address = subscription.address
        del self._subscriptions[subscription]
        self._streams_of_address[address] -= 1
        if not self._streams_of_address[address]:
            del self._streams_of_address[address]
        wanted, _ = key = subscription.filter, subscription.is_chunked
        group = self._groups[key]
        del group.members[subscription]
        if not group.members:
            del self._groups[key]
            for topic in wanted.topics:
                del self._index[topic, wanted.session_id][group]
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
        batches: dict[Group, list[Change]] = {}
        for change in changes:
            for group in self._concerned(change):
                batches.setdefault(group, []).append(change)
        served = 0
        for group, batch in batches.items():
            data = group.framed([change.frame for change in batch])
            members = group.in_turn()
            for start in range(0, len(members), _SLICE):
                if served >= _SLICE:
                    served = 0
                    gevent.sleep(0)
                some = members[start : start + _SLICE]
                self._hand_over(some, batch, data)
                served += len(some)
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
        """Send a heartbeat to everyone whose last one is so long ago. To be called about every second."""
        everyone = list(self._subscriptions)
        for start in range(0, len(everyone), _SLICE):
            now, settled = time.monotonic(), self.settled
            frame = heartbeat_frame(settled if self.generation else None)
            frames = (frame, chunked(frame))
            for subscription in everyone[start : start + _SLICE]:
                if subscription.beat_at > now - heartbeat_seconds:
                    continue
                if subscription.send is None or subscription.cursor > settled:
                    subscription.wake()
                else:
                    subscription.cursor, subscription.beat_at = settled, now
                    subscription.offer(frames[subscription.is_chunked])
            gevent.sleep(0)

    def _concerned(self, change: Change) -> Iterator[Group]:
        if change.is_table_wide:
            yield from (group for group in self._groups.values() if group.filter.matches(change))
            return
        for session_id in (None, *change.session_ids):
            for group in self._index.get((change.topic, session_id), ()):
                if group.filter.resolved is None or group.filter.matches(change):
                    yield group

    def _hand_over(self, members: list[Subscription], batch: list[Change], data: bytes) -> None:
        """Write to the members, or put into their queues. This is the loop that costs: about 3 us for each, 2.5 of them
        the kernel's."""
        oldest, newest, size, written = batch[0].id, batch[-1].id, len(data), 0
        for subscription in members:
            send, cursor = subscription.send, subscription.cursor
            if send is None or oldest <= cursor:
                if subscription.is_live and newest > cursor:
                    self._enqueue(subscription, [change for change in batch if change.id > cursor])
                continue  # else it reads, or has read, these from the ring
            subscription.cursor = newest
            written += 1
            try:  # as in Subscription.offer, without the call
                sent = send(data)
            except OSError as error:
                sent = subscription.fail(error)
            if sent != size:
                subscription.keep(data[sent:])
        self.counts["deliveries"] += written * len(batch)

    def _enqueue(self, subscription: Subscription, batch: list[Change]) -> None:
        subscription.cursor = batch[-1].id
        if subscription.queue:
            subscription.queue.extend(batch)
        else:
            subscription.queue = batch
        subscription.queue_bytes += sum([len(change.frame) for change in batch])
        if len(subscription.queue) > self._queue_frames or subscription.queue_bytes > self._queue_bytes:
            # It lags: its stream goes on behind the last change that it took from the queue.
            subscription.cursor = subscription.queue[0].id - 1
            subscription.is_live = False
            subscription.take()
            self.counts["overflows"] += 1
        subscription.wake()

    def _wake_all(self) -> None:
        for subscription in self._subscriptions:
            subscription.wake()
