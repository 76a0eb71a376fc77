"""Figures: what statistics and flow answer with, as the OpenAPI document describes it.

Only described here, never built: PostgreSQL renders the answers, see ``app/api/statistics.py``.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field, RootModel, WithJsonSchema

_Time = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]
_Count = Annotated[int, Field(ge=0)]
_Quartiles = Annotated[list[float], Field(min_length=3, max_length=3)]


class SessionFigures(BaseModel):
    """One session; peak and average are people inside."""

    session_id: Annotated[str, WithJsonSchema({"type": "string", "format": "uuid"})]
    entered: int
    exited: int
    inside: _Count = Field(description="Now.")
    peak: _Count
    average: float
    first_movement: _Time | None = Field(description="Its minute; null if there is none.")
    last_movement: _Time | None


class TodayFigures(BaseModel):
    """Since midnight, all sessions."""

    entered: int
    exited: int
    peak: _Count


class NowFigures(BaseModel):
    """At this moment, all sessions that are active."""

    inside: _Count
    active_sessions: _Count
    open_alerts: _Count


class TodayAndNow(BaseModel):
    """What a dashboard shows first."""

    today: TodayFigures
    now: NowFigures


class FlowBucket(BaseModel):
    """One bucket of time."""

    start: _Time
    entered: int
    exited: int
    occupancy: _Count = Field(description="Inside at the end of the bucket.")
    peak: _Count


class Flow(RootModel[list[FlowBucket]]):
    """The buckets in order."""


class ProfileHour(BaseModel):
    """One hour of a typical week."""

    weekday: int = Field(ge=1, le=7, description="1 is Monday.")
    hour: int = Field(ge=0, le=23)
    hours: int = Field(ge=1, description="So many such hours are in the range.")
    entered_mean: float
    entered_quartiles: _Quartiles
    exited_mean: float
    exited_quartiles: _Quartiles
    occupancy_mean: float
    occupancy_quartiles: _Quartiles


class Profile(RootModel[list[ProfileHour]]):
    """The hours in order; those that the range does not have are left out."""
