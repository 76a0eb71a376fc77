"""Counts: folds movements into counts by minute, ends silent sessions, and raises the alerts that no reading raises.

Invariant: nothing depends on how soon this happens: readers of the counts add the changes that are not folded yet. One
worker does the work at a time, in short transactions that no writer waits for; the SQL functions see to that.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable

import gevent
import psycopg2
from psycopg2.extensions import connection as Connection

from app.feed.periodic import Pause

log = logging.getLogger(__name__)

# The wait between two updates, in seconds: shorter when there was more to do. Each update takes the database a few
# milliseconds, and whatever is not folded yet has to be added up by every reader of the counts.
_INTERVAL_SECONDS = (1.0, 5.0)
_CHANGES_PER_UPDATE = 1000


class Counts:
    """Keeps the counts up to date; ``work`` is called by a Periodic. ``totals`` counts what it folded and ended.

    Args:
        connect: opens a connection in autocommit mode without a statement_timeout, or raises psycopg2.Error.
        silence_seconds: an active session that reported once and then not for this long is ended.
        margin_seconds: how far a row's own time may be ahead; beyond it, the row is not of now.
        time_zone: whose midnight begins the day of a door that is counted from its movements.
    """

    def __init__(
        self,
        connect: Callable[[], Connection],
        *,
        silence_seconds: float,
        margin_seconds: float = 120.0,
        time_zone: str = "UTC",
    ) -> None:
        self.totals: Counter[str] = Counter()
        self._connect = connect
        self._silence_seconds = silence_seconds
        self._margin_seconds = margin_seconds
        self._time_zone = time_zone
        self._connection: Connection | None = None
        self._seconds = _INTERVAL_SECONDS[0]

    def work(self, pause: Pause) -> float:
        """Update once; returns the seconds until the next time.

        Raises:
            psycopg2.Error: the database is unavailable or refused; the next call opens another connection.
        """
        self._connection = self._connection or self._connect()
        try:
            folded = self.update(self._connection, pause)
        except BaseException:
            self.close()
            raise
        shortest, longest = _INTERVAL_SECONDS
        self._seconds = min(longest, max(shortest, self._seconds * _CHANGES_PER_UPDATE / max(1, folded)))
        return self._seconds

    def update(self, connection: Connection, pause: Pause = lambda _seconds: False) -> int:
        """Fold everything, then look after silent sessions; returns how many changes were folded."""
        with connection.cursor() as cursor:
            # What has lasted is judged by the log: a reading that says otherwise must not be waiting for its id.
            cursor.execute("select number_changes()")
        folded = self.fold_movements(connection, pause)
        self.end_silent_sessions(connection)
        self.evaluate_alerts_of_now(connection)
        return folded

    def fold_movements(self, connection: Connection, pause: Pause) -> int:
        """Fold movements step by step until none is left or ``pause`` says stop; returns how many."""
        total = 0
        with connection.cursor() as cursor:
            while not pause(0) and (folded := _number(cursor, "select fold_movements()")):
                total += folded
                self.totals["folded"] += folded
                gevent.sleep(0)
        return total

    def end_silent_sessions(self, connection: Connection) -> None:
        """End the active sessions that have been silent for too long."""
        with connection.cursor() as cursor:
            ended = _number(cursor, "select end_silent_sessions(%s * interval '1 second')", self._silence_seconds)
        self.totals["ended"] += ended
        if ended:
            log.info("Ended %d sessions that had been silent for %g seconds.", ended, self._silence_seconds)

    def evaluate_alerts_of_now(self, connection: Connection) -> None:
        """Raise and resolve the alerts of silence, of counted doors, of the total, and of what has lasted.

        No row is written when nothing happens.
        """
        with connection.cursor() as cursor:
            cursor.execute(
                "select evaluate_alerts_of_now(%s, %s * interval '1 second', %s * interval '1 second')",
                (self._time_zone, self._margin_seconds, self._silence_seconds),
            )

    def close(self) -> None:
        """Close the connection; the next call of ``work`` opens another one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _number(cursor: psycopg2.extensions.cursor, query: str, *values: object) -> int:
    cursor.execute(query, values)
    [(number,)] = cursor.fetchall()
    return int(number)
