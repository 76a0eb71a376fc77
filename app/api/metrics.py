"""Metrics: the readings of the sessions, one by one and as series.

Invariant: a series is one snapshot's, rendered by PostgreSQL; the models below only describe it for the OpenAPI
document. The SQL and what it promises stand in ``app/postgres/series.py``.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from flask import Response
from pydantic import Field, WithJsonSchema
from sqlalchemy import Connection

from app.api.sessions import SESSIONS
from app.postgres.series import read_series
from app.postgres.tables import Metric, read_exactly
from app.rest.endpoints import Needs, resource_endpoints
from app.rest.resource import Resource, problem_response
from app.rest.rows import conditional, read_row, row_response
from app.rest.schema import Described, Id, OptionalTime, Strict, absent
from app.rest.takes import takes
from app.rest.validation import reads

MAX_POINTS = 2000
_SHOWN = timedelta(hours=1)  # if the range is open
_FIRST = datetime.min.replace(tzinfo=UTC)  # the earliest time there is

METRICS = Resource(
    name="metrics",
    noun="metric",
    model=Metric,
    time="timestamp",
    filters={"session_id": "session_id", "status": "detection_status"},
    ingest=True,
)
api = resource_endpoints(METRICS, Needs(create=("ingest",), change=("admin",)))


class SeriesQuery(Strict):
    """A time range of one session, and into how many points it is drawn together."""

    session_id: Id = Field(description="Of this session.")
    since: OptionalTime = Field(default_factory=absent, alias="from", description="From here; an hour before `to`.")
    to: OptionalTime = Field(default_factory=absent, description="Up to here; now.")
    points: int = Field(default=500, ge=2, le=MAX_POINTS, description="At most so many.")


class Spread(Described):
    """What the readings of a point say of one figure."""

    min: float
    mean: float
    max: float


_Time = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]
_About = Field(description="Null if no reading has it; so all that follow.")


class SeriesPoint(Described):
    """The readings from one start up to the next."""

    start: _Time
    readings: int = Field(ge=1, description="How many.")
    current_people_count: Spread | None = _About
    people_entered_last_minute: Spread | None
    people_exited_last_minute: Spread | None
    fps_current: Spread | None
    cpu_usage_percentage: Spread | None
    memory_usage_mb: Spread | None
    processing_latency_ms: Spread | None


class Series(Described):
    """Points of equal width, in order; those without readings are left out."""

    session_id: Annotated[str, WithJsonSchema({"type": "string", "format": "uuid"})]
    resolution: Literal["readings", "minutes", "hours"] = Field(
        description="What the points are made of. Of minutes or hours, the range is widened to whole ones."
    )
    seconds: float = Field(gt=0, description="How wide a point is.")
    points: list[SeriesPoint]


@api.get(
    "/series",
    takes("read", within="query"),
    "readSeries",
    summary="The readings of a session over time: least, mean and most",
    responses={200: Series, 304: None, 404: problem_response()},
)
@reads(query=SeriesQuery)
def series(query: SeriesQuery) -> Response:
    """Means are those of all readings, however many a point has. Readings that have aged out are in it."""
    until = query.to or datetime.now(UTC)
    since = query.since or max(until, _FIRST + _SHOWN) - _SHOWN
    read_row(SESSIONS, query.session_id)

    def read(connection: Connection) -> str:
        return read_series(connection, query.session_id, since, until, query.points)

    answer, cursor = read_exactly(read)
    response = row_response(answer)
    response.headers["Last-Event-ID"] = str(cursor)
    return conditional(response)
