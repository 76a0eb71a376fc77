"""Metrics: the readings of the sessions, one by one and as series.

Invariant: a series is one snapshot's, rendered by PostgreSQL; the models below only describe it for the OpenAPI
document. The SQL and what it promises stand in ``app/postgres/series.py``.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from flask import Response
from pydantic import AfterValidator, Field, WithJsonSchema
from sqlalchemy import Connection

from app.api.sessions import SESSIONS
from app.postgres.series import FIGURES, read_series
from app.postgres.snapshot import read_exactly
from app.postgres.tables import Metric
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


def _known(names: str) -> str:
    unknown = [name for name in names.split(",") if name not in FIGURES.values()]
    if unknown:
        raise ValueError(f"{unknown[0][:50]!r} is none of {', '.join(FIGURES.values())}")
    return names


_NAME = f"({'|'.join(FIGURES.values())})"
_Figures = Annotated[
    str | None, AfterValidator(_known), WithJsonSchema({"type": "string", "pattern": f"^{_NAME}(,{_NAME})*$"})
]


class SeriesQuery(Strict):
    """A time range of one session, into how many points it is drawn together, and what each says."""

    session_id: Id = Field(description="Of this session.")
    since: OptionalTime = Field(default_factory=absent, alias="from", description="From here; an hour before `to`.")
    to: OptionalTime = Field(default_factory=absent, description="Up to here; now.")
    points: int = Field(default=500, ge=2, le=MAX_POINTS, description="At most so many.")
    figures: _Figures = Field(default_factory=absent, description="These only, separated by commas; all.")


class Spread(Described):
    """What the readings of a point say of one figure."""

    min: float
    mean: float
    max: float


_Time = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]
_Figure = Annotated[Spread | None, Field(default_factory=absent)]


class SeriesPoint(Described):
    """The readings from one start up to the next, with the figures that are wanted; null if no reading has one."""

    start: _Time
    readings: int = Field(ge=1, description="How many.")
    current_people_count: _Figure
    people_entered_last_minute: _Figure
    people_exited_last_minute: _Figure
    fps_current: _Figure
    cpu_usage_percentage: _Figure
    memory_usage_mb: _Figure
    processing_latency_ms: _Figure


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
    figures = frozenset(query.figures.split(",") if query.figures else FIGURES.values())
    read_row(SESSIONS, query.session_id)

    def read(connection: Connection) -> str:
        return read_series(connection, query.session_id, since, until, query.points, figures)

    answer, cursor = read_exactly(read)
    response = row_response(answer)
    response.headers["Last-Event-ID"] = str(cursor)
    return conditional(response)
