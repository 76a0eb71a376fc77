"""Bookkeeper: keeps the counts of movements up with the change log, and looks after silent sessions.

Invariant: nothing depends on its being quick: who reads the counts adds the changes that are not folded yet. One
worker does the work at a time, in short transactions that no writer waits for.
"""

from __future__ import annotations

import logging
import random
from collections import Counter
from collections.abc import Callable

import gevent
import psycopg2
from gevent.event import Event
from psycopg2.extensions import connection as Connection

log = logging.getLogger(__name__)


# How long it waits between two rounds: the shorter, the more there was to do. Each takes some milliseconds of the
# database, in which writers wait for the core; and what waits to be folded, whoever reads the counts has to add up.
_INTERVAL_SECONDS = (1.0, 5.0)
_CHANGES_A_ROUND = 1000


class Bookkeeper:
    """Works at intervals, in a greenlet. Start it in every worker: the first come does the work.

    Args:
        connect: opens a connection in autocommit mode without a statement_timeout, or raises psycopg2.Error.
    """

    def __init__(self, connect: Callable[[], Connection], *, silence_seconds: float) -> None:
        self.counts: Counter[str] = Counter()
        self._connect = connect
        self._silence_seconds = silence_seconds
        self._stopping = Event()
        self._greenlet: gevent.Greenlet[[], None] | None = None

    def start(self) -> None:
        """Work from now on, until ``stop``."""
        self._stopping.clear()
        self._greenlet = gevent.spawn(self._run)

    def stop(self) -> None:
        """End after the step that is running; may be called before start, and twice."""
        self._stopping.set()
        if self._greenlet is not None:
            self._greenlet.join(timeout=5)
            self._greenlet.kill()
            self._greenlet = None

    def work(self, connection: Connection) -> None:
        """Fold all that is there, then end the silent sessions."""
        with connection.cursor() as cursor:
            while not self._stopping.is_set() and (folded := _number(cursor, "select fold_movements()")):
                self.counts["folded"] += folded
                gevent.sleep(0)
            ended = _number(cursor, "select end_silent_sessions(%s * interval '1 second')", self._silence_seconds)
            cursor.execute("select evaluate_silence()")
        self.counts["ended"] += ended
        if ended:
            log.info("Ended %d sessions that had fallen silent for %g seconds.", ended, self._silence_seconds)

    def _run(self) -> None:
        connection: Connection | None = None
        shortest, longest = _INTERVAL_SECONDS
        seconds = shortest
        while not self._stopping.wait(seconds * random.uniform(0.8, 1.2)):
            before = self.counts["folded"]
            try:
                connection = connection or self._connect()
                self.work(connection)
                folded = self.counts["folded"] - before
                seconds = min(longest, max(shortest, seconds * _CHANGES_A_ROUND / max(1, folded)))
            except psycopg2.Error as error:
                self.counts["failures"] += 1
                log.warning("Bookkeeping failed, next try in a moment: %s", str(error).strip())
                if connection is not None:
                    connection.close()
                connection = None
        if connection is not None:
            connection.close()


def _number(cursor: psycopg2.extensions.cursor, query: str, *values: object) -> int:
    cursor.execute(query, values)
    [(number,)] = cursor.fetchall()
    return int(number)
