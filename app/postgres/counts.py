"""The SQL of statistics: how many people came, went and were inside.

Invariant: every statement reads the counts by minute and by quarter of an hour plus the part of the change log that is
not folded into them yet. In one snapshot the answer is exact at the moment of asking, and its cost does not grow with
the movements of a quarter. The count inside starts at 0 at every local midnight and is never below 0.
"""

from __future__ import annotations

from sqlalchemy import text

SESSION_STATISTICS = text("""
select json_build_object(
    'session_id', cast(:session as uuid),
    'entered', coalesce(sum(entered), 0), 'exited', coalesce(sum(exited), 0),
    'inside', coalesce((array_agg(inside order by start desc)
                        filter (where start >= local_start('day', now(), :zone)))[1], 0),
    'peak', coalesce(max(peak), 0),
    'average', round(coalesce(sum(spent + inside * minutes_after)
                              / (extract(epoch from max(last_minute) - min(first_minute)) / 60 + 1), 0), 3),
    'first_movement', min(first_minute), 'last_movement', max(last_minute),
    'ahead_seconds', (select coalesce(round(extract(epoch from max(least(latest, '9999-12-31T00:00Z')) - now())), 0)
        from (select max(timestamp) as latest from realtime_metrics where session_id = :session
              union all
              select max(movement_time) from people_movements where session_id = :session) as rows
        where latest > now() + :margin * interval '1 second'))::text
from (select *, extract(epoch from coalesce(lead(first_minute) over (order by start),
                                            last_minute + interval '1 minute') - "end") / 60 as minutes_after
      from movement_spans('-infinity', 'infinity', :session, :zone, false)) as spans
""")

# Where readings and movements differ, more can be inside now than the movements of the day say: then now is the peak.
TODAY_AND_NOW = text("""
with ends as materialized (
    select local_start('day', now(), :zone) as since,
           date_trunc('minute', now() + :margin * interval '1 second') + interval '1 minute' as until
), present as (
    select coalesce(sum(d.people), 0)::bigint as inside,
           count(*) as active_sessions,
           count(*) filter (where d.taken_at < now() - :quiet * interval '1 second') as silent_sessions,
           coalesce(sum(d.people) filter (where d.taken_at < now() - :quiet * interval '1 second'), 0) as inside_silent,
           count(*) filter (where exists (
               select from realtime_metrics
               where session_id = d.session_id and timestamp > now() + :margin * interval '1 second'
           ) or exists (
               select from people_movements
               where session_id = d.session_id and movement_time > now() + :margin * interval '1 second'
           )) as ahead_sessions
    from doors_of_now(:zone, :margin * interval '1 second', :silence * interval '1 second') d
), today as (
    select coalesce(sum(entered), 0) as entered, coalesce(sum(exited), 0) as exited, coalesce(max(peak), 0) as peak
    from ends e, movement_spans(
        e.since, least(local_midnight(date_trunc('day', now() at time zone :zone) + interval '1 day', :zone), e.until),
        null, :zone, false)
), alerts as (
    select count(*) as open,
           count(*) filter (where acknowledged_at is not null) as in_hand,
           count(*) filter (where acknowledged_at is null and muted_until > now()) as muted,
           ceil(extract(epoch from min(least(muted_until, now() + interval '7 days'))
                filter (where acknowledged_at is null and muted_until > now()) - now())) as mute_ends
    from alert_logs where not is_resolved
)
select json_build_object(
    'today', json_build_object('entered', entered, 'exited', exited, 'peak', greatest(peak, inside)),
    'now', json_build_object('inside', inside, 'active_sessions', active_sessions, 'silent_sessions', silent_sessions,
                             'inside_silent', inside_silent, 'ahead_sessions', ahead_sessions,
                             'open_alerts', open, 'alerts_in_hand', in_hand, 'alerts_muted', muted,
                             'mute_ends_seconds', mute_ends))::text
from today, present, alerts
""")
# A door that sends readings has its newest ones; one that does not has the time of its newest movement.
DOORS = text("""
select coalesce(json_agg(json_build_object(
    'session_id', d.session_id, 'inside', d.people, 'taken_at', d.taken_at,
    'counts', coalesce(r.counts, array[]::integer[]),
    'entered_last_minute', r.entered, 'exited_last_minute', r.exited, 'fps', r.fps, 'last_movement', m.newest)
    order by d.session_id), '[]')::text
from doors_of_now(:zone, :margin * interval '1 second', :silence * interval '1 second') d
left join lateral (
    select array_agg(current_people_count order by timestamp, id) as counts,
           (array_agg(people_entered_last_minute order by timestamp desc, id desc))[1] as entered,
           (array_agg(people_exited_last_minute order by timestamp desc, id desc))[1] as exited,
           (array_agg(fps_current order by timestamp desc, id desc))[1] as fps
    from (select * from realtime_metrics where session_id = d.session_id and timestamp <= d.taken_at
          order by timestamp desc, id desc limit :counts) as newest) r on d.taken_at is not null
left join lateral (
    select max(movement_time) as newest from people_movements
    where session_id = d.session_id and movement_time <= now() + :margin * interval '1 second') m on d.taken_at is null
where (cast(:session as uuid) is null or d.session_id = :session) and (not :counted or d.taken_at is null)
""")
# How many of a door's newest counts are shown as its trend.
TREND_COUNTS = 20

