"""ChangeLog: the changes that the database has recorded, read after a cursor.

Invariant: this is the only reader of the change log. Ids are in commit order, so "changes after my cursor" is the only
question anyone needs to ask. Nothing here writes, and no connection is held between two calls.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator
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

# The newest changes that could not be read, for /api/system.
unreadable: deque[int] = deque(maxlen=100)
# Rows and bytes in one read. 200 ordinary changes are about 120 kB; a change may have megabytes of text.
BATCH = 200
BATCH_BYTES = 4 * 1024 * 1024
# How many ids one read may scan for a narrow filter: a few milliseconds of index scan.
_WINDOW = 20_000

# One statement, hence one snapshot: what the floor lets through has not been pruned. The lengths are those that the
# rows are stored with, so the payloads beyond the limit are never read.
_NEXT = """
select home.floor, next.* from (select floor from change_log_home) as home left join lateral (
    select id, table_name, payload, recorded_at, ends_at from (
        select *, sum(octet_length(payload)) over (order by id) as ends_at from (
            select id, table_name, payload, recorded_at from change_log
            where id > %(after)s and table_name = any(%(tables)s) {conditions}
            order by id limit %(rows)s) as candidate) as measured
    where ends_at - octet_length(payload) < %(bytes)s order by id) as next on true
"""
_UPTO = "and id <= %(upto)s"
_OF_SESSION = (
    "and (session_id = %(session)s::uuid or old_session_id = %(session)s::uuid or action = any(%(table_wide)s))"
)


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
        cursor.execute("select floor, greatest(floor, (select max(id) from change_log)) from change_log_home")
        return Bounds(*cursor.fetchall()[0])


class Batch(NamedTuple):
    """Matching changes in order, and the cursor up to which the log was scanned.

    ``is_continuous``: nothing after the requested cursor was pruned. ``is_full``: there may be more to read.
    """

    changes: list[Change]
    cursor: int
    is_continuous: bool
    is_full: bool


def read_after(connection: Connection, after: int, wanted: Filter, upto: int | None = None) -> Batch:
    """Read the next matching changes of the log, at most BATCH of them, and BATCH_BYTES or one larger change.

    Args:
        after: the cursor to start after.
        upto: the last id of interest; call again until the batch's cursor has reached it. Without it, the batch's
            cursor is that of its last change, and an empty batch is the end of the log.
    """
    conditions = []
    if upto is not None:
        upto = min(upto, after + _WINDOW)
        conditions.append(_UPTO)
    if wanted.session_id is not None:
        conditions.append(_OF_SESSION)
    with connection.cursor() as cursor:
        cursor.execute(
            _NEXT.format(conditions=" ".join(conditions)),
            {
                "after": after,
                "upto": upto,
                "tables": [TABLES[topic] for topic in wanted.topics],
                "session": wanted.session_id,
                "table_wide": list(TABLE_WIDE),
                "rows": BATCH,
                "bytes": BATCH_BYTES,
            },
        )
        found = cursor.fetchall()
    rows = [row for row in found if row[1] is not None]
    changes = [
        change
        for _, change_id, table, payload, recorded_at, _ in rows
        if wanted.matches(change := _change(change_id, table, payload, recorded_at))
    ]
    is_full = len(rows) == BATCH or (bool(rows) and rows[-1][5] >= BATCH_BYTES)
    end = rows[-1][1] if rows else after
    return Batch(changes, end if is_full or upto is None else max(after, upto), found[0][0] <= after, is_full)


def _change(change_id: int, table: str, payload: str, recorded_at: datetime) -> Change:
    """The change in a row of the log. A row that cannot be parsed must not stop those behind it."""
    try:
        change = Change.from_payload(payload)
        if change.id != change_id:
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
            return read_after(connection, after, wanted, upto)

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
