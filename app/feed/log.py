"""ChangeLog: the changes that the database has recorded, read after a cursor.

Invariant: this is the only reader of the change log. Who sees an id sees all below it that will ever be, so "changes
after my cursor" is the only question anyone needs to ask. Nothing here writes, and no connection is held between two
calls.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple, cast

import psycopg2
from gevent.lock import BoundedSemaphore
from psycopg2.extensions import connection as Connection
from sqlalchemy import create_engine

from app.feed.change import TABLE_WIDE, TABLES, TOPIC_OF_TABLE, TOPICS, Change, Filter
from app.postgres.connections import connect, sqlalchemy_url

log = logging.getLogger(__name__)

# A row of the log: its floor, the change's id, table, when it was recorded, and its payload unless that is large.
_Row = tuple[int, int | None, str, datetime, str | None]
# The newest changes that could not be read, for /api/system.
unreadable: deque[int] = deque(maxlen=100)
# Rows in one read: about 120 kB of ordinary changes, and at most 4 MB, because a large change is read alone.
BATCH = 200
_LARGE_BYTES = 20 * 1024
# How many ids one read may scan for a narrow filter: a few milliseconds of index scan.
_WINDOW = 20_000

# One statement, hence one snapshot: what the floor lets through has not been pruned. Each wake-up of each Listener runs
# it, so it is kept short for the planner. The length is that of the stored row: nothing large is read here.
_NEXT = f"""
select home.floor, next.* from change_log_home as home left join lateral (
    select id, table_name, recorded_at, case when octet_length(payload) <= {_LARGE_BYTES} then payload end
    from change_log where id > %(after)s {{conditions}} order by id limit {BATCH}) as next on true
"""
_OF_TOPICS = "and table_name = any(%(tables)s)"
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
        return Bounds(*_at_home(cursor.fetchall())[0])


def _at_home(rows: list[Any]) -> list[Any]:
    if not rows:  # as amid a restore in place, which creates the table before it fills it
        raise psycopg2.OperationalError("change_log_home is empty, so where the log begins is unknown")
    return rows


class Batch(NamedTuple):
    """Matching changes in order, and the cursor up to which the log was scanned.

    ``is_continuous``: nothing after the requested cursor was pruned. ``is_full``: there may be more to read.
    """

    changes: list[Change]
    cursor: int
    is_continuous: bool
    is_full: bool


def read_after(connection: Connection, after: int, wanted: Filter, upto: int | None = None) -> Batch:
    """Read the next matching changes of the log: at most BATCH, and none after a large one.

    Args:
        after: the cursor to start after.
        upto: the last id of interest; call again until the batch's cursor has reached it. Without it, the batch's
            cursor is that of its last change, and an empty batch is the end of the log.
    """
    upto = upto if upto is None else min(upto, after + _WINDOW)
    with connection.cursor() as cursor:
        cursor.execute(
            _statement(wanted, upto),
            {
                "after": after,
                "upto": upto,
                "tables": [TABLES[topic] for topic in wanted.topics],
                "session": wanted.session_id,
                "table_wide": list(TABLE_WIDE),
            },
        )
        found: list[_Row] = _at_home(cursor.fetchall())
    changes: list[Change] = []
    end, is_full = after if upto is None else max(after, upto), len(found) == BATCH
    for _, change_id, table, recorded_at, payload in found:
        if change_id is None:  # there is no change: the floor stands alone
            break
        is_large = payload is None
        if payload is None:
            payload, is_full = _payload(connection, change_id), True
        if table in TOPIC_OF_TABLE and wanted.matches(change := _change(change_id, table, payload, recorded_at)):
            changes.append(change)
        if is_full or upto is None:
            end = change_id
        if is_large:
            break
    return Batch(changes, end, found[0][0] <= after, is_full)


def _statement(wanted: Filter, upto: int | None) -> str:
    conditions = []
    if len(wanted.topics) < len(TOPICS):
        conditions.append(_OF_TOPICS)
    if upto is not None:
        conditions.append(_UPTO)
    if wanted.session_id is not None:
        conditions.append(_OF_SESSION)
    return _NEXT.format(conditions=" ".join(conditions))


def _payload(connection: Connection, change_id: int) -> str:
    """The payload of one large change; empty, hence unreadable, if it was pruned after it was seen."""
    with connection.cursor() as cursor:
        cursor.execute("select payload from change_log where id = %s", (change_id,))
        rows: list[tuple[str]] = cursor.fetchall()
    return rows[0][0] if rows else ""


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
