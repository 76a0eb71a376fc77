"""Sessions: the counting runs, and how they end."""

from __future__ import annotations

from flask import Response
from pydantic import ConfigDict, Field
from sqlalchemy import Double, Update, cast, delete, extract, func, update

from app.postgres.tables import Session, db
from app.rest.endpoints import Needs, resource_endpoints
from app.rest.resource import Resource, problem_response
from app.rest.rows import change_many, changed_answers, read_row, row_response
from app.rest.schema import Id, Strict, Time, row_schema
from app.rest.takes import takes
from app.rest.validation import ById, reads

SESSIONS = Resource(
    name="sessions",
    noun="session",
    model=Session,
    time="created_at",
    orders=("start_time", "updated_at", "session_name"),
    filters={"status": "status", "session_id": "id"},
    search=("session_name", "input_source"),
    session="id",
    masked=("input_source",),
)
api = resource_endpoints(SESSIONS, Needs(create=("ingest", "operate"), change=("ingest", "operate")))


MAX_SESSIONS = 10_000
_OPERATE = takes("operate", within="rows")
_IS_ACTIVE = SESSIONS.table.c.status == "active"


class Sessions(Strict):
    """Which sessions."""

    model_config = ConfigDict(json_schema_extra={"example": {"ids": ["9b2f7c1e-3d0a-4b57-8c61-2f4e5a6b7c8d"]}})

    ids: list[Id] = Field(max_length=MAX_SESSIONS)


class Resume(Strict):
    """Which sessions to resume: those of one answer of `/sessions/stop`."""

    model_config = ConfigDict(json_schema_extra={"example": {"stopped_at": "2026-11-26T10:42:07.123456Z"}})

    stopped_at: Time


def _stopped() -> Update:
    columns = SESSIONS.table.c
    end_time = func.coalesce(columns.end_time, func.now())
    return update(SESSIONS.table).values(
        status="completed",
        end_time=end_time,
        duration_seconds=func.greatest(0, cast(extract("epoch", end_time - columns.start_time), Double)),
    )


@api.post(
    "/<row:id>/stop",
    takes("ingest", "operate", within="rows"),
    "stopSession",
    summary="Stop a session",
    responses=lambda: {200: row_schema(SESSIONS.title, SESSIONS.table), 404: problem_response()},
)
@reads(path=ById)
def stop(path: ById) -> Response:
    """Complete an active session: sets status, end_time and duration_seconds. An ended session stays as it is."""
    statement = _stopped().where(SESSIONS.table.c.id == path.id, _IS_ACTIVE, *SESSIONS.within).returning(SESSIONS.row())
    with db.engine.begin() as connection:
        row = connection.execute(statement).scalar()
    return row_response(row or read_row(SESSIONS, path.id))


@api.post(
    "/stop",
    _OPERATE,
    "stopSessions",
    summary="Stop many sessions",
    responses=changed_answers("stopped", "stopped_at"),
)
@reads(body=Sessions)
def stop_many(body: Sessions) -> Response:
    """All in one transaction; unknown and ended ones are skipped. `stopped_at` lets `/sessions/resume` undo it."""
    wanted = (SESSIONS.table.c.id.in_(body.ids), _IS_ACTIVE, *SESSIONS.within)
    return change_many(_stopped().where(*wanted), "stopped", "stopped_at")


@api.post(
    "/resume",
    _OPERATE,
    "resumeSessions",
    summary="Undo the stopping of many sessions",
    responses=changed_answers("resumed"),
)
@reads(body=Resume)
def resume(body: Resume) -> Response:
    """Those that were changed meanwhile stay as they are."""
    columns = SESSIONS.table.c
    statement = (
        update(SESSIONS.table)
        .where(columns.updated_at == body.stopped_at, columns.status == "completed", *SESSIONS.within)
        .values(status="active", end_time=None, duration_seconds=None)
    )
    return change_many(statement, "resumed")


@api.post(
    "/delete",
    takes("admin", within="rows"),
    "deleteSessions",
    summary="Delete many sessions",
    responses=changed_answers("deleted"),
)
@reads(body=Sessions)
def delete_many(body: Sessions) -> Response:
    """All in one transaction, each with its rows; unknown ones are skipped."""
    return change_many(delete(SESSIONS.table).where(SESSIONS.table.c.id.in_(body.ids), *SESSIONS.within), "deleted")
