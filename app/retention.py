"""Pruner: keeps the change log within its age and size.

Invariant: what is deleted is always the oldest part, whole; the newest change stays, whatever its age, because it is
the cursor of everybody who is up to date. One process prunes at a time, in short transactions that touch only rows
which nobody writes any more, with pauses: no writer and no reader waits.

Deliberate: DELETE, not partitions. Measured at 50 million changes: 230 000 go in a second, VACUUM included, and
commits in a row add some 4 000; dropping a partition needs a lock on the whole log, behind which every writer queues.
"""

from __future__ import annotations

import logging
import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from time import monotonic
from typing import cast

import click
import gevent
import psycopg2
from flask import current_app
from gevent.event import Event
from psycopg2.extensions import connection as Connection

from app.cli import database
from app.config import Config
from app.database import connect

log = logging.getLogger(__name__)

_LOCK = 8103509420230637157  # the bytes of "pruninge": one pruner at a time
# Changes in one step: some milliseconds, a few hundred pages.
_STEP = 5_000
# VACUUM reads the whole index, so it waits until it is worth it; min(id) has to step over what it has not yet removed.
_VACUUM_AFTER = 50_000
_VACUUM_SHARE = 0.005
_MEGABYTE = 1024**2


@dataclass(frozen=True, slots=True)
class Extent:
    """How far the log reaches: its first and newest id (0 and 0: empty) and about how many bytes its rows take."""

    first: int
    newest: int
    row_bytes: float

    @property
    def bytes(self) -> int:
        """About how many bytes the rows take, without the free space between them."""
        return round((self.newest - self.first + 1) * self.row_bytes) if self.newest else 0

    def __str__(self) -> str:
        if not self.newest:
            return "The log is empty."
        return f"The log has the changes {self.first} to {self.newest}, about {self.bytes / _MEGABYTE:.1f} MB."


