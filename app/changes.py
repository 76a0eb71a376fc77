"""Change, and the ChangeLog that they are read from.

Invariant: this is the only reader of the change log. Ids are in commit order, so "changes after my cursor" is all
that anybody ever needs to ask. Nothing here writes, and no connection is held between two calls.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, NamedTuple, cast, get_args

from gevent.lock import BoundedSemaphore
from psycopg2.extensions import connection as Connection
from pydantic_core import from_json
from sqlalchemy import create_engine

from app.database import connect, sqlalchemy_url
from app.sse import change_frame, connection_frame

Topic = Literal["sessions", "movements", "alerts", "metrics"]
TOPICS: tuple[Topic, ...] = get_args(Topic)
CHANNELS: dict[str, Topic] = {
    "session_changes": "sessions",
    "movement_changes": "movements",
    "alert_changes": "alerts",
    "metrics_changes": "metrics",
}
_TABLES: dict[Topic, str] = {
    "sessions": "sessions",
    "movements": "people_movements",
    "alerts": "alert_logs",
    "metrics": "realtime_metrics",
}
_TOPIC_OF_TABLE = {table: topic for topic, table in _TABLES.items()}

# Changes of a whole table: they concern every subscriber of its topic, and after the first two it has to start anew.
_RESETS = ("TRUNCATE", "RESET")
_TABLE_WIDE = (*_RESETS, "TEST")

# Rows in one read: about 120 kB of ordinary changes, and 20 MB of the largest that cameras write.
BATCH = 200
# Ids that one read may look through for a narrow filter: some milliseconds of index scan.
_WINDOW = 20_000


class Change(NamedTuple):
    """One row's INSERT, UPDATE or DELETE (or a table's TRUNCATE, RESET or TEST) as recorded in the log.

    ``session_ids`` and ``resolved`` hold what the row says now and what it said before, since a filter matches
    if either does. ``frame`` is what every client of this worker gets, encoded once.
    """

    id: int
    topic: Topic
    action: str
    session_ids: tuple[str, ...]
    resolved: tuple[bool, ...]
    timestamp: float
    frame: bytes

    @property
    def is_table_wide(self) -> bool:
        """Whether it concerns every subscriber of its topic, whatever else the filter says."""
        return self.action in _TABLE_WIDE

    @classmethod
    def from_payload(cls, payload: str) -> Change | None:
        """Read a payload as NOTIFY or the log carries it; None if it is a reference to the log.

        Raises:
            ValueError: it is neither; somebody else notified on our channel.
        """
        try:
            body = from_json(payload)
            if "data" not in body:
                int(body["id"])
                return None
            return cls._from_body(body, payload)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ValueError(f"not the payload of a change: {payload[:200]!r}") from error

    @classmethod
    def _from_body(cls, body: dict[str, Any], payload: str) -> Change:
        cursor, action, timestamp = int(body["id"]), str(body["action"]), float(body["timestamp"])
        topic = _TOPIC_OF_TABLE[body["table"]]
        rows = [row for row in (body["data"], body["old_data"]) if row]
        column = "id" if topic == "sessions" else "session_id"
        sessions = [row[column] for row in rows if row.get(column)]
        return cls(
            cursor,
            topic,
            action,
            tuple(dict.fromkeys(sessions) if len(sessions) > 1 else sessions),
            tuple([row["is_resolved"] for row in rows]) if topic == "alerts" and action not in _TABLE_WIDE else (),
            timestamp,
            connection_frame([topic], cursor, "reset", timestamp)
            if action in _RESETS
            else change_frame(cursor, payload, timestamp),
        )


@dataclass(frozen=True, slots=True)
class Filter:
    """What a subscriber asks for. ``session_id`` and ``resolved`` are None for all."""

    topics: frozenset[Topic]
    session_id: str | None = None
    resolved: bool | None = None

    def matches(self, change: Change) -> bool:
        """Whether the new or the old row matches, or the whole table is concerned."""
        if change.topic not in self.topics:
            return False
        if change.is_table_wide:
            return True
        if self.session_id is not None and self.session_id not in change.session_ids:
            return False
        return self.resolved is None or change.topic != "alerts" or self.resolved in change.resolved


class Bounds(NamedTuple):
    """The part of history that the log still has: every change after ``floor``, up to ``newest``."""

    floor: int
    newest: int

    def reach(self, cursor: int) -> bool:
        """Whether all changes after the cursor can be told. One from the future is of another log."""
        return self.floor <= cursor <= self.newest


def bounds(connection: Connection) -> Bounds:
    """Read the bounds of the log; 0 and 0 if nothing was ever recorded."""
    with connection.cursor() as cursor:
        cursor.execute("select coalesce(min(id) - 1, 0), coalesce(max(id), 0) from change_log")
        return Bounds(*cursor.fetchall()[0])


class Batch(NamedTuple):
    """Matching changes in order, the cursor up to which the log has been looked through, and its bounds thereafter.

    If the bounds reach the cursor that was asked for, nothing behind it was pruned before it was read.
    """

    changes: list[Change]
    cursor: int
    bounds: Bounds


def read_after(connection: Connection, after: int, upto: int, wanted: Filter) -> Batch:
    """Read the next matching changes of the log, at most BATCH of them.

    Args:
        after: the cursor to start behind.
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
            "select id, payload from change_log where id > %(after)s and id <= %(upto)s"
            " and table_name = any(%(tables)s)" + session + " order by id limit %(limit)s",
            {
                "after": after,
                "upto": upto,
                "tables": [_TABLES[topic] for topic in wanted.topics],
                "session": wanted.session_id,
                "table_wide": list(_TABLE_WIDE),
                "limit": BATCH,
            },
        )
        rows: Sequence[tuple[int, str]] = cursor.fetchall()
    changes = [change for _, payload in rows if (change := Change.from_payload(payload)) and wanted.matches(change)]
    return Batch(changes, rows[-1][0] if len(rows) == BATCH else max(after, upto), bounds(connection))


class ChangeLog:
    """The log as the streams of a worker read it: few connections, each given back after one read.

    Raises (from every method): sqlalchemy.exc.SQLAlchemyError or psycopg2.Error when the database is away.
    """

    def __init__(self, database_url: str, *, connections: int = 3) -> None:
        self._engine = create_engine(
            sqlalchemy_url(database_url),
            pool_size=connections,
            max_overflow=0,
            pool_timeout=30,
            pool_pre_ping=True,
            isolation_level="AUTOCOMMIT",
            creator=partial(connect, database_url, application_name="people-feed replay", statement_timeout=10_000),
        )
        # Waiting here is fair and has no time limit; waiting for the pool has one.
        self._turn = BoundedSemaphore(connections)

    def bounds(self) -> Bounds:
        """The part of history that the log still has."""
        with self._connection() as connection:
            return bounds(connection)

    def read_after(self, after: int, upto: int, wanted: Filter) -> Batch:
        """See the function of the same name."""
        with self._connection() as connection:
            return read_after(connection, after, upto, wanted)

    def close(self) -> None:
        """Close the pool. It opens again by itself when it is needed."""
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
