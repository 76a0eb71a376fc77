"""The SQL of series: what the readings of a session said over a range of time, in buckets of equal width.

Invariant: the answer is that of the rows as they are in the snapshot, whatever is folded or filled; see
``sql/0031_sum_up_readings.sql``. Minutes and hours are taken where they are right, rows for the rest. What has aged out
is in minutes or hours alone, so a range that reaches back that far is widened to whole ones.

Only the figures that are asked for are read, from so many rows as the number of points deserves.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Literal
from uuid import UUID

from sqlalchemy import Connection, TextClause, text

Resolution = Literal["readings", "minutes", "hours"]

# What a reading says in numbers: its name in the rollups, and in the rows.
FIGURES = {
    "people": "current_people_count",
    "entered": "people_entered_last_minute",
    "exited": "people_exited_last_minute",
    "fps": "fps_current",
    "cpu": "cpu_usage_percentage",
    "memory": "memory_usage_mb",
    "latency": "processing_latency_ms",
}
# A series is made of the finest units of which its range has no more than this: so many for each point, whatever the
# camera's pace, within what is always quick and what would take too long. Where the next coarser unit takes over, there
# are still two fifths of the points, with 24 of 60.
_UNITS_PER_POINT = 24
_FEWEST_UNITS, _MOST_UNITS = 4_000, 21_600
# Of readings, a second: no camera is known to report more often.
_COUNTED = {"readings": timedelta(seconds=1), "minutes": timedelta(minutes=1), "hours": timedelta(hours=1)}
_UNITS = _COUNTED | {"readings": timedelta(milliseconds=1)}
_FIRST = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Span:
    """A range of time of this ``length`` from ``since`` on, in buckets of this ``width``, and what it is read from."""

    since: datetime
    length: timedelta
    width: timedelta
    resolution: Resolution


@dataclass(frozen=True)
class Kept:
    """Since when there are single readings and minutes; how far minutes are filled, and the log is folded into them."""

    readings_from: datetime
    minutes_from: datetime
    filled: datetime
    folded: int


def span(since: datetime, until: datetime, points: int, kept: Kept) -> Span:
    """At most ``points`` buckets that cover the range, from the finest resolution that has all of it quickly."""
    most = min(max(points * _UNITS_PER_POINT, _FEWEST_UNITS), _MOST_UNITS)
    if until - since <= most * _COUNTED["readings"] and since >= kept.readings_from:
        resolution: Resolution = "readings"
    elif until - since <= most * _COUNTED["minutes"] and since >= kept.minutes_from:
        resolution = "minutes"
    else:
        resolution = "hours"
    unit = _UNITS[resolution]
    if resolution != "readings":
        since = since.replace(second=0, microsecond=0)
    if resolution == "hours":
        since = since.replace(minute=0)
    width = max(unit, -((since - until) // (points * unit)) * unit)  # rounded up
    length = until - since if resolution == "readings" else -((since - until) // unit) * unit
    return Span(since, length, width, resolution)


# Without changes that were pruned before they were folded, and once all readings were removed, no minute is right.
_KEPT = text("""
select greatest(case when not is_truncated then kept_from end, '0001-01-01T00:00Z') as readings_from,
       greatest(case when not is_truncated then minutes_kept_from end, '0001-01-01T00:00Z') as minutes_from,
       case when is_truncated or folded < floor then '9999-12-31T00:00Z'
            else greatest(filled, '0001-01-01T00:00Z') end as filled,
       folded
from reading_rollups_cursor cross join change_log_home cross join lateral (select exists (
    select from change_log where id > folded and table_name = 'realtime_metrics' and action = 'TRUNCATE'
    union all
    select from unnumbered_changes() where table_name = 'realtime_metrics' and action = 'TRUNCATE'
) as is_truncated) as t
""")


def _of_rows(row: str, figures: Iterable[str]) -> str:
    """The same as in the rollups, of readings."""
    return "".join(
        f", count({row}.{column}) as {name}_count, sum(summable({row}.{column})) as {name}_sum,"
        f" summable(min({row}.{column})) as {name}_least, summable(max({row}.{column})) as {name}_most"
        for name, column in FIGURES.items()
        if column in figures
    )


def _each(template: str, figures: Iterable[str]) -> str:
    """A list of SQL, of each figure; it goes on behind what is there."""
    return "".join(
        ", " + template.format(name=name, column=column) for name, column in FIGURES.items() if column in figures
    )


_COLUMNS = "r.{name}_count, r.{name}_sum, r.{name}_least, r.{name}_most"
_SUMS = (
    "sum({name}_count) as {name}_count, sum({name}_sum) as {name}_sum, min({name}_least) as {name}_least,"
    " max({name}_most) as {name}_most"
)
_OBJECTS = (
    "'{column}', case when {name}_count > 0 then json_build_object("
    "'min', {name}_least, 'mean', {name}_sum / {name}_count, 'max', {name}_most) end"
)
_ENDS = """
with ends as materialized (
    select cast(:since as timestamptz) as since, cast(:since as timestamptz) + cast(:length as interval) as until,
           cast(:kept_from as timestamptz) as kept_from,
           greatest(cast(:kept_from as timestamptz), cast(:filled as timestamptz)) as right_from
)
"""


def _parts(figures: Iterable[str]) -> str:
    """Rows for minutes that are not filled, or have changes that are not folded, or late readings.

    The latter came after the minute had aged out: to them, what is stored belongs as well.
    """
    of_rows = _of_rows("m", figures)
    return f"""
