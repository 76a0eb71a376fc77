"""Pruner: keeps the change log within its age and size, and lets readings, their minutes and reports age out.

Invariant: it deletes only the oldest part, without gaps. The newest change stays at any age, because it is the cursor
of every client that is current. One process prunes at a time, in short transactions with pauses, and touches only rows
that are no longer written: no writer and no reader waits. Its turn is the log's row in ``change_log_home``, which only
the owner may lock, and which holds the floor that each step moves.

Of readings that age out nobody is told: the trigger knows them by their age, and their minutes and hours keep what they
said. Their turn is the row in ``reading_rollups_cursor``, which is also the fold's.

Deliberate: DELETE, not partitions. Measured at 50 million changes: it deletes 230 000 a second, VACUUM included, while
commits in a row add about 4 000. Dropping a partition locks the whole log, and every writer queues behind that lock.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime
from time import monotonic
from typing import cast

from psycopg2.extensions import connection as Connection

from app.feed.periodic import Pause
from app.postgres.reports import prune_reports

log = logging.getLogger(__name__)

# Changes deleted in one step: a few milliseconds, a few hundred pages.
_STEP = 5_000
# VACUUM reads the whole index, so it runs only when worth it.
_VACUUM_AFTER = 50_000
_VACUUM_SHARE = 0.005
MEGABYTE = 1024**2
# Further back, there are no years that Python knows.
_MOST_DAYS = 700_000.0


class Busy(Exception):
    """Another process is pruning, or restarting, the log."""


@dataclass(frozen=True, slots=True)
class Extent:
    """How far the log reaches: its first and newest id (0 and 0 if empty) and the approximate size of its rows."""

    first: int
    newest: int
    row_bytes: float

    @property
    def bytes(self) -> int:
        """The approximate size of the rows in bytes, without the free space between them."""
        return round((self.newest - self.first + 1) * self.row_bytes) if self.newest else 0

    def __str__(self) -> str:
        if not self.newest:
            return "The log is empty."
        return f"The log has the changes {self.first} to {self.newest}, about {self.bytes / MEGABYTE:.1f} MB."


def extent(connection: Connection) -> Extent:
    """Measure the log by a sample of its rows.

    Deliberate: not pg_total_relation_size, which pruning never reduces.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """
            with ends as (
                -- From its floor on, so that rows are skipped that are deleted and not yet removed.
                select min(id) as first, max(id) as newest from change_log
                where id > (select floor from change_log_home))
            select first, newest, (
                -- 100 bytes: the row's other columns and headers, and its entry in the index.
                select avg(pg_column_size(row.payload) + 100)
                from generate_series(first, newest, greatest((newest - first) / 50, 1)) as point
                cross join lateral (select payload from change_log where id >= point order by id limit 10) as row)
            from ends where first is not null
            """
        )
        rows = cursor.fetchall()
    return Extent(rows[0][0], rows[0][1], float(rows[0][2])) if rows else Extent(0, 0, 0.0)


def prune(connection: Connection, *, hours: float, most_bytes: int) -> Iterator[int]:
    """Delete, step by step, what is older than ``hours`` or beyond ``most_bytes``; yields the number deleted per step.

    The caller pauses between steps. A change counts as old only if all changes before it do: after a clock was set back
    changes stay longer, and never go early.

    Raises:
        Busy: another process prunes.
    """
    log_extent, before = extent(connection), _cutoff(connection, hours)
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


def _cutoff(connection: Connection, hours: float) -> datetime:
    """The time ``hours`` ago. Fixed for the whole run, which would otherwise find a few more changes at every step."""
    with connection.cursor() as cursor:
        # Without statistics, as after a restore, the planner would read and sort the whole log at every step.
        cursor.execute("set enable_sort = off; set enable_bitmapscan = off")
        cursor.execute("select clock_timestamp() - %s * interval '1 hour'", (hours,))
        [(before,)] = cursor.fetchall()
    return cast(datetime, before)


