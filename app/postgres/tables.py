"""The tables as SQLAlchemy sees them: columns, defaults and bounds; and the pool that reads them.

Invariant: they agree with ``sql/``; a test compares the two. The schemas of requests and rows are derived from them, so
a column is described in one place. They create nothing: ``sql/`` does. They do not load rows either: PostgreSQL renders
those, see ``app/rest/resource.py``.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from psycopg2.extensions import connection as PsycopgConnection
from sqlalchemy import DateTime, Double, Enum, ForeignKey, Integer, Text, Uuid, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from app.postgres.connections import connect, sqlalchemy_url

_POOL = {"pool_size": 5, "max_overflow": 5, "pool_timeout": 5, "pool_recycle": 1800, "pool_pre_ping": True}

RANDOM_UUID = text("gen_random_uuid()")
NOW = text("now()")

# What a column accepts beyond its type, in the terms of pydantic's Field.
Key = Annotated[UUID, mapped_column(Uuid, primary_key=True, server_default=RANDOM_UUID)]
String = Annotated[str, mapped_column(Text)]
Number = Annotated[float, mapped_column(Double)]
Positive = Annotated[float, mapped_column(Double, info={"ge": 0})]
Share = Annotated[float, mapped_column(Double, info={"ge": 0, "le": 1})]
Percentage = Annotated[float, mapped_column(Double, info={"ge": 0, "le": 100})]
Whole = Annotated[int, mapped_column(Integer)]
Count = Annotated[int, mapped_column(Integer, info={"ge": 0})]
Time = Annotated[datetime, mapped_column(DateTime(timezone=True))]
SessionStatus = Annotated[str, mapped_column(Enum("active", "completed", "error", "cancelled", name="session_status"))]
DetectionStatus = Annotated[str, mapped_column(Enum("detecting", "tracking", "waiting", name="detection_status"))]
MovementDirection = Annotated[str, mapped_column(Enum("in", "out", name="movement_direction"))]
# Text with a check in the database, because the list will grow.
ALERT_TYPES = (
    "people_count",
    "entered_per_minute",
    "exited_per_minute",
    "processing_latency_ms",
    "fps",
    "cpu_usage_percentage",
    "memory_usage_mb",
    "no_signal_seconds",
    "unmeasured",
)
ThresholdType = Annotated[str, mapped_column(Text, info={"words": ALERT_TYPES})]
Direction = Annotated[str, mapped_column(Text, info={"words": ("above", "below")})]
SecondsOfDay = Annotated[int, mapped_column(Integer, info={"ge": 0, "le": 86400})]


_ID = "00000000-0000-4000-8000-000000000001"


def _example(**fields: object) -> dict[str, Any]:
    """A row as a client would send it, as an example in the OpenAPI document."""
    return {"info": {"example": fields}}


class Table(DeclarativeBase):
    """The base of all tables."""


db = SQLAlchemy(model_class=Table)
if TYPE_CHECKING:
    Model = Table
else:
    Model = db.Model


class Session(Model):
    """One counting run of one camera."""

    __tablename__ = "sessions"
    __table_args__ = _example(session_name="Main door", input_source="rtsp://camera-1/stream", fps=25)

    id: Mapped[Key]
    session_name: Mapped[String]
    input_source: Mapped[String | None]
    output_path: Mapped[String | None]
    start_time: Mapped[Time] = mapped_column(server_default=NOW)
    end_time: Mapped[Time | None]
    duration_seconds: Mapped[Positive | None]
    status: Mapped[SessionStatus] = mapped_column(server_default="active")
    fps: Mapped[Positive | None]
    total_frames: Mapped[Count | None]
    resolution_width: Mapped[Count | None]
    resolution_height: Mapped[Count | None]
    confidence_threshold: Mapped[Share | None] = mapped_column(server_default="0.3")
    skip_frames: Mapped[Count | None] = mapped_column(server_default="3")
    max_disappeared: Mapped[Count | None] = mapped_column(server_default="15")
    max_distance: Mapped[Count | None] = mapped_column(server_default="80")
    created_at: Mapped[Time] = mapped_column(server_default=NOW)
    updated_at: Mapped[Time] = mapped_column(server_default=NOW, info={"read_only": True})


class Movement(Model):
    """One person seen going in or out."""

    __tablename__ = "people_movements"
    __table_args__ = _example(session_id=_ID, person_id=7, movement_direction="in", confidence_score=0.9)

    id: Mapped[Key]
    session_id: Mapped[UUID] = mapped_column(ForeignKey("sessions.id", ondelete="CASCADE"))
    person_id: Mapped[Whole]
    movement_direction: Mapped[MovementDirection]
    movement_time: Mapped[Time] = mapped_column(server_default=NOW)
    centroid_x: Mapped[Number | None]
    centroid_y: Mapped[Number | None]
    bounding_box_x1: Mapped[Number | None]
    bounding_box_y1: Mapped[Number | None]
    bounding_box_x2: Mapped[Number | None]
    bounding_box_y2: Mapped[Number | None]
    confidence_score: Mapped[Share | None]
    frame_number: Mapped[Count | None]
    created_at: Mapped[Time] = mapped_column(server_default=NOW)


class Metric(Model):
    """One reading of a session, every second or so."""

    __tablename__ = "realtime_metrics"
    __table_args__ = _example(session_id=_ID, current_people_count=12, fps_current=24.9)

    id: Mapped[Key]
    session_id: Mapped[UUID] = mapped_column(ForeignKey("sessions.id", ondelete="CASCADE"))
    timestamp: Mapped[Time] = mapped_column(server_default=NOW)
    current_people_count: Mapped[Count] = mapped_column(server_default="0")
    people_entered_last_minute: Mapped[Count | None] = mapped_column(server_default="0")
    people_exited_last_minute: Mapped[Count | None] = mapped_column(server_default="0")
    detection_status: Mapped[DetectionStatus] = mapped_column(server_default="waiting")
    fps_current: Mapped[Positive | None]
    cpu_usage_percentage: Mapped[Percentage | None]
    memory_usage_mb: Mapped[Positive | None]
    processing_latency_ms: Mapped[Positive | None]
    created_at: Mapped[Time | None] = mapped_column(server_default=NOW, info={"read_only": True})


class Threshold(Model):
    """When to raise an alert: for one session, for each one if there is none, or for all together."""

    __tablename__ = "alert_thresholds"
    __table_args__ = _example(threshold_name="Crowd", alert_type="people_count", threshold_value=20)

    id: Mapped[Key]
    session_id: Mapped[UUID | None] = mapped_column(ForeignKey("sessions.id", ondelete="CASCADE"))
    threshold_name: Mapped[String]
    threshold_value: Mapped[Count]
    alert_message: Mapped[String | None]
    is_active: Mapped[bool] = mapped_column(server_default="true")
    created_at: Mapped[Time] = mapped_column(server_default=NOW)
    updated_at: Mapped[Time] = mapped_column(server_default=NOW, info={"read_only": True})
    alert_type: Mapped[ThresholdType] = mapped_column(server_default="by name")
    resolve_margin: Mapped[Count | None]
    direction: Mapped[Direction] = mapped_column(server_default="above")
    lasting_seconds: Mapped[SecondsOfDay] = mapped_column(server_default="0")
    is_total: Mapped[bool] = mapped_column(server_default="false")
    type_from_name: Mapped[bool] = mapped_column(server_default="false", info={"read_only": True})


class Alert(Model):
    """One alert: raised once, resolved once; between the two somebody may take it in hand, or mute its kind."""

    __tablename__ = "alert_logs"
    __table_args__ = _example(alert_type="door_blocked", alert_message="The main door is blocked.")

    id: Mapped[Key]
    session_id: Mapped[UUID | None] = mapped_column(ForeignKey("sessions.id", ondelete="CASCADE"))
    threshold_id: Mapped[UUID | None] = mapped_column(ForeignKey("alert_thresholds.id", ondelete="SET NULL"))
    alert_type: Mapped[String]
    alert_message: Mapped[String | None]
    current_value: Mapped[Whole | None]
    threshold_value: Mapped[Whole | None]
    triggered_at: Mapped[Time] = mapped_column(server_default=NOW)
    resolved_at: Mapped[Time | None]
    is_resolved: Mapped[bool] = mapped_column(server_default="false")
    acknowledged_at: Mapped[Time | None] = mapped_column(info={"read_only": True})
    acknowledged_by: Mapped[String | None] = mapped_column(info={"read_only": True})
    note: Mapped[String | None]
    muted_until: Mapped[Time | None] = mapped_column(info={"read_only": True})


def register(app: Flask, database_url: str) -> None:
    """Give the app its connection pool, one per process, opened on first use. No I/O."""

    def open_connection() -> PsycopgConnection:
        # Times leave as UTC whatever the server's zone. Without the limits, a query whose greenlet is gone would run
        # forever. The limit for locks is shorter, so that a lock's holder can be told from a slow query.
        connection = connect(
            database_url,
            application_name="people-feed rest",
            timezone="UTC",
            statement_timeout=5000,
            lock_timeout=3000,
            idle_in_transaction_session_timeout=10_000,
        )
        connection.autocommit = False  # SQLAlchemy begins and ends the transactions
        return connection

    app.config["SQLALCHEMY_DATABASE_URI"] = sqlalchemy_url(database_url)
    # Hidden: the values of a statement that fails would be in the log, hashes of passwords among them.
    options = {"creator": open_connection, "use_native_hstore": False, "hide_parameters": True, **_POOL}
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = options
    db.init_app(app)
