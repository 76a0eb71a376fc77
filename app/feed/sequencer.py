"""Sequencer: sees to it that what is committed gets its ids at once.

Invariant: while the bell rings (``change_bell``, a NOTIFY of a writer that finds nobody awake), one sequencer of all
hosts is awake, in the database itself: ``sequence_changes`` in ``sql/`` numbers until nothing has come for a while.
The others find it awake and leave it alone. Two at once do no harm but for the work; none at all, only delay: numbering
is exact however many do it, and each sequencer looks at intervals even if it heard no bell.

The one that numbered last answers the bell. The others look a moment later whether it did, and take its place if not.
"""

from __future__ import annotations

import logging
import random
import select
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from typing import Literal

from gevent.select import poll
from psycopg2.extensions import connection as Connection

from app.feed.periodic import Pause

log = logging.getLogger(__name__)

BELL = "change_bell"
# How long it looks by itself after the last change, before it has to be rung for; and how long a call lasts at most.
# Both in seconds, as is what follows.
_LINGER = 0.05
_LONGEST = 1.0
# How long the others leave the bell to the first.
_DEFER = (0.15, 0.3)
# After how many changes the inbox is vacuumed, and how often it looks whether there were so many, in seconds.
# Autovacuum comes once a minute at best, and ten thousand changes a second have made a gigabyte of it by then.
_TIDY_AFTER = 20_000
_TIDY_SECONDS = 5.0
# How often it looks for transactions that may have seen it awake and have not ended: often at first, then rarely.
_STRAGGLERS = (0.02, 0.25)

State = Literal["away", "awake", "sleeping", "watching", "waiting for transactions"]


class Sequencer:
    """Numbers changes; ``work`` and ``tidy`` are called by a Periodic each. ``work`` waits for the bell itself.

    ``is_first``: it was awake last, as far as it knows. ``totals`` counts what it ``numbered``, how often it was
    ``awake``, and what it found that nobody had rung for (``unrung``).

    Args:
        connect: opens a connection in autocommit mode, or raises psycopg2.Error.
        check_seconds: how often it looks when it hears no bell.
    """

    def __init__(self, connect: Callable[[], Connection], *, check_seconds: float) -> None:
        self.totals: Counter[str] = Counter()
        self.is_first = True  # until another is seen awake
        self.state: State = "away"
        self._connect = connect
        self._check_seconds = check_seconds
        self._connection: Connection | None = None
        self._awake: int | None = None  # by which the database knows that it goes on
        self._tidied = 0  # what it had numbered when it last tidied the inbox

    def work(self, _pause: Pause) -> float:
        """Number what there is, then wait for the bell; returns the seconds until the next call, 0.

        Raises:
            psycopg2.Error: the database is unavailable or refused; the next call opens another connection.
        """
        try:
            connection = self._connection = self._connection or self._open()
            self._wait_for_bell(connection, self._sequence(connection))
        except BaseException:
            self.close()
            raise
        return 0.0

    def tidy(self, _pause: Pause) -> float:
        """Make room in the inbox if much has gone through it; returns the seconds until the next call.

        Called by a Periodic of its own, on a connection of its own: changes that wait for their ids cannot wait for it.

        Raises:
            psycopg2.Error: the database is unavailable or refused.
        """
        numbered = self.totals["numbered"]
        if numbered >= self._tidied + _TIDY_AFTER:
            with closing(self._connect()) as connection, connection.cursor() as cursor:
                cursor.execute("vacuum (truncate false, skip_locked) change_inbox")
            self._tidied = numbered
        return _TIDY_SECONDS

    def close(self) -> None:
        """Close the connection; the next call of ``work`` opens another one."""
        if self._connection is not None:
            self._connection.close()
            self._connection, self.state = None, "away"

    def _open(self) -> Connection:
        connection = self._connect()
        with connection.cursor() as cursor:
            cursor.execute(f"listen {BELL}")
        self.totals["numbered"] += _check(connection)
        return connection

    def _sequence(self, connection: Connection) -> str | None:
        """Be awake until nothing comes any more; returns the horizon up to which transactions have to end."""
        while True:
            with connection.cursor() as cursor:
                cursor.execute(
                    "call sequence_changes(%s, %s * interval '1 second', %s * interval '1 second')",
                    (self._awake, _LINGER, _LONGEST),
                )
                [(numbered, self._awake, horizon)] = cursor.fetchall()
            if numbered is None:
                self.is_first, self.state = False, "watching"
                return None
            self.is_first, self.state = True, "awake"
            self.totals["awake"] += 1
            self.totals["numbered"] += numbered
            if self._awake is None:
                return None if horizon is None else str(horizon)

    def _wait_for_bell(self, connection: Connection, horizon: str | None) -> None:
        """Return when there is something to number, or may be."""
        seconds = _STRAGGLERS[0]
        while horizon is not None:
            self.state = "waiting for transactions"
            if _rings(connection, seconds):
                return
            # First the horizon, then the look: what has ended by then is seen.
            if _is_past(connection, horizon):
                horizon = None
            self.totals["numbered"] += _number(connection)
            seconds = min(seconds * 1.5, _STRAGGLERS[1])
        if self.is_first:
            self.state = "sleeping"
        while True:
            rang = _rings(connection, self._check_seconds)
            if rang and self.is_first:
                return
            if rang:
                _rings(connection, random.uniform(*_DEFER), ends=False)
            # Not as one that is awake: the first would take us for that, and leave the next bell to us.
            if found := _number(connection) if rang else _check(connection):
                self.totals["numbered"] += found
                if self.is_first:
                    self.totals["unrung"] += found
                return


def _check(connection: Connection) -> int:
    """Number what there is, in a log that is this database's own: that of a copy restarts instead."""
    with connection.cursor() as cursor:
        cursor.execute("select case when not recognize_database() then number_changes() end")
        [(number,)] = cursor.fetchall()
    if number is None:
        log.error("this database is a copy or was restored: its change log restarts and all streams are reset")
    return int(number or 0)


def _is_past(connection: Connection, horizon: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("select pg_snapshot_xmin(pg_current_snapshot()) >= %s::xid8", (horizon,))
        return cursor.fetchall() == [(True,)]


def _number(connection: Connection) -> int:
    with connection.cursor() as cursor:
        cursor.execute("select number_changes()")
        [(number,)] = cursor.fetchall()
        return int(number)


def _rings(connection: Connection, seconds: float, *, ends: bool = True) -> bool:
    """Wait for the bell for so long; returns whether it rang. Unless it ``ends`` the wait, the time is waited out."""
    incoming, until = poll(), time.monotonic() + seconds
    incoming.register(connection.fileno(), select.POLLIN)
    rang = False
    while True:
        # Notifications that came with the answer to a query are in memory: the socket would not report them.
        connection.poll()
        rang = rang or bool(connection.notifies)
        connection.notifies.clear()
        left = until - time.monotonic()
        if (rang and ends) or left <= 0:
            return rang
        incoming.poll(left * 1000)
