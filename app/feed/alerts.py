"""Alerts: evaluates the thresholds against the readings in the change log, in its order.

Invariant: every reading is evaluated once, after its commit and before any that was committed later; writers do nothing
for it and wait for nothing. One worker evaluates at a time, by a lock that only the owner of the log can take. No
statement is sent while no reading comes in.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import gevent
from psycopg2.extensions import connection as Connection

from app.feed.periodic import Pause

# How soon an alert follows its reading, and how often another worker's work is looked after, in seconds.
_LOOK_SECONDS = 0.15
_OTHER_SECONDS = 1.0


class Alerts:
    """Evaluates what has come in; ``work`` is called by a Periodic. ``totals["evaluated"]`` counts changes.

    Args:
        connect: opens a connection in autocommit mode, or raises psycopg2.Error.
        margin_seconds: how far a reading's own time may be ahead; beyond it, the reading raises no alert.
        newest: what this worker has heard of; it changes with each new reading, and when the log (re)starts.
    """

    def __init__(
        self, connect: Callable[[], Connection], newest: Callable[[], tuple[int, ...]], *, margin_seconds: float
    ) -> None:
        self.totals: Counter[str] = Counter()
        self._connect = connect
        self._newest = newest
        self._margin_seconds = margin_seconds
        self._connection: Connection | None = None
        self._evaluated: tuple[int, ...] = ()  # so that readings from before this worker started are looked after

    def work(self, pause: Pause) -> float:
        """Evaluate what is new; returns the seconds until the next look.

        Raises:
            psycopg2.Error: the database is unavailable or refused; the next call opens another connection.
        """
        newest = self._newest()
        if newest == self._evaluated:
            return _LOOK_SECONDS
        self._connection = self._connection or self._connect()
        try:
            is_done = self.evaluate(self._connection, pause)
        except BaseException:
            self.close()
            raise
        if not is_done:
            return _OTHER_SECONDS
        self._evaluated = newest
        return _LOOK_SECONDS

    def evaluate(self, connection: Connection, pause: Pause = lambda _seconds: False) -> bool:
        """Evaluate step by step until nothing is left; False if another session is at it, or ``pause`` says stop."""
        with connection.cursor() as cursor:
            while not pause(0):
                cursor.execute(
                    "select evaluate_alerts(clock_margin => %s * interval '1 second')", (self._margin_seconds,)
                )
                [(evaluated,)] = cursor.fetchall()
                if not evaluated:
                    return evaluated is not None
                self.totals["evaluated"] += evaluated
                gevent.sleep(0)
        return False

    def close(self) -> None:
        """Close the connection; the next call of ``work`` opens another one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
