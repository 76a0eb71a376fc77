"""Snapshots: what is read in one, and the cursor at which a stream goes on from there.

Invariant: rows and cursor belong together. A snapshot may see changes that have no id yet; they get theirs after it was
read, and the cursor names these, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import psycopg2
from sqlalchemy import Connection, text

from app.postgres.cursor import MAX_BEYOND, Cursor
from app.postgres.tables import db

Read = TypeVar("Read")

# Where a snapshot is: the newest change in it that has an id, and what it sees that has none.
_POSITION = text(f"""
select greatest(floor, (select max(id) from change_log)),
       array(select seq from unnumbered_changes() limit {MAX_BEYOND + 1})
from change_log_home
""")
_NUMBER = text("select number_changes(:most)")
_IDS = text("select id from change_log where id > :upto and seq = any(:waiting)")
# Changes that are numbered at once, and how often for one snapshot.
_BATCH = 10_000
_BATCHES = 20
# How often a snapshot is taken that sees too many changes without an id: as many were committed since the last attempt.
_ATTEMPTS = 5


@contextmanager
def snapshot() -> Iterator[Connection]:
    """A read-only transaction in which every statement sees the same rows and the same change log."""
    with db.engine.connect() as connection:
        options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        with connection.execution_options(**options).begin():
            yield connection


def read_exactly(read: Callable[[Connection], Read]) -> tuple[Read, Cursor]:
    """What ``read`` reads in a snapshot, and the cursor of that snapshot: a stream opened there continues exactly.

    Raises:
        psycopg2.OperationalError: each snapshot saw thousands of changes without an id, so numbering is far behind; or
            the log is being restored.
    """
    for _ in range(_ATTEMPTS):
        with snapshot() as connection:
            positions = connection.execute(_POSITION).all()
            if not positions:  # as amid a restore in place, which creates the table before it fills it
                raise psycopg2.OperationalError("change_log_home is empty, so where the log begins is unknown")
            [(upto, waiting)] = positions
            result = read(connection)
        cursor = Cursor(upto) if not waiting else _numbered(upto, waiting)
        if cursor is not None and cursor.is_short:
            return result, cursor
    raise psycopg2.OperationalError("thousands of changes have no id yet: numbering is far behind")


def _numbered(upto: int, waiting: list[int]) -> Cursor | None:
    """The cursor of a snapshot once what waited in it has ids; None if that is too much, or the log was restarted."""
    with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for _ in range(_BATCHES):
            if connection.execute(_NUMBER, {"most": _BATCH}).scalar_one() < _BATCH:
                break
        if len(waiting) > MAX_BEYOND:
            return None
        ids = connection.execute(_IDS, {"upto": upto, "waiting": waiting}).scalars().all()
    return Cursor.of(upto, ids) if len(ids) == len(waiting) else None