, dirty as materialized (
    select distinct c.minute from ends e, changed_minutes(:folded, 9223372036854775807, :session) c
    where c.session_id = :session and c.minute >= greatest(e.since, e.right_from) and c.minute < e.until
), broken as materialized (
    select hour_of(minute) as start from dirty
    union
    select hour_of(kept_from) from ends where kept_from < right_from
    union
    select hour_of(right_from) from ends where kept_from < right_from and hour_of(right_from) is not null
), parts as (
    select minute_of(m.timestamp) as start, count(*) as readings{of_rows}
    from ends e join realtime_metrics m on m.timestamp >= e.since and m.timestamp < least(e.until, e.right_from)
    where m.session_id = :session group by 1
    union all
    select d.minute, count(*){of_rows}
    from dirty d join realtime_metrics m on m.timestamp >= d.minute and m.timestamp < d.minute + interval '1 minute'
    where m.session_id = :session group by 1
    union all
"""


def _minutes(figures: Iterable[str]) -> str:
    return f"""
    select r.start, r.readings{_each(_COLUMNS, figures)}
    from ends e join reading_minutes r on r.start >= e.since and r.start < e.until
    where r.session_id = :session and (r.start < e.kept_from or r.start >= e.right_from)
      and r.start not in (select minute from dirty)
)
"""


def _hours(figures: Iterable[str]) -> str:
    columns = _each(_COLUMNS, figures)
    return f"""
    select r.start, r.readings{columns}
    from ends e cross join broken b
    join reading_minutes r
        on r.start >= greatest(b.start, e.since) and r.start < least(b.start + interval '1 hour', e.until)
    where r.session_id = :session and (r.start < e.kept_from or r.start >= e.right_from)
      and r.start not in (select minute from dirty)
    union all
    select r.start, r.readings{columns}
    from ends e join reading_hours r on r.start >= e.since and r.start < e.until
    where r.session_id = :session and (r.start < e.kept_from or r.start >= e.right_from)
      and not exists (select from broken b where b.start = r.start)
)
"""


def _buckets_of_parts(figures: Iterable[str]) -> str:
    return f"""
, buckets as (
    select date_bin(cast(:width as interval), start, cast(:since as timestamptz)) as start,
           sum(readings) as readings{_each(_SUMS, figures)}
    from parts group by 1
)
"""


def _buckets_of_rows(figures: Iterable[str]) -> str:
    return f"""
, buckets as (
    select date_bin(cast(:width as interval), m.timestamp, cast(:since as timestamptz)) as start,
           count(*) as readings{_of_rows("m", figures)}
    from ends e join realtime_metrics m on m.timestamp >= e.since and m.timestamp < e.until
    where m.session_id = :session group by 1
)
"""


def _answer(figures: Iterable[str]) -> str:
    return f"""
select json_build_object(
    'session_id', cast(:session as uuid), 'resolution', cast(:resolution as text),
    'seconds', cast(:seconds as double precision),
    'points', coalesce((
        select json_agg(
            json_build_object('start', start, 'readings', readings{_each(_OBJECTS, figures)}) order by start)
        from buckets), '[]'))::text
"""


@cache
def _statement(resolution: Resolution, figures: frozenset[str]) -> TextClause:
    if resolution == "readings":
        return text(_ENDS + _buckets_of_rows(figures) + _answer(figures))
    units = _minutes(figures) if resolution == "minutes" else _hours(figures)
    return text(_ENDS + _parts(figures) + units + _buckets_of_parts(figures) + _answer(figures))


def read_series(
    connection: Connection, session: UUID, since: datetime, until: datetime, points: int, figures: frozenset[str]
) -> str:
    """The series as JSON text; see ``app/api/metrics.py`` for its fields.

    Args:
        since, until: in UTC.
        figures: columns of the readings, those of ``FIGURES`` that are wanted.
    """
    rows = connection.execute(_KEPT).all()
    # Amid a restore nothing is known but rows.
    kept = Kept(*rows[0]) if rows else Kept(_FIRST, _FIRST, _FIRST.replace(year=9999), 0)
    chosen = span(since, until, points, kept)
    values = {
        "session": session,
        "since": chosen.since,
        "length": chosen.length,
        "width": chosen.width,
        "seconds": chosen.width.total_seconds(),
        "resolution": chosen.resolution,
        "kept_from": kept.readings_from,
        "filled": kept.filled,
        "folded": kept.folded,
    }
    answer: str = connection.execute(_statement(chosen.resolution, figures), values).scalar_one()
    return answer