def _delete_step(connection: Connection, first: int, newest: int, too_many: int, before: datetime) -> tuple[int, int]:
    """Delete the next changes from ``first`` on; returns the new first id and how many were deleted."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            with turn as materialized (
                select from change_log_home for update skip locked
            ), step as (
                select id, id > %(too_many)s
                       and recorded_at > %(before)s as stays
                from (select id, recorded_at from change_log where id >= %(first)s and id < %(newest)s
                      order by id limit %(step)s) as oldest
                where exists (select from turn)
            ), gone as (
                delete from change_log where id >= %(first)s
                    and id <= (select max(id) from step
                               where id < coalesce((select min(id) from step where stays), %(newest)s))
                returning id
            )
            select coalesce(max(id) + 1, %(first)s), count(*), exists (select from turn) from gone
            """,
            {"first": first, "newest": newest, "too_many": too_many, "before": before, "step": _STEP},
        )
        [(first, gone, is_our_turn)] = cursor.fetchall()
    if not is_our_turn:
        raise Busy("Another process is pruning the log right now.")
    return first, gone


def _vacuum(connection: Connection) -> None:
    """Make the space reusable. Truncation would lock the log."""
    with connection.cursor() as cursor:
        cursor.execute("vacuum (truncate false, index_cleanup on, skip_locked) change_log")


def prune_readings(connection: Connection, *, days: float | None, minutes_days: float | None) -> Iterator[int]:
    """Let what is older age out, step by step: single readings, then minutes. Yields the number deleted per step.

    None keeps them for ever. The caller pauses between steps; the times are those at the beginning.

    Raises:
        Busy: another process prunes, or folds readings.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "select now() - least(%s, %s) * interval '1 day', now() - least(%s, %s) * interval '1 day'",
            (days or 0.0, _MOST_DAYS, minutes_days or 0.0, _MOST_DAYS),
        )
        [(before, minutes_before)] = cursor.fetchall()
        is_done = days is None
        while not is_done:
            cursor.execute("select gone, is_done from prune_readings(%s)", (before,))
            [(gone, is_done)] = cursor.fetchall()
            if gone is None:
                raise Busy("Another process is folding or pruning the readings right now.")
            yield gone
        gone = 0 if minutes_days is None else 1
        while gone:
            cursor.execute("select prune_reading_minutes(%s)", (minutes_before,))
            [(gone,)] = cursor.fetchall()
            if gone is None:
                raise Busy("Another process is folding or pruning the readings right now.")
            yield gone


class Pruner:
    """Prunes once per call of ``work``, by a Periodic in every worker.

    ``totals["pruned"]`` counts deleted changes, ``totals["aged"]`` readings and minutes that aged out.

    Args:
        connect: opens a patient connection in autocommit mode without a statement_timeout, or raises psycopg2.Error.
        readings_days, minutes_days: how long single readings, and their minutes, are kept; None is for ever.
    """

    def __init__(
        self,
        connect: Callable[[], Connection],
        *,
        hours: float,
        most_bytes: int,
        readings_days: float | None = None,
        minutes_days: float | None = None,
        interval_seconds: float = 60.0,
    ) -> None:
        self.totals: Counter[str] = Counter()
        self._connect = connect
        self._hours = hours
        self._most_bytes = most_bytes
        self._readings_days = readings_days
        self._minutes_days = minutes_days
        self._interval_seconds = interval_seconds

    def work(self, pause: Pause) -> float:
        """Prune, unless another process does; returns the seconds until the next time.

        Raises:
            psycopg2.Error: the database is unavailable or refused.
        """
        with closing(self._connect()) as connection:
            changes = prune(connection, hours=self._hours, most_bytes=self._most_bytes)
            if deleted := self._take(changes, "pruned", pause):
                log.info("Pruned %d changes from the log.", deleted)
            readings = prune_readings(connection, days=self._readings_days, minutes_days=self._minutes_days)
            if deleted := self._take(readings, "aged", pause):
                log.info("%d readings and minutes have aged out.", deleted)
            prune_reports(connection)
        return self._interval_seconds

    def _take(self, steps: Iterator[int], name: str, pause: Pause) -> int:
        """Take the steps until they end, another process takes them, or ``pause`` says stop; returns how many went."""
        started, deleted = monotonic(), 0
        with suppress(Busy):
            for gone in steps:
                deleted += gone
                self.totals[name] += gone
                # As long as the step took, so that pruning uses at most half of one connection's time.
                if pause(min(1.0, monotonic() - started)):
                    break
                started = monotonic()
        return deleted
