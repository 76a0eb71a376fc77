"""Sessions: the counting runs, and how they end."""

from __future__ import annotations

from flask import Response
from sqlalchemy import Double, cast, extract, func, update

from app.postgres.tables import Session, db
from app.rest.endpoints import resource_endpoints
from app.rest.resource import Resource, problem_response
from app.rest.rows import read_row, row_response
from app.rest.schema import row_schema
from app.rest.validation import ById, reads

SESSIONS = Resource(
    name="sessions",
    noun="session",
    model=Session,
    time="created_at",
    orders=("start_time", "updated_at", "session_name"),
    filters={"status": "status", "session_id": "id"},
    search=("session_name", "input_source"),
)
api = resource_endpoints(SESSIONS)


@api.post(
    "/<row:id>/stop",
    summary="Stop a session",
    responses=lambda: {200: row_schema(SESSIONS.title, SESSIONS.table), 404: problem_response()},
)
@reads(path=ById)
def stop(path: ById) -> Response:
    """Complete an active session: sets status, end_time and duration_seconds. An ended session stays as it is."""
    columns = SESSIONS.table.c
    end_time = func.coalesce(columns.end_time, func.now())
    statement = (
        update(SESSIONS.table)
        .where(columns.id == path.id, columns.status == "active")
        .values(
            status="completed",
            end_time=end_time,
            duration_seconds=func.greatest(0, cast(extract("epoch", end_time - columns.start_time), Double)),
        )
        .returning(SESSIONS.row())
    )
    with db.engine.begin() as connection:
        row = connection.execute(statement).scalar()
    return row_response(row or read_row(SESSIONS, path.id))
