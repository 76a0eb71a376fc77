"""Statistics: how many people came, went and were inside, by time.

Invariant: the answers are one snapshot's, rendered by PostgreSQL; the models below only describe them for the OpenAPI
document. The SQL and what it promises stand in ``app/postgres/counts.py``.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Annotated, Literal
from zoneinfo import available_timezones

from flask import Response
from pydantic import AfterValidator, ConfigDict, Field, RootModel, WithJsonSchema
from sqlalchemy import Connection, TextClause

from app.api.current import current_feed
from app.api.sessions import SESSIONS
from app.postgres.counts import DOORS, FLOW, PROFILE, QUIET_SECONDS, SESSION_STATISTICS, TODAY_AND_NOW, TREND_COUNTS
from app.postgres.snapshot import read_exactly
from app.rest.document import Endpoints
from app.rest.problems import FieldError
from app.rest.resource import problem_response
from app.rest.rows import conditional, read_row, row_response
from app.rest.schema import Described, OptionalBoolean, OptionalId, OptionalTime, Strict, absent
from app.rest.takes import takes
from app.rest.validation import ById, reads, refused

MAX_BUCKETS = 10_000
Bucket = Literal["minute", "hour", "day", "week"]
_STEPS = {
    "minute": timedelta(minutes=1),
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "week": timedelta(weeks=1),
}
# What is shown if the range is open.
_STEPS_SHOWN = {"minute": 60, "hour": 24, "day": 28, "week": 12}
_PROFILE_SHOWN = timedelta(weeks=12)
_FIRST = datetime.min.replace(tzinfo=UTC)  # the earliest time there is


@cache
def _zones() -> set[str]:
    # The two are what the machine says, and a placeholder; PostgreSQL knows neither.
    return available_timezones() - {"localtime", "Factory"}


def _known_zone(name: str) -> str:
    if name not in _zones():
        raise ValueError("should be the name of a time zone, such as Europe/Berlin")
    return name


# How names of the time zone database are written.
_ZONE = r"^[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+){0,2}$"
Zone = Annotated[str, AfterValidator(_known_zone), WithJsonSchema({"type": "string", "pattern": _ZONE})]

api = Endpoints(
    "analytics",
    "/api",
    tag="analytics",
    about="How many people came, went and are inside.",
    responses={status: problem_response() for status in (400, 500, 503)},
)


class ZoneQuery(Strict):
    """The time zone whose midnight days begin at."""

    # Deliberate: the names are not listed. There are 600, they differ from year to year, and clients that are generated
    # from the document would refuse new ones.
    tz: Zone = Field(
        default="UTC",
        description="The name of a time zone; 400 if the server knows none of this name.",
        json_schema_extra={"example": "Europe/Berlin"},
    )


class ProfileQuery(ZoneQuery):
    """A time range, of one session or of all together."""

    since: OptionalTime = Field(default_factory=absent, alias="from", description="From here; a while before `to`.")
    to: OptionalTime = Field(default_factory=absent, description="Up to here; now.")
    session_id: OptionalId = Field(default_factory=absent, description="Of this session only.")


class FlowQuery(ProfileQuery):
    """A time range in buckets."""

    bucket: Bucket = Field(default="hour", description="Days and weeks are those of the time zone.")


class FiguresQuery(ZoneQuery):
    """Which active sessions."""

    session_id: OptionalId = Field(default_factory=absent, description="This session only.")
    counted: OptionalBoolean = Field(
        default_factory=absent,
        description="Those only that sent no reading of late, and so are counted from their movements.",
    )


_Time = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]
_Count = Annotated[int, Field(ge=0)]
_Quartiles = Annotated[list[float], Field(min_length=3, max_length=3)]


class SessionStatistics(Described):
    """One session; peak and average are people inside."""

    session_id: Annotated[str, WithJsonSchema({"type": "string", "format": "uuid"})]
    entered: int
    exited: int
    inside: _Count = Field(description="Now.")
    peak: _Count
    average: float
    first_movement: _Time | None = Field(description="Its minute; null if there is none.")
    last_movement: _Time | None
    ahead_seconds: _Count = Field(
        description="How far the latest of its rows is ahead, if that is more than CLOCK_MARGIN_SECONDS; else 0."
    )


class TodayStatistics(Described):
    """Since midnight, all sessions."""

    entered: int
    exited: int
    peak: _Count


class NowStatistics(Described):
    """At this moment, all sessions that are active."""

    inside: _Count
    active_sessions: _Count
    silent_sessions: _Count = Field(description="Those of them whose newest reading is older than two minutes.")
    inside_silent: _Count = Field(description="How many of the people inside were counted by these.")
    ahead_sessions: _Count = Field(description="Those that sent rows from further ahead than CLOCK_MARGIN_SECONDS.")
    open_alerts: _Count
    alerts_in_hand: _Count = Field(description="Those of them that are acknowledged.")
    alerts_muted: _Count = Field(description="Those of them that are muted, and not acknowledged. The rest is waiting.")
    mute_ends_seconds: _Count | None = Field(description="Until the first of these counts as waiting again.")


class TodayAndNow(Described):
    """What a dashboard shows first."""

    today: TodayStatistics
    now: NowStatistics


class SessionFigures(Described):
    """One active session at this moment."""

    session_id: Annotated[str, WithJsonSchema({"type": "string", "format": "uuid"})]
    inside: _Count
    taken_at: _Time | None = Field(description="The time of the reading that says so; null: counted from movements.")
    counts: list[int] = Field(description="Of its newest readings, up to this one; oldest first.")
    entered_last_minute: int | None = Field(description="As the reading says, as the next two.")
    exited_last_minute: int | None
    fps: float | None
    last_movement: _Time | None = Field(description="Where it is counted from movements: the newest.")


class Figures(RootModel[list[SessionFigures]]):
    """The sessions by their ids."""

    model_config = ConfigDict(defer_build=True)


class FlowBucket(Described):
    """One bucket of time."""

    start: _Time
    entered: int
    exited: int
    occupancy: _Count = Field(description="Inside at the end of the bucket.")
    peak: _Count


class Flow(RootModel[list[FlowBucket]]):
    """The buckets in order."""

    model_config = ConfigDict(defer_build=True)


class ProfileHour(Described):
    """One hour of a typical week."""

    weekday: int = Field(ge=1, le=7, description="1 is Monday.")
    hour: int = Field(ge=0, le=23)
    hours: int = Field(ge=1, description="How many such hours the range has.")
    entered_mean: float
    entered_quartiles: _Quartiles
    exited_mean: float
    exited_quartiles: _Quartiles
    occupancy_mean: float
    occupancy_quartiles: _Quartiles


class Profile(RootModel[list[ProfileHour]]):
    """The hours in order; those outside the range are omitted."""

    model_config = ConfigDict(defer_build=True)


@api.get(
    "/sessions/<id>/statistics",
    takes("read", within="path"),
    "readSessionStatistics",
    summary="A session in numbers",
    responses={200: SessionStatistics, 404: problem_response()},
)
@reads(path=ById, query=ZoneQuery)
def session_statistics(path: ById, query: ZoneQuery) -> Response:
    """Inside, peak and average are people; the average is over time, from the first movement to the last."""
    read_row(SESSIONS, path.id)
    margin = current_feed().config.clock_margin_seconds
    return _answer(SESSION_STATISTICS, session=path.id, zone=query.tz, margin=margin)


@api.get(
    "/stats",
    takes("read"),
    "readStatistics",
    summary="Today and now, of all sessions",
    responses={200: TodayAndNow, 304: None},
)
@reads(query=ZoneQuery)
def stats(query: ZoneQuery) -> Response:
    """Now is what the cameras of active sessions say, or what their movements add up to; today is counted."""
    config = current_feed().config
    return _answer(
        TODAY_AND_NOW,
        zone=query.tz,
        margin=config.clock_margin_seconds,
        silence=config.session_silence_seconds,
        quiet=QUIET_SECONDS,
    )


@api.get(
    "/sessions/figures",
    takes("read", within="query"),
    "listSessionFigures",
    summary="The figures of active sessions",
    responses={200: Figures, 304: None},
)
@reads(query=FiguresQuery)
def session_figures(query: FiguresQuery) -> Response:
    """How many are inside each active session; together they are `now.inside` of `/stats`."""
    config = current_feed().config
    return _answer(
        DOORS,
        zone=query.tz,
        margin=config.clock_margin_seconds,
        silence=config.session_silence_seconds,
        session=query.session_id,
        counted=bool(query.counted),
        counts=TREND_COUNTS,
    )


@api.get(
    "/analytics/flow",
    takes("read", within="query"),
    "readFlow",
    summary="Entered, exited, occupancy and peak by time",
    responses={200: Flow, 304: None},
)
@reads(query=FlowQuery)
def flow(query: FlowQuery) -> Response:
    """Empty buckets are included. The first bucket is complete, even if `from` lies within it."""
    since, until = _range(query, _STEPS[query.bucket] * _STEPS_SHOWN[query.bucket])
    if until - since > MAX_BUCKETS * _STEPS[query.bucket]:
        wrong = FieldError(field="from", message=f"is more than {MAX_BUCKETS} buckets before to")
        raise refused(400, [wrong])
    return _answer(FLOW, since=since, until=until, session=query.session_id, zone=query.tz, bucket=query.bucket)


@api.get(
    "/analytics/profile",
    takes("read", within="query"),
    "readProfile",
    summary="A typical week, by weekday and hour",
    responses={200: Profile, 304: None},
)
@reads(query=ProfileQuery)
def profile(query: ProfileQuery) -> Response:
    """Mean and quartiles of an hour; weekdays are 1 (Monday) to 7."""
    since, until = _range(query, _PROFILE_SHOWN)
    if until - since > MAX_BUCKETS * _STEPS["hour"]:
        raise refused(400, [FieldError(field="from", message=f"is more than {MAX_BUCKETS} hours before to")])
    return _answer(PROFILE, since=since, until=until, session=query.session_id, zone=query.tz, bucket="hour")


def _range(query: ProfileQuery, shown: timedelta) -> tuple[datetime, datetime]:
    until = query.to or datetime.now(UTC)
    return query.since or max(until, _FIRST + shown) - shown, until


def _answer(statement: TextClause, **values: object) -> Response:
    """With the cursor of the snapshot: a client can follow the stream from there instead of asking again."""

    def read(connection: Connection) -> str:
        answer: str = connection.execute(statement, values).scalar_one()
        return answer

    answer, cursor = read_exactly(read)
    response = row_response(answer)
    response.headers["Last-Event-ID"] = str(cursor)
    return conditional(response)
