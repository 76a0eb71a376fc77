"""Listener: the greenlet that LISTENs and hands changes on in cursor order.

Invariant: every change of the log is published once, in order. A payload that number_changes() has sealed is believed
if it is the very next change. Any other NOTIFY is a doorbell, because any role that may connect can send one: the log,
which only its owner writes, is read after the Listener's own cursor, exactly as clients do.

It also reads the log at intervals when nothing was notified, which proves that it still hears: a silently dead
connection fails within seconds, and a change without a NOTIFY is still published, and counted. It reconnects forever.
It knows no clients; its audience does.
"""

from __future__ import annotations

import logging
import random
import re
import select
import time
from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Literal, Protocol

import gevent
import psycopg2
from gevent.event import Event
from gevent.select import poll
from psycopg2.extensions import connection as Connection

from app.feed.change import CHANNELS, TOPICS, Change, Filter
from app.feed.log import bounds, read_after
from app.feed.seal import opened, read_secret

log = logging.getLogger(__name__)

State = Literal["connecting", "live", "reconnecting", "stopped"]
_EVERYTHING = Filter(frozenset(TOPICS))
# How the payloads of number_changes() begin, sealed or not.
_ID = re.compile(r'\{"id":([0-9]{1,18}),')
# In seconds: how delays are counted for monitoring, besides the newest thousand.
DELAY_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
# Back-off between attempts, in seconds, before jitter: quick at first, as after a restart; the last value repeats.
_BACKOFF_SECONDS = (0.1, 0.2, 0.5, 1.0, 2.0)


class Audience(Protocol):
    """Receives what the Listener hears (the Hub)."""

    def publish(self, changes: Sequence[Change]) -> None: ...
    def start_at(self, cursor: int) -> None: ...
    def set_available(self, is_available: bool) -> None: ...


class Register(Protocol):
    """Something else that has to follow the database: read when the Listener connects, at its NOTIFY and at each
    check."""

    channel: str

    def read(self, connection: Connection, *, whole: bool = False) -> None: ...


