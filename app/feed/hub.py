"""Hub: the fan-out inside one worker, to groups of subscriptions.

Invariant: a live subscription has been handed every matching change up to the hub's cursor, in order, once. It
becomes live in the same step in which its stream finds that it has read that far (nothing yields in between), and stops
being live when its queue is full; its stream then reads what it lacks from the ring or the log and becomes live again.
So a slow client costs its queue and no more, and loses nothing.

A resting client is written to directly; anything else goes to the client's queue and wakes it. Filters are looked up,
not tried: groups are indexed by (topic, session). The hub knows neither the database nor HTTP; one greenlet publishes
to it, in cursor order.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import gevent

from app.feed.change import Change, Filter, Topic
from app.feed.ring import Ring
from app.feed.sse import chunked, heartbeat_frame
from app.feed.subscription import Subscription

# How many clients are served before other greenlets may run: about 2 ms of work.
_SLICE = 500


class Full(Exception):
    """The hub accepts no more streams; the message says which limit was reached."""


class Group:
    """Subscriptions with the same filter and framing, which get the same bytes. A group without members is removed."""

    __slots__ = ("filter", "is_chunked", "members", "turn")

    def __init__(self, wanted: Filter, *, is_chunked: bool) -> None:
        self.filter = wanted
        self.is_chunked = is_chunked
        self.members: dict[Subscription, None] = {}
        self.turn = 0

    def in_turn(self) -> list[Subscription]:
        """All members, starting further along each time, so that no client is always served last."""
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

    ``handed_out`` is the newest change that has been handed to every client; it follows ``cursor`` at the end of each
    publish. ``generation`` counts how often the log (re)started; 0 until its position is known. ``is_available`` tells
    whether the log can be read and listened to; ``is_draining``, that all streams are ending. ``max_streams`` is
    how many it accepts. ``newest_reading`` is the id of the newest change of metrics. ``counts`` holds the totals that
    the System page shows.
    """

    def __init__(
        self, *, ring_bytes: int, queue_frames: int, queue_bytes: int, max_streams: int, max_streams_per_address: int
    ) -> None:
        self.ring = Ring(ring_bytes)
        self.handed_out = 0
        self.generation = 0
        self.is_available = False
        self.is_draining = False
        self.counts: Counter[str] = Counter()
        self.newest_reading = 0
        self._queue_frames = queue_frames
        self._queue_bytes = queue_bytes
        self.max_streams = max_streams
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

    def limit_streams(self, most: int) -> None:
        """Accept no more streams than ``most``: what the process has files for."""
        self.max_streams = min(self.max_streams, most)

    def add(self, subscription: Subscription) -> None:
        """Register a subscription; it is not live yet.

        Raises:
            Full: the worker or the client's address is at its limit of streams.
        """
        address = subscription.address
        if len(self._subscriptions) >= self.max_streams:
            self.counts["refused worker"] += 1
            raise Full(f"This server has {self.max_streams} streams open and accepts no more.")
        if self._streams_of_address[address] >= self._max_streams_per_address:
            self.counts["refused address"] += 1
            raise Full(
                f"{address} has {self._max_streams_per_address} streams open and may open no more"
                " (if it is a proxy, raise MAX_STREAMS_PER_ADDRESS)."
            )
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
        """Remove a subscription. May be called twice."""
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
        return subscription.go_live(self.cursor)

    def publish(self, changes: Sequence[Change]) -> None:
        """Hand the changes that follow the cursor to every client they concern. Yields to the loop between slices."""
        if not changes:
            return
        # The ring comes first: a client that goes live between two slices has read these changes from it.
        self.ring.append(changes)
        self.counts["changes"] += len(changes)
        batches: dict[Group, list[Change]] = {}
        for change in changes:
            if change.topic == "metrics":
                self.newest_reading = change.id
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
        self.handed_out = self.cursor

    def start_at(self, cursor: int) -> None:
        """The log starts, or restarts, at ``cursor``: earlier client positions have no continuation."""
        self.generation += 1
        self.ring.start_at(cursor)
        self.handed_out = cursor
        for subscription in list(self._subscriptions):
            subscription.restart()

    def set_available(self, is_available: bool) -> None:
        """Tell every stream that the change log became unavailable or available again."""
        if is_available != self.is_available:
            self.is_available = is_available
            self._wake_all()

    def drain(self) -> None:
        """End all streams, including those still to come. May be called twice."""
        self.is_draining = True
        self._wake_all()

    def cut(self) -> None:
        """Cut the connections of clients whose streams could not be drained because they read nothing."""
        for subscription in self._subscriptions:
            if subscription.client:
                subscription.client.cut()

    def expel(self, is_over: Callable[[Subscription], bool]) -> list[Subscription]:
        """End the streams of clients that may no longer have them; returns their subscriptions."""
        expelled = [one for one in self._subscriptions if not one.is_expelled and is_over(one)]
        for subscription in expelled:
            subscription.expel()
        self.counts["expelled"] += len(expelled)
        return expelled

    def beat(self, heartbeat_seconds: float) -> None:
        """Send a heartbeat to each client whose last one is ``heartbeat_seconds`` ago. Call it about every second."""
        subscriptions = list(self._subscriptions)
        for start in range(0, len(subscriptions), _SLICE):
            now, handed_out = time.monotonic(), self.handed_out
            frame = heartbeat_frame(handed_out)
            frames = (frame, chunked(frame))
            for subscription in subscriptions[start : start + _SLICE]:
                if subscription.beat_at > now - heartbeat_seconds:
                    continue
                # Before the first generation, only its stream knows the cursor that the client came with.
                if subscription.send is None or subscription.cursor > handed_out or not self.generation:
                    subscription.wake()
                else:
                    subscription.beat(frames[subscription.is_chunked], handed_out, now)
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
        """Write to the members' sockets, or to their queues.

        Deliberate: this is the hot loop (about 3 us per client, 2.5 of them in the kernel), so it sets ``cursor`` and
        calls ``send`` on the subscription directly instead of through its methods.
        """
        oldest, newest, size, written = batch[0].id, batch[-1].id, len(data), 0
        for subscription in members:
            send, cursor = subscription.send, subscription.cursor
            if send is None or oldest <= cursor:
                if subscription.is_live and newest > cursor:
                    self._enqueue(subscription, [change for change in batch if change.id > cursor])
                continue  # a client that is behind reads these from the ring
            subscription.cursor = newest
            written += 1
            try:  # as in Subscription.beat
                sent = send(data)
            except OSError as error:
                sent = subscription.fail(error)
            if sent != size:
                subscription.keep(data[sent:])
        self.counts["deliveries"] += written * len(batch)
        self.counts["sent_bytes"] += written * size

    def _enqueue(self, subscription: Subscription, changes: list[Change]) -> None:
        fits = subscription.enqueue(changes, max_frames=self._queue_frames, max_bytes=self._queue_bytes)
        if not fits:
            self.counts["overflows"] += 1

    def _wake_all(self) -> None:
        for subscription in self._subscriptions:
            subscription.wake()
