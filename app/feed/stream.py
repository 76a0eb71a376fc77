"""Stream: what one client gets, from its first frame to its last.

Invariant: the client is a cursor into the log. Connecting, resuming, and catching up after a queue overflow or a
database outage are one loop: read what comes after the cursor, from the ring or else from the log, then go live on the
queue. Database connections are returned before a byte is written.

It yields whole frames as bytes and knows nothing of HTTP; its caller writes them, in order.
"""

from __future__ import annotations

import logging
import random
import time
from typing import Literal

import gevent
import psycopg2
from sqlalchemy.exc import SQLAlchemyError

from app.feed import sse
from app.feed.change import Change
from app.feed.hub import Hub
from app.feed.log import ChangeLog
from app.feed.subscription import Subscription
from app.postgres.cursor import Cursor

log = logging.getLogger(__name__)

# How soon to look again whether the Listener has come to what a client has seen already.
_BEYOND_SECONDS = 0.005
# Ids in one step of passing these: a few milliseconds.
_BEYOND_IDS = 500
_ACCESS_ENDED = "What let you in has ended or changed: it was revoked, has expired, or has other rights now."


class Stream:
    """One client's frames.

    Args:
        asked: the cursor to resume from; None to start now; "unknown" if the client sent text that is not a cursor.
    """

    __slots__ = (
        "_asked",
        "_beyond",
        "_change_log",
        "_generation",
        "_has_told_outage",
        "_heartbeat_seconds",
        "_hub",
        "_is_ended",
        "_retry_seconds",
        "_subscription",
    )

    def __init__(
        self,
        hub: Hub,
        change_log: ChangeLog,
        subscription: Subscription,
        asked: Cursor | None | Literal["unknown"],
        *,
        heartbeat_seconds: float,
        retry_seconds: float,
    ) -> None:
        self._hub = hub
        self._change_log = change_log
        self._subscription = subscription
        self._asked = asked
        # Until the client has come past all that it had seen beyond its cursor; then it is like any other.
        self._beyond: frozenset[int] = frozenset()
        self._heartbeat_seconds = heartbeat_seconds
        self._retry_seconds = retry_seconds
        self._generation = 0  # of the log, when this stream last found its position in it
        self._has_told_outage = False
        self._is_ended = False

    @property
    def may_rest(self) -> bool:
        """Whether, when nothing is due, there is nothing to do until the subscription is woken."""
        return self._subscription.is_live or not self._hub.is_available

    @property
    def is_new(self) -> bool:
        """Whether the client starts now, with no history to look up."""
        return not isinstance(self._asked, Cursor)

    @property
    def _sent_back(self) -> Cursor | None:
        """The cursor for frames before the first ``connection``: the client's own, or None.

        Some clients forget the place that they came with when a connection begins with a frame without an id. Nobody
        knows yet whether the log reaches back to it, so the client keeps it and gets no other.
        """
        return self._asked if self._generation == 0 and isinstance(self._asked, Cursor) else None

    def first(self) -> bytes:
        """The first bytes, for which the log need not be read."""
        retry = sse.retry_field(self._retry_seconds)
        return retry + self._next() if self.is_new and not self._hub.is_draining else retry

    def next(self) -> bytes | None:
        """The bytes due now; b'' when nothing is ready (call again or rest); None at the end of the stream."""
        if self._subscription.gone is not None or self._is_ended:
            return None
        if self._subscription.is_expelled:
            self._is_ended = True
            return sse.error_frame("access_ended", _ACCESS_ENDED, self._sent_back)
        if self._hub.is_draining:
            self._is_ended = True
            return sse.retry_field(self._retry_seconds)
        return self._next()

    def _next(self) -> bytes:
        hub, subscription = self._hub, self._subscription
        try:
            if self._generation != hub.generation:
                return self._find_position()
            if self._beyond:
                return self._pass_beyond()
            if not subscription.is_live and not hub.go_live(subscription):
                return self._catch_up()
        except (SQLAlchemyError, psycopg2.Error) as error:
            return self._wait_for_log(error)
        if subscription.queue:
            return self._deliver(subscription.take())
        if self._has_told_outage == hub.is_available:
            return self._tell_availability()
        if time.monotonic() - subscription.beat_at >= self._heartbeat_seconds:
            return self._heartbeat()
        return b""

    def _find_position(self) -> bytes:
        """The frame that tells the client its position, at first and after the log was replaced."""
        hub, generation = self._hub, self._hub.generation
        self._beyond = frozenset()
        cursor, status = self._start() if self._generation == 0 else (None, "reset")
        # If the log was replaced during the query, the generations differ at the next call.
        self._generation = generation
        self._has_told_outage = False
        return self._connection(hub.cursor if cursor is None else cursor, status)

    def _start(self) -> tuple[int | None, sse.Status]:
        asked = self._asked
        if asked is None:
            return None, "live"
        if asked == "unknown":
            return None, "reset"
        ring = self._hub.ring
        if not ring.floor <= asked.upto <= asked.newest <= ring.cursor:
            bounds = self._change_log.bounds()
            if not bounds.floor <= asked.upto <= asked.newest <= bounds.newest:
                return None, "reset"
        self._beyond = asked.beyond
        return asked.upto, "resumed"

    def _pass_beyond(self) -> bytes:
        """As ``_catch_up``, without what the client has seen, and with cursors that say what it has seen."""
        hub, subscription = self._hub, self._subscription
        at = subscription.cursor
        upto = min(hub.cursor, max(self._beyond), at + _BEYOND_IDS)
        if at >= upto:  # the Listener has not come to them
            if self._has_told_outage == hub.is_available:
                return self._tell_availability()
            gevent.sleep(_BEYOND_SECONDS)
            return b""
        changes, end = hub.ring.between(at, upto, subscription.filter), upto
        if changes is None:
            batch = self._change_log.read_after(at, upto, subscription.filter)
            if self._generation != hub.generation:
                return b""
            if not batch.is_continuous:
                self._beyond = frozenset()
                return self._connection(hub.cursor, "reset")
            changes, end = batch.changes, batch.cursor
        new = [change for change in changes if change.id not in self._beyond]
        frames = _with_cursors(new, Cursor(at, self._beyond))
        known = Cursor(at, self._beyond).advanced(end)
        subscription.advance(known.upto)
        self._beyond = known.beyond
        return self._deliver_frames(frames)

    def _catch_up(self) -> bytes:
        hub, subscription = self._hub, self._subscription
        piece = hub.ring.piece(subscription.cursor, subscription.filter)
        if piece is not None:
            subscription.advance(piece.cursor)
            hub.counts["deliveries"] += piece.number
            hub.counts["sent_bytes"] += len(piece.frames)
            return piece.frames
        hub.counts["log_reads"] += 1
        batch = self._change_log.read_after(subscription.cursor, hub.cursor, subscription.filter)
        if self._generation != hub.generation:
            return b""
        if not batch.is_continuous:
            return self._connection(hub.cursor, "reset")
        subscription.advance(batch.cursor)
        return self._deliver(batch.changes)

    def _deliver(self, changes: list[Change]) -> bytes:
        return self._deliver_frames([change.frame for change in changes])

    def _deliver_frames(self, frames: list[bytes]) -> bytes:
        data = b"".join(frames)
        self._hub.counts["deliveries"] += len(frames)
        self._hub.counts["sent_bytes"] += len(data)
        return data

    def _connection(self, cursor: int, status: sse.Status) -> bytes:
        self._hub.counts[status] += 1
        self._subscription.advance(cursor)
        topics = self._subscription.filter.topics
        known = Cursor(cursor, self._beyond)
        return sse.connection_frame(topics, known, status, heartbeat_seconds=self._heartbeat_seconds)

    def _tell_availability(self) -> bytes:
        self._has_told_outage = not self._hub.is_available
        if self._has_told_outage:
            return sse.error_frame(
                "database_unavailable",
                "The database is unavailable. This stream continues without a gap once it is back.",
                self._sent_back,
            )
        return self._connection(self._subscription.cursor, "live")

    def _wait_for_log(self, error: Exception) -> bytes:
        if not self._has_told_outage:
            if self._hub.is_available:  # else the Listener has logged it for all
                log.warning("a stream cannot read the change log and will retry: %s", error)
            self._has_told_outage = True
            return sse.error_frame(
                "database_unavailable",
                "The change log cannot be read now. This stream continues once it can.",
                self._sent_back,
            )
        gevent.sleep(random.uniform(0.5, 1.5))
        is_due = time.monotonic() - self._subscription.beat_at >= self._heartbeat_seconds
        return self._heartbeat() if is_due else b""

    def _heartbeat(self) -> bytes:
        subscription = self._subscription
        subscription.beat_at = time.monotonic()
        if self._generation == 0 or not subscription.is_live:
            return sse.heartbeat_frame(self._sent_back)
        subscription.advance(max(subscription.cursor, self._hub.handed_out))
        return sse.heartbeat_frame(subscription.cursor)


def _with_cursors(changes: list[Change], known: Cursor) -> list[bytes]:
    """The frames of changes that a client does not know, each with what it knows then."""
    frames, left, first = [], str(known).partition(",")[2], min(known.beyond, default=0)
    for change in changes:
        # What is left beyond is put into words anew only where a change comes up to it.
        if change.id + 1 >= first:
            known = known.advanced(change.id)
            left, first = str(known).partition(",")[2], min(known.beyond, default=0)
            frames.append(sse.with_cursor(change.frame, str(known)))
        else:
            frames.append(sse.with_cursor(change.frame, f"{change.id},{left}"))
    return frames
