"""Statistics and flow: how many came, went and were inside, by time.

Invariant: answers come from the counts by minute and by quarter of an hour plus the part of the change log that is not
folded into them yet, read in one snapshot: exact at the moment of asking, and their cost does not grow with the
movements of a quarter. The count inside starts at 0 at every local midnight and is never below 0.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal
from zoneinfo import available_timezones

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import AfterValidator, Field
from sqlalchemy import TextClause, text

from app.api.errors import FieldError
from app.api.figures import Flow, Profile, SessionFigures, TodayAndNow
from app.api.lists import snapshot
from app.api.requests import ById, reads, refused
from app.api.resource import problem_response
from app.api.rows import conditional, read_row, row_response
from app.api.schema import OptionalId, OptionalTime, Strict, absent
from app.api.sessions import SESSIONS

MAX_BUCKETS = 10_000
Bucket = Literal["minute", "hour", "day", "week"]
_STEPS = {
    "minute": timedelta(minutes=1),
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "week": timedelta(weeks=1),
}
# What is shown where the range is left open.
_STEPS_SHOWN = {"minute": 60, "hour": 24, "day": 28, "week": 12}
_PROFILE_SHOWN = timedelta(weeks=12)
_FIRST = datetime.min.replace(tzinfo=UTC)  # there is no time before it
# The two are what the machine says, and a placeholder; PostgreSQL knows neither.
_ZONES = available_timezones() - {"localtime", "Factory"}


def _known_zone(name: str) -> str:
    if name not in _ZONES:
        raise ValueError("should be the name of a time zone, such as Europe/Berlin")
    return name


Zone = Annotated[str, AfterValidator(_known_zone)]

api = APIBlueprint(
    "analytics",
    __name__,
    url_prefix="/api",
    abp_tags=[Tag(name="analytics", description="Who came, went and is inside.")],
    abp_responses={status: problem_response() for status in (400, 500, 503)},
)


class ZoneQuery(Strict):
    """Which midnight days begin at."""

    tz: Zone = Field(
        default="UTC",
        description="The name of a time zone, such as Europe/Berlin.",
        json_schema_extra={"enum": [*sorted(_ZONES)]},
    )


class ProfileQuery(ZoneQuery):
    """A time range, of one session or of all together."""

    since: OptionalTime = Field(default_factory=absent, alias="from", description="From here; a while before `to`.")
    to: OptionalTime = Field(default_factory=absent, description="Up to here; now.")
    session_id: OptionalId = Field(default_factory=absent, description="Of this session only.")


class FlowQuery(ProfileQuery):
    """A time range in buckets."""

    bucket: Bucket = Field(default="hour", description="Days and weeks are those of the time zone.")


_SESSION = text("""
select json_build_object(
    'session_id', cast(:session as uuid),
    'entered', coalesce(sum(entered), 0), 'exited', coalesce(sum(exited), 0),
    'inside', coalesce((array_agg(inside order by start desc)
                        filter (where start >= date_trunc('day', now(), :zone)))[1], 0),
    'peak', coalesce(max(peak), 0),
    'average', round(coalesce(sum(spent + inside * minutes_after)
                              / (extract(epoch from max(last_minute) - min(first_minute)) / 60 + 1), 0), 3),
    'first_movement', min(first_minute), 'last_movement', max(last_minute))::text
from (select *, extract(epoch from coalesce(lead(first_minute) over (order by start),
                                            last_minute + interval '1 minute') - "end") / 60 as minutes_after
      from movement_spans('-infinity', 'infinity', :session, :zone, false)) as spans
""")

TODAY_AND_NOW = text("""
select json_build_object(
    'today', (select json_build_object('entered', coalesce(sum(entered), 0), 'exited', coalesce(sum(exited), 0),
                                       'peak', coalesce(max(peak), 0))
              from movement_spans(date_trunc('day', now(), :zone),
                                  (date_trunc('day', now() at time zone :zone) + interval '1 day') at time zone :zone,
                                  null, :zone, false)),
    'now', json_build_object(
        'inside', (select coalesce(sum(m.current_people_count), 0) from sessions s
                   cross join lateral (select current_people_count from realtime_metrics
                                       where session_id = s.id order by timestamp desc, id desc limit 1) m
                   where s.status = 'active'),
        'active_sessions', (select count(*) from sessions where status = 'active'),
        'open_alerts', (select count(*) from alert_logs where not is_resolved)))::text
