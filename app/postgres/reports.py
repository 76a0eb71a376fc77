"""Reports: what each worker of each host says of itself every ten seconds, and what all say together.

Invariant: a worker is known by its host, its arbiter and its slot, and its totals are those since it began; rates are
differences between two reports of one worker. Each worker publishes all changes, so of the rates of changes the highest
is the site's; what is handed to clients is the sum.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass, fields
from datetime import datetime, timedelta

from psycopg2.extensions import connection as DriverConnection
from sqlalchemy import Connection, text

MAX_POINTS = 120
# A point of these has at least one report of each worker, also where one comes a little late.
_LEAST_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Report:
    """One report; its names are the columns' of ``worker_reports``."""

    host: str
    arbiter: int
    slot: int
    process: int
    version: str
    started_at: datetime
    listener: str
    streams: int
    changes: int
    deliveries: int
    sent_bytes: int
    log_reads: int
    overflows: int
    reconnects: int
    unannounced: int
    failures: int
    commit_to_publish_p50_ms: float | None
    commit_to_publish_p99_ms: float | None
    cpu_seconds: float
    resident_bytes: int | None


_COLUMNS = ", ".join(field.name for field in fields(Report))
_INSERT = f"""
insert into worker_reports ({_COLUMNS}, sequencer_lag_seconds, notify_queue_usage)
select {", ".join(["%s"] * len(fields(Report)))},
       coalesce(extract(epoch from clock_timestamp() - min(recorded_at)), 0), pg_notification_queue_usage()
from unnumbered_changes()
"""
_PRUNE = "delete from worker_reports where reported_at < now() - interval '2 hours'"

_WORKERS = text("""
select coalesce(json_agg(w order by w.host, w.worker, w.started_at), '[]')::text from (
    select n.host, n.slot as worker, n.process, n.version, n.started_at, n.reported_at, n.listener, n.streams,
           n.changes, n.deliveries, n.sent_bytes, n.log_reads, n.overflows, n.reconnects, n.unannounced,
           n.failures as errors,
           round(((n.changes - b.changes) / b.seconds)::numeric, 2) as changes_per_second,
           round(((n.deliveries - b.deliveries) / b.seconds)::numeric, 2) as deliveries_per_second,
           round((100 * (n.cpu_seconds - b.cpu_seconds) / b.seconds)::numeric, 1) as cpu_percent,
           n.resident_bytes,
           case when n.commit_to_publish_p50_ms is not null then json_build_object(
               'p50', n.commit_to_publish_p50_ms, 'p99', n.commit_to_publish_p99_ms) end as commit_to_publish_ms
    from (
        select distinct on (host, arbiter, slot) * from worker_reports
        where reported_at > now() - interval '30 seconds' order by host, arbiter, slot, reported_at desc
    ) as n
    left join lateral (
        select before.*, extract(epoch from n.reported_at - before.reported_at) as seconds
        from worker_reports as before
        where before.reported_at > n.reported_at - interval '1 minute' and before.reported_at < n.reported_at
          and (before.host, before.arbiter, before.slot, before.started_at)
            = (n.host, n.arbiter, n.slot, n.started_at)
        order by before.reported_at desc limit 1
    ) as b on true
    where n.listener <> 'stopped'
) as w
""")

# The point that has begun is left out: not all have reported yet.
_HISTORY = text("""
with starts as (
    select start from (select date_bin(:width, now(), 'epoch'::timestamptz) as now) as t
    cross join lateral generate_series(now - :points * :width, now - :width, :width) as start
), rates as (
    select *,
           (changes - lag(changes) over earlier) / extract(epoch from reported_at - lag(reported_at) over earlier)
               as changes_per_second,
           (deliveries - lag(deliveries) over earlier) / extract(epoch from reported_at - lag(reported_at) over earlier)
               as deliveries_per_second
    from worker_reports where reported_at > (select min(start) from starts) - interval '1 minute'
    window earlier as (partition by host, arbiter, slot, started_at order by reported_at)
), of_workers as (
    select date_bin(:width, reported_at, 'epoch'::timestamptz) as start, avg(streams) as streams,
           avg(changes_per_second) as changes_per_second, avg(deliveries_per_second) as deliveries_per_second,
           max(sequencer_lag_seconds) as sequencer_lag_seconds, max(notify_queue_usage) as notify_queue_usage
    from rates group by 1, host, arbiter, slot
), together as (
    select start, count(*) as workers, round(sum(streams), 1) as streams,
           round(max(changes_per_second)::numeric, 2) as changes_per_second,
           round(sum(deliveries_per_second)::numeric, 2) as deliveries_per_second,
           max(sequencer_lag_seconds) as sequencer_lag_seconds, max(notify_queue_usage) as notify_queue_usage
    from of_workers group by start
)
select json_build_object('seconds', extract(epoch from cast(:width as interval)), 'points', json_agg(point))::text
from (
    select start, coalesce(workers, 0) as workers, streams, changes_per_second, deliveries_per_second,
           sequencer_lag_seconds, notify_queue_usage
    from starts left join together using (start) order by start
) as point
""")

# What PostgreSQL itself measures, where track_functions says so, since its statistics were last reset.
_TRIGGER_COST = text("""
select case when current_setting('track_functions') <> 'none' then (
    select json_object_agg(part, cost) from (
        select part, json_build_object(
            'calls', coalesce(sum(calls), 0),
            -- One that is called for the first time counts 0 calls until it has ended.
            'mean_us', round((1000 * sum(total_time) / nullif(sum(calls), 0))::numeric, 1)) as cost
        from (values ('record', 'notify_%_change'), ('numbering', 'number_changes')) as parts (part, name)
        left join pg_stat_user_functions on schemaname = 'public' and funcname like name
        group by part
    ) as costs
) end::text
""")


def add_report(connection: DriverConnection, report: Report) -> None:
    """Add a report, with how far the sequencer is behind and how full the notification queue is.

    Raises:
        psycopg2.Error: the database is unavailable, or takes no writes.
    """
    with connection.cursor() as cursor:
        cursor.execute(_INSERT, astuple(report))


def prune_reports(connection: DriverConnection) -> None:
    """Remove the reports that are older than two hours."""
    with connection.cursor() as cursor:
        cursor.execute(_PRUNE)


def read_workers(connection: Connection) -> str:
    """The workers that have reported within 30 seconds as JSON text; see ``app/api/system.py`` for the fields."""
    answer: str = connection.execute(_WORKERS).scalar_one()
    return answer


def read_history(connection: Connection, minutes: int) -> str:
    """What all workers together reported in the last ``minutes``, in at most MAX_POINTS points, as JSON text."""
    width = max(_LEAST_SECONDS, minutes * 60 / MAX_POINTS)
    values = {"width": timedelta(seconds=width), "points": int(minutes * 60 / width)}
    answer: str = connection.execute(_HISTORY, values).scalar_one()
    return answer


def read_trigger_cost(connection: Connection) -> str:
    """What recording and numbering changes takes, as JSON text; ``null`` where the server does not measure it."""
    answer: str | None = connection.execute(_TRIGGER_COST).scalar_one()
    return answer or "null"