# How old a door's newest reading may be before the door is shown as silent, in seconds.
QUIET_SECONDS = 120


def _start_of(moment: str) -> str:
    """The start of the minute or hour of a moment: ``local_start`` is asked only where the clock changed in between.

    Calling it for each quarter of ten thousand hours took 0.5 s.
    """
    offset = "(({0}) at time zone :zone) - (({0}) at time zone 'UTC')"
    start = f"date_trunc(:bucket, {moment}, :zone)"
    return (
        f"case when {offset.format(start)} = {offset.format(moment)} then {start}"
        f" else local_start(:bucket, {moment}, :zone) end"
    )


# Hours are those of the wall clock, so a day on which clocks change has 23 or 25 of them (and where clocks change by
# half an hour, one that lasts half an hour); the steps find each of them. Days and weeks are steps of the calendar.
# Everything begins at a local midnight, because the count inside does; an empty bucket keeps the count of the bucket
# before it on the same day. A week ends with the count inside on its last day, as far as the range goes.
_BUCKETS = f"""
with spans as (
    select * from movement_spans(local_start(case :bucket when 'week' then 'week' else 'day' end,
                                             cast(:since as timestamptz), :zone),
                                 :until, :session, :zone, :bucket = 'minute')
), keyed as (
    select case when :bucket in ('day', 'week') then date_trunc(:bucket, start at time zone :zone) at time zone 'UTC'
                else {_start_of("start")} end as key,
           sum(entered) as entered, sum(exited) as exited,
           max(peak) as peak, (array_agg(inside order by start desc))[1] as inside, max(start) as latest
    from spans group by 1
), counted as (
    select case when :bucket in ('day', 'week') then local_midnight(key at time zone 'UTC', :zone)
                else key end as start,
           entered, exited, peak, inside, latest
    from keyed
), starts as (
    select {_start_of("step")} as start from generate_series(
        local_start('day', cast(:since as timestamptz), :zone), cast(:until as timestamptz) - interval '1 microsecond',
        case :bucket when 'minute' then interval '1 minute' else interval '15 minutes' end) as step
    where :bucket in ('minute', 'hour')
    union
    select local_midnight(step, :zone) from generate_series(
        date_trunc(:bucket, cast(:since as timestamptz) at time zone :zone),
        cast(:until as timestamptz) at time zone :zone - interval '1 microsecond',
        cast('1 ' || :bucket as interval)) as step
    where :bucket in ('day', 'week')
    union
    select start from counted
), ended as (
    select start, entered, exited, peak, case
        when :bucket = 'week' and date_trunc('day', latest at time zone :zone) < date_trunc('day', least(
            cast(:until as timestamptz) at time zone :zone, start at time zone :zone + interval '7 days')
            - interval '1 microsecond')
        then 0 else inside end as inside
    from counted
), buckets as (
    select start, coalesce(entered, 0) as entered, coalesce(exited, 0) as exited, coalesce(peak, 0) as peak, inside,
           date_trunc('day', start at time zone :zone) as day,
           count(inside) over (partition by date_trunc('day', start at time zone :zone) order by start) as part
    from starts left join ended using (start)
), carried as (
    select *, coalesce(first_value(inside) over (partition by day, part order by start), 0) as occupancy from buckets
), flow as (
    select start, entered, exited, occupancy, greatest(peak, occupancy) as peak from carried
    where start >= local_start(:bucket, cast(:since as timestamptz), :zone)
      and cast(:since as timestamptz) < cast(:until as timestamptz)
)
"""
FLOW = text(_BUCKETS + "select coalesce(json_agg(row_to_json(flow) order by start), '[]')::text from flow")
PROFILE = text(
    _BUCKETS
    + """
select coalesce(json_agg(row_to_json(profile) order by weekday, hour), '[]')::text
from (select extract(isodow from start at time zone :zone)::integer as weekday,
             extract(hour from start at time zone :zone)::integer as hour, count(*) as hours,
             round(avg(entered), 3) as entered_mean,
             percentile_cont(array[0.25, 0.5, 0.75]) within group (order by entered) as entered_quartiles,
             round(avg(exited), 3) as exited_mean,
             percentile_cont(array[0.25, 0.5, 0.75]) within group (order by exited) as exited_quartiles,
             round(avg(occupancy), 3) as occupancy_mean,
             percentile_cont(array[0.25, 0.5, 0.75]) within group (order by occupancy) as occupancy_quartiles
      from flow group by 1, 2) as profile
"""
)