def extent(connection: Connection, first: int = 0) -> Extent:
    """Measure the log, by a sample of its rows. ``first``: no row has a lower id, so that dead ones are not walked.

    Deliberate: not pg_total_relation_size, which never shrinks by pruning.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """
            with ends as (select min(id) as first, max(id) as newest from change_log where id >= %s)
            select first, newest, (
                -- 100 bytes: the row's other columns and headers, and its entry in the index.
                select avg(pg_column_size(row.payload) + 100)
                from generate_series(first, newest, greatest((newest - first) / 50, 1)) as point
                cross join lateral (select payload from change_log where id >= point order by id limit 10) as row)
            from ends where first is not null
            """,
            (first,),
        )
        rows = cursor.fetchall()
    return Extent(rows[0][0], rows[0][1], float(rows[0][2])) if rows else Extent(0, 0, 0.0)


def prune(connection: Connection, *, hours: float, most_bytes: int) -> Iterator[int]:
    """Delete step by step what is older than so many hours, or more than so many bytes; yield how many went.

    Pause between the steps. A change counts as old only if all before it are: a clock that was set back makes changes
    stay longer, and never go sooner.
    """
    log_extent, before = extent(connection), _begin(connection, hours)
    if not log_extent.newest:
        return
    kept = int(most_bytes / log_extent.row_bytes)
    too_many = log_extent.newest - kept  # the newest id that is one too many
    vacuum_after = max(_VACUUM_AFTER, _VACUUM_SHARE * (log_extent.newest - log_extent.first))
    first, deleted = log_extent.first, 0
    while first < log_extent.newest:
        first, gone = _delete_step(connection, first, log_extent.newest, too_many, before)
        if not gone:
            break
        yield gone
        deleted += gone
        if deleted >= vacuum_after:
            _vacuum(connection)
            deleted = 0
    if deleted:
        _vacuum(connection)


def _begin(connection: Connection, hours: float) -> datetime:
    """When so many hours ago was. Fixed for the whole run: each step would find a few more, without end."""
    with connection.cursor() as cursor:
        # Without statistics, as after a restore, the planner would read and sort the whole log for each step.
        cursor.execute("set enable_sort = off; set enable_bitmapscan = off")
        cursor.execute("select clock_timestamp() - %s * interval '1 hour'", (hours,))
        [(before,)] = cursor.fetchall()
    return cast(datetime, before)


def _delete_step(connection: Connection, first: int, newest: int, too_many: int, before: datetime) -> tuple[int, int]:
    """Delete the next changes from ``first`` on; the new first id, and how many were deleted."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            with step as (
                select id, id > %(too_many)s
                       and recorded_at > %(before)s as stays
                from (select id, recorded_at from change_log where id >= %(first)s and id < %(newest)s
                      order by id limit %(step)s) as oldest
            ), gone as (
                delete from change_log where id >= %(first)s
                    and id <= (select max(id) from step
                               where id < coalesce((select min(id) from step where stays), %(newest)s))
                returning id
            )
            select coalesce(max(id) + 1, %(first)s), count(*) from gone
            """,
            {"first": first, "newest": newest, "too_many": too_many, "before": before, "step": _STEP},
        )
        [(first, gone)] = cursor.fetchall()
    return first, gone


def _vacuum(connection: Connection) -> None:
    """Let the space be used again, and min(id) be cheap. Truncation would lock the log."""
    with connection.cursor() as cursor:
        cursor.execute("vacuum (truncate false, index_cleanup on) change_log")


def _is_alone(connection: Connection) -> bool:
    """Whether this process may prune; the others may when the connection is closed."""
    with connection.cursor() as cursor:
        cursor.execute("select pg_try_advisory_lock(%s)", (_LOCK,))
        [(alone,)] = cursor.fetchall()
    return bool(alone)


class Pruner:
    """Prunes at intervals, in a greenlet. Start it in every worker: the first come does the work.

    Args:
        connect: opens a patient connection in autocommit mode without a statement_timeout, or raises psycopg2.Error.
    """

    def __init__(
        self, connect: Callable[[], Connection], *, hours: float, most_bytes: int, interval_seconds: float = 60.0
    ) -> None:
        self.counts: Counter[str] = Counter()
        self._connect = connect
        self._hours = hours
        self._most_bytes = most_bytes
        self._interval_seconds = interval_seconds
        self._stopping = Event()
        self._greenlet: gevent.Greenlet[[], None] | None = None

    def start(self) -> None:
        """Prune from now on, until ``stop``."""
        self._stopping.clear()
        self._greenlet = gevent.spawn(self._run)

    def stop(self) -> None:
        """End after the step that is running; may be called before start, and twice."""
        self._stopping.set()
        if self._greenlet is not None:
            self._greenlet.join(timeout=5)
            self._greenlet.kill()
            self._greenlet = None

    def _run(self) -> None:
        # Jitter, so that the workers do not all ask in the same moment.
        while not self._stopping.wait(self._interval_seconds * random.uniform(0.5, 1.0)):
            try:
                self._prune()
            except psycopg2.Error as error:
                self.counts["failures"] += 1
                log.warning("Pruning the change log failed, next try in a minute: %s", str(error).strip())

    def _prune(self) -> None:
        started, deleted = monotonic(), 0
        with closing(self._connect()) as connection:
            if not _is_alone(connection):
                return
            for gone in prune(connection, hours=self._hours, most_bytes=self._most_bytes):
                deleted += gone
                self.counts["pruned"] += gone
                # As long as the step took, so that pruning takes at most half of what one connection can.
                if self._stopping.wait(min(1.0, monotonic() - started)):
                    break
                started = monotonic()
        if deleted:
            log.info("Pruned %d changes from the log.", deleted)


@click.command("prune")
def prune_command() -> None:
    """Delete the changes that are older, or more, than CHANGE_LOG_RETENTION allows; the feed does it by itself."""
    config: Config = current_app.extensions["config"]
    with database() as url, closing(connect(url, application_name="prune")) as connection:
        if not _is_alone(connection):
            raise click.ClickException("Another process is pruning the log right now.")
        before = extent(connection)
        click.echo(str(before))
        click.echo(f"To keep: {config.retention_hours:g} hours, at most {config.retention_bytes / _MEGABYTE:g} MB.")
        deleted = sum(prune(connection, hours=config.retention_hours, most_bytes=config.retention_bytes))
        click.echo(f"Deleted {deleted} changes. {extent(connection, before.first)}")
