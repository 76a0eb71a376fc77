"""ChangeLog: the changes that the database has recorded, read after a cursor.

Invariant: this is the only reader of the change log. Ids are in commit order, so "changes after my cursor" is the only
question anyone needs to ask. Nothing here writes, and no connection is held between two calls.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from typing import NamedTuple, cast

from gevent.lock import BoundedSemaphore
from psycopg2.extensions import connection as Connection
from sqlalchemy import create_engine

from app.feed.change import TABLE_WIDE, TABLES, TOPIC_OF_TABLE, Change, Filter
from app.postgres.connections import connect, sqlalchemy_url

log = logging.getLogger(__name__)

# A row of the log: id, table, payload, when it was recorded.
_Row = tuple[int, str, str, datetime]
# The newest changes that could not be read, for /api/system.
unreadable: deque[int] = deque(maxlen=100)
# Rows in one read: about 120 kB of ordinary changes, and 20 MB of the largest that cameras write.
BATCH = 200
# How many ids one read may scan for a narrow filter: a few milliseconds of index scan.
_WINDOW = 20_000


class Bounds(NamedTuple):
    """The part of history that the log still holds: every change after ``floor``, up to ``newest``."""

    floor: int
    newest: int

    def reach(self, cursor: int) -> bool:
        """Whether the log holds every change after the cursor. A cursor from the future belongs to another log."""
        return self.floor <= cursor <= self.newest


def bounds(connection: Connection) -> Bounds:
    """Read the bounds of the log; (0, 0) if nothing was ever recorded."""
    with connection.cursor() as cursor:
        cursor.execute("select coalesce(min(id) - 1, 0), coalesce(max(id), 0) from change_log")
        return Bounds(*cursor.fetchall()[0])


class Batch(NamedTuple):
    """Matching changes in order, the cursor up to which the log was scanned, and its bounds after that.

    If the bounds still reach the requested cursor, nothing after it was pruned before it was read.
    """

    changes: list[Change]
    cursor: int
    bounds: Bounds


def read_after(connection: Connection, after: int, upto: int, wanted: Filter) -> Batch:
    """Read the next matching changes of the log, at most BATCH of them.

    Args:
        after: the cursor to start after.
        upto: the last id of interest; call again until the batch's cursor has reached it.
    """
    upto = min(upto, after + _WINDOW)
    session = (
        ""
        if wanted.session_id is None
        else (
            " and (session_id = %(session)s::uuid or old_session_id = %(session)s::uuid"
            " or action = any(%(table_wide)s))"
        )
    )
    with connection.cursor() as cursor:
        cursor.execute(
            "select id, table_name, payload, recorded_at from change_log where id > %(after)s and id <= %(upto)s"
            " and table_name = any(%(tables)s)" + session + " order by id limit %(limit)s",
            {
                "after": after,
                "upto": upto,
                "tables": [TABLES[topic] for topic in wanted.topics],
                "session": wanted.session_id,
                "table_wide": list(TABLE_WIDE),
                "limit": BATCH,
            },
        )
        rows: Sequence[_Row] = cursor.fetchall()
    changes = [change for row in rows if wanted.matches(change := _change(*row))]
    return Batch(changes, rows[-1][0] if len(rows) == BATCH else max(after, upto), bounds(connection))


def _change(change_id: int, table: str, payload: str, recorded_at: datetime) -> Change:
    """The change in a row of the log. A row that cannot be parsed must not stop those behind it."""
    try:
        change = Change.from_payload(payload)
        if change is None or change.id != change_id:
            raise ValueError(f"not the payload of change {change_id}: {payload[:200]!r}")
        return change
    except ValueError as error:
        if change_id not in unreadable:
            log.error("change %d cannot be read; subscribers of %s hear reset: %s", change_id, table, error)
            unreadable.append(change_id)
        return Change.unreadable(change_id, TOPIC_OF_TABLE[table], recorded_at.timestamp())


class ChangeLog:
    """The log as the streams of a worker read it: a few connections, each returned after one read.

    Raises (from every method): sqlalchemy.exc.SQLAlchemyError or psycopg2.Error when the database is unavailable.
    """

    def __init__(self, database_url: str, *, connections: int = 3) -> None:
        self._engine = create_engine(
            sqlalchemy_url(database_url),
            pool_size=connections,
            max_overflow=0,
            pool_timeout=30,
            pool_pre_ping=True,
            isolation_level="AUTOCOMMIT",
            creator=partial(connect, database_url, application_name="people-feed catch-up", statement_timeout=10_000),
        )
        # This wait is fair and has no time limit; waiting for the pool has one.
        self._turn = BoundedSemaphore(connections)

    def bounds(self) -> Bounds:
        """The part of history that the log still holds."""
        with self._connection() as connection:
            return bounds(connection)

    def read_after(self, after: int, upto: int, wanted: Filter) -> Batch:
        """See the function of the same name."""
        with self._connection() as connection:
            return read_after(connection, after, upto, wanted)

    def close(self) -> None:
        """Close the pool. It reopens by itself when needed."""
        self._engine.dispose()

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        with self._turn:
            pooled = self._engine.raw_connection()
            try:
                yield cast(Connection, pooled.driver_connection)
            except BaseException:
                # A greenlet killed in a query leaves the connection in the middle of a protocol exchange.
                pooled.invalidate()
                raise
            finally:
                pooled.close()