class Listener:
    """One LISTEN connection and its greenlet.

    Args:
        connect: opens a connection in autocommit mode, or raises psycopg2.Error.
        register: what is read before anything is published, so that nobody gets what they may no longer have.
        check_seconds: how often the log is read when nothing was notified; also the time limit of a read.
    """

    def __init__(
        self,
        connect: Callable[[], Connection],
        audience: Audience,
        *,
        check_seconds: float,
        register: Register | None = None,
    ) -> None:
        self.state: State = "connecting"
        self.since = time.time()
        self.cursor: int | None = None
        self.counts: Counter[str] = Counter()
        # From the writing of a row to its publication, by the database's clock and ours.
        self.delays_ms: deque[float] = deque(maxlen=1000)
        self.published: Counter[str] = Counter()  # changes by topic
        self._delays = [0] * (len(DELAY_BOUNDS) + 1)
        self._delays_seconds = 0.0
        self._connect = connect
        self._audience = audience
        self._check_seconds = check_seconds
        self._register = register
        self._greenlet: gevent.Greenlet[[], None] | None = None
        self._stopping = Event()
        self._secret = b""
        # What the last check found without having heard the bell.
        self._unannounced = 0

    def start(self) -> None:
        """Start listening. A second call does nothing."""
        if self._greenlet is None and not self._stopping.is_set():
            self._greenlet = gevent.spawn(self._run)

    def stop(self) -> None:
        """Stop for good. May be called before start, and twice."""
        self._stopping.set()
        if self._greenlet is not None:
            self._greenlet.kill()
            self._greenlet = None
        self._enter("stopped")

    def take_delays(self) -> tuple[list[int], float]:
        """How many delays since the last call lie up to each of ``DELAY_BOUNDS``, and beyond; and their sum."""
        taken = self._delays, self._delays_seconds
        self._delays, self._delays_seconds = [0] * (len(DELAY_BOUNDS) + 1), 0.0
        return taken

    def _run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                with closing(self._connect()) as connection:
                    self._listen(connection)
            except (psycopg2.Error, OSError, TimeoutError) as error:
                # A connection that lasted earns a quick first retry.
                failures = 0 if time.monotonic() - began > 1 else failures + 1
                self._lose(error)
            except Exception:
                # A bug must not end the feed in silence: it is logged, and since what was published is unknown, all
                # streams are reset.
                failures += 1
                log.exception("the Listener failed and restarts")
                self._lose(None)
                self.cursor = None
            base = _BACKOFF_SECONDS[min(failures, len(_BACKOFF_SECONDS) - 1)]
            self._stopping.wait(base * random.uniform(0.5, 1.5))

    def _listen(self, connection: Connection) -> None:
        with gevent.Timeout(self._check_seconds, TimeoutError("LISTEN got no answer")), connection.cursor() as cursor:
            for channel in (*CHANNELS, *(() if self._register is None else (self._register.channel,))):
                cursor.execute(f"listen {channel}")
        self._recognize(connection)
        self._read_register(connection, whole=True)
        # From here on, nothing is missed that commits while we read the bounds of the log.
        self._find_position(connection)
        self._audience.set_available(True)
        self._enter("live")
        check_at = time.monotonic() + self._check_seconds
        # Not select(), which cannot watch a file beyond the 1024th: each stream of this worker is one.
        incoming = poll()
        incoming.register(connection.fileno(), select.POLLIN)
        while True:
            # Notifications that came with the answer to a query are in memory: the socket would not report them.
            connection.poll()
            if not connection.notifies:
                incoming.poll(max(0.0, check_at - time.monotonic()) * 1000)
                connection.poll()
            if connection.notifies:
                # Forgotten before the log is read: the bell of what comes later rings again.
                notifies = list(connection.notifies)
                connection.notifies.clear()
                if self._register is not None and any(notify.channel == self._register.channel for notify in notifies):
                    self._read_register(connection)
                texts = [notify.payload for notify in notifies if notify.channel in CHANNELS]
                if texts:
                    self._unannounced = 0
                if texts and not self._believe(texts):
                    self._catch_up(connection)
            if time.monotonic() >= check_at:
                self._check(connection)
                check_at = time.monotonic() + self._check_seconds

    def _believe(self, texts: list[str]) -> bool:
        """Publish what is sealed and follows the cursor; returns whether nothing else has to be read."""
        changes: list[Change] = []
        cursor, is_complete = self._at, True
        for text in texts:
            payload = opened(text, self._secret)
            try:
                change = Change.from_payload(payload) if payload is not None else None
            except ValueError:  # sealed, but unreadable: the reader of the log knows what stands for it
                change = None
            if change is None:
                # What an unsealed one says is used to leave the log unread at most, so a false one gains nothing.
                number = _ID.match(text)
                is_complete = is_complete and number is not None and int(number[1]) <= cursor
            elif change.id == cursor + 1:
                changes.append(change)
                cursor = change.id
            elif change.id > cursor:
                is_complete = False
        self._publish(changes, cursor)
        return is_complete

    def _recognize(self, connection: Connection) -> bool:
        """Let the database restart its log if it is a copy or was restored; returns whether it did."""
        with self._time_limit(), connection.cursor() as cursor:
            cursor.execute("select recognize_database()")
            [[was_restarted]] = cursor.fetchall()
            self._secret = read_secret(connection)
        if was_restarted:
            log.error("this database is a copy or was restored: its change log restarts and all streams are reset")
        return bool(was_restarted)

    def _read_register(self, connection: Connection, *, whole: bool = False) -> None:
        if self._register is not None:
            with self._time_limit():
                self._register.read(connection, whole=whole)

    def _find_position(self, connection: Connection) -> None:
        """Start at the end of the log, or continue from our cursor if the log still reaches it."""
        self._unannounced = 0
        with self._time_limit():
            here = bounds(connection)
        if self.cursor is not None and here.reach(self.cursor):
            self._catch_up(connection)
            return
        if self.cursor is not None:
            log.error(
                "the change log does not continue at %s (it holds %s to %s): all streams are reset",
                self.cursor,
                here.floor,
                here.newest,
            )
            self.counts["resets"] += 1
        self.cursor = here.newest
        self._audience.start_at(here.newest)

    def _check(self, connection: Connection) -> None:
        """Read the log even though nothing was notified."""
        if self._unannounced:
            self.counts["unannounced"] += self._unannounced
            log.warning("%d changes arrived without a NOTIFY, up to %d", self._unannounced, self._at)
        was_restarted = self._recognize(connection)  # a restore in place breaks no connection
        self._read_register(connection, whole=was_restarted)
        with self._time_limit():
            here = bounds(connection)
        if was_restarted or not here.reach(self._at):
            self._find_position(connection)
            return
        # Their NOTIFY may be under way; if none has come by the next check, it never will.
        self._unannounced = self._catch_up(connection)
        self.counts["checks"] += 1

    def _catch_up(self, connection: Connection) -> int:
        """Publish everything after the cursor; returns how many changes that were."""
        number = 0
        while True:
            with self._time_limit():
                batch = read_after(connection, self._at, _EVERYTHING)
            if not batch.is_continuous:
                self._find_position(connection)  # pruned or restarted past our cursor
                return number
            self._publish(batch.changes, batch.cursor)
            number += len(batch.changes)
            if not batch.is_full:
                return number

    def _publish(self, changes: list[Change], cursor: int) -> None:
        if changes:
            self._audience.publish(changes)
            now = time.time()
            for change in changes:
                delay = now - change.timestamp
                self.delays_ms.append(delay * 1000)
                self._delays[bisect_left(DELAY_BOUNDS, delay)] += 1
                self._delays_seconds += delay
            self.published.update([change.topic for change in changes])
        self.cursor = cursor

    @property
    def _at(self) -> int:
        assert self.cursor is not None
        return self.cursor

    def _lose(self, error: Exception | None) -> None:
        if self.state == "live" or self.counts["failures"] == 0:
            log.warning("the Listener lost the database and is reconnecting: %s", error)
        self.counts["failures"] += 1
        self._audience.set_available(False)
        self._enter("reconnecting" if self.cursor is not None else "connecting")

    def _enter(self, state: State) -> None:
        if state != self.state:
            if state == "live" and self.state == "reconnecting":
                self.counts["reconnects"] += 1
            log.info("the Listener is %s", state)
            self.state, self.since = state, time.time()

    def _time_limit(self) -> gevent.Timeout:
        return gevent.Timeout(self._check_seconds, TimeoutError("the database did not answer in time"))