""")

# Hours are those of the wall clock, so a day with a change of the clocks has 23 or 25 of them (and where clocks change
# by half an hour, one that lasts half an hour); so many steps find each of them. Days and weeks are steps of the
# calendar. Everything begins at a local midnight, for the count inside does; an empty bucket keeps the count of the
# one before it on the same day. A week ends with what was inside on its last day, as far as the range goes.
_BUCKETS = """
with spans as (
    select * from movement_spans(date_trunc(case :bucket when 'week' then 'week' else 'day' end,
                                            cast(:since as timestamptz), :zone),
                                 :until, :session, :zone, :bucket = 'minute')
), counted as (
    select date_trunc(:bucket, start, :zone) as start, sum(entered) as entered, sum(exited) as exited,
           max(peak) as peak, (array_agg(inside order by start desc))[1] as inside, max(start) as latest
    from spans group by 1
), starts as (
    select date_trunc(:bucket, step, :zone) as start from generate_series(
        date_trunc('day', cast(:since as timestamptz), :zone), cast(:until as timestamptz) - interval '1 microsecond',
        case :bucket when 'minute' then interval '1 minute' else interval '15 minutes' end) as step
    where :bucket in ('minute', 'hour')
    union
    select step at time zone :zone from generate_series(
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
           date_trunc('day', start, :zone) as day,
           count(inside) over (partition by date_trunc('day', start, :zone) order by start) as part
    from starts left join ended using (start)
), carried as (
    select *, coalesce(first_value(inside) over (partition by day, part order by start), 0) as occupancy from buckets
), flow as (
    select start, entered, exited, occupancy, greatest(peak, occupancy) as peak from carried
    where start >= date_trunc(:bucket, cast(:since as timestamptz), :zone)
      and cast(:since as timestamptz) < cast(:until as timestamptz)
)
"""
_FLOW = text(_BUCKETS + "select coalesce(json_agg(row_to_json(flow) order by start), '[]')::text from flow")
_PROFILE = text(
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


@api.get(
    "/sessions/<id>/statistics",
    summary="A session in numbers",
    responses={200: SessionFigures, 404: problem_response()},
)
@reads(path=ById, query=ZoneQuery)
def session_statistics(path: ById, query: ZoneQuery) -> Response:
    """Inside, peak and average are people; the average is over time, from the first movement to the last."""
    read_row(SESSIONS, path.id)
    return _answer(_SESSION, session=path.id, zone=query.tz)


@api.get("/stats", summary="Today and now, of all sessions", responses={200: TodayAndNow, 304: None})
@reads(query=ZoneQuery)
def stats(query: ZoneQuery) -> Response:
    """Today is counted from movements, now is what the cameras of active sessions say."""
    return _answer(TODAY_AND_NOW, zone=query.tz)


@api.get(
    "/analytics/flow",
    summary="Entered, exited, occupancy and peak by time",
    responses={200: Flow, 304: None, 409: problem_response()},
)
@reads(query=FlowQuery)
def flow(query: FlowQuery) -> Response:
    """Empty buckets are there, too. The first bucket is whole, also if `from` lies within it."""
    since, until = _range(query, _STEPS[query.bucket] * _STEPS_SHOWN[query.bucket])
    if until - since > MAX_BUCKETS * _STEPS[query.bucket]:
        wrong = FieldError(field="from", message=f"is more than {MAX_BUCKETS} buckets before to")
        raise refused(409, [wrong])
    return _answer(_FLOW, since=since, until=until, session=query.session_id, zone=query.tz, bucket=query.bucket)


@api.get(
    "/analytics/profile",
    summary="A typical week, by weekday and hour",
    responses={200: Profile, 304: None, 409: problem_response()},
)
@reads(query=ProfileQuery)
def profile(query: ProfileQuery) -> Response:
    """Mean and quartiles of an hour; weekdays are 1 (Monday) to 7."""
    since, until = _range(query, _PROFILE_SHOWN)
    if until - since > MAX_BUCKETS * _STEPS["hour"]:
        raise refused(409, [FieldError(field="from", message=f"is more than {MAX_BUCKETS} hours before to")])
    return _answer(_PROFILE, since=since, until=until, session=query.session_id, zone=query.tz, bucket="hour")


def _range(query: ProfileQuery, shown: timedelta) -> tuple[datetime, datetime]:
    until = query.to or datetime.now(UTC)
    return query.since or max(until, _FIRST + shown) - shown, until


def _answer(statement: TextClause, **values: object) -> Response:
    with snapshot() as connection:
        answer: str = connection.execute(statement, values).scalar_one()
    return conditional(row_response(answer))
