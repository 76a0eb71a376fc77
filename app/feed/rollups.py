"""Rollups: fills and folds the readings into their minutes and hours.

Invariant: nothing depends on how soon this happens: a series takes what is not in the minutes yet from the rows. One
worker does the work at a time, in short transactions that no writer waits for; the SQL functions see to that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from time import monotonic

from psycopg2.extensions import connection as Connection

from app.feed.periodic import Pause

# The minute of now is written at each fold, and a series reads what is not folded yet row by row.
_INTERVAL_SECONDS = 10.0


class Rollups:
    """Keeps minutes and hours up to date; ``work`` is called by a Periodic. ``totals`` counts what it did.

    Args:
        connect: opens a patient connection in autocommit mode without a statement_timeout, or raises psycopg2.Error.
    """

    def __init__(self, connect: Callable[[], Connection]) -> None:
        self.totals: Counter[str] = Counter()
        self._connect = connect
        self._connection: Connection | None = None

    def work(self, pause: Pause) -> float:
        """Update once; returns the seconds until the next time.

        Raises:
            psycopg2.Error: the database is unavailable or refused; the next call opens another connection.
        """
        self._connection = self._connection or self._connect()
        try:
            self.update(self._connection, pause)
        except BaseException:
            self.close()
            raise
        return _INTERVAL_SECONDS

    def update(self, connection: Connection, pause: Pause = lambda _seconds: False) -> None:
        """Fold everything, fill everything, or stop when ``pause`` says so.

        While there is much to fill, as after an upgrade, what comes meanwhile is folded in between.
        """
        self._repeat(connection, "folded", "select fold_readings()", pause)
        while self._step(connection, "filled", "select fill_readings()", pause):
            self._repeat(connection, "folded", "select fold_readings()", pause)

    def close(self) -> None:
        """Close the connection; the next call of ``work`` opens another one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _repeat(self, connection: Connection, name: str, statement: str, pause: Pause) -> None:
        while self._step(connection, name, statement, pause):
            pass

    def _step(self, connection: Connection, name: str, statement: str, pause: Pause) -> bool:
        """Take one step, then a pause as long as it took; returns whether there may be more, and is time for it."""
        started = monotonic()
        with connection.cursor() as cursor:
            cursor.execute(statement)
            [(number,)] = cursor.fetchall()
        self.totals[name] += number
        return bool(number) and not pause(min(1.0, monotonic() - started))
