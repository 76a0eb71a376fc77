"""Site: what the database says of the whole site, for monitoring; in one statement."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, text

# Alert types are texts that cameras choose: a table of all would grow without end.
_MOST_TYPES = 50
_QUERY = text("""
select pg_notification_queue_usage()::float,
       pg_total_relation_size('change_log'),
       (select extract(epoch from recorded_at)::float from change_log order by id limit 1),
       (select coalesce(extract(epoch from clock_timestamp() - min(recorded_at)), 0)::float from unnumbered_changes()),
       greatest(floor, (select max(id) from change_log)) - (select folded from movement_counts_cursor),
       coalesce((select sum(people) from doors_of_now(
           :zone, :margin * interval '1 second', :silence * interval '1 second')), 0)::bigint,
       coalesce((select json_object_agg(alert_type, number) from (
           select alert_type, count(*) as number from alert_logs where not is_resolved
           group by 1 order by 2 desc, 1 limit :most) as t), '{}'),
       (select count(*) from alert_logs where not is_resolved),
       (select json_object_agg(status, number) from (select status, count(*) as number from sessions group by 1) as s)
from change_log_home
""")


@dataclass(frozen=True)
class Site:
    """``log_began_at``: seconds since 1970, None while the log is empty. ``alerts``: the open ones by type."""

    notify_queue_usage: float
    log_bytes: int
    log_began_at: float | None
    sequencer_lag_seconds: float
    counts_lag: int
    occupancy: int
    alerts: dict[str, int]
    sessions: dict[str, int]


def read_site(connection: Connection, *, zone: str, margin_seconds: float, silence_seconds: float) -> Site | None:
    """The site as it is now; None amid a restore."""
    values = {"zone": zone, "margin": margin_seconds, "silence": silence_seconds, "most": _MOST_TYPES}
    row = connection.execute(_QUERY, values).one_or_none()
    if row is None:
        return None
    usage, log_bytes, log_began_at, lag, counts_lag, occupancy, alerts, alerts_open, sessions = row
    if rest := alerts_open - sum(alerts.values()):
        alerts["other"] = alerts.get("other", 0) + rest
    return Site(usage, log_bytes, log_began_at, lag, counts_lag, occupancy, alerts, sessions or {})
