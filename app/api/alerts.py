"""Alerts: what was raised, what is still open, and resolving by hand."""

from __future__ import annotations

from uuid import UUID

from flask import Response
from pydantic import Field
from sqlalchemy import update

from app.postgres.tables import Alert, db
from app.rest.endpoints import resource_endpoints
from app.rest.resource import Resource, problem_response
from app.rest.rows import read_row, row_response
from app.rest.schema import Id, Strict, row_schema
from app.rest.validation import ById, reads

ALERTS = Resource(
    name="alerts",
    noun="alert",
    model=Alert,
    time="triggered_at",
    filters={
        "session_id": "session_id",
        "threshold_id": "threshold_id",
        "resolved": "is_resolved",
        "alert_type": "alert_type",
    },
)
api = resource_endpoints(ALERTS)


class Resolve(Strict):
    """Which alerts to resolve."""

    ids: list[Id] = Field(max_length=10_000)


@api.post(
    "/<row:id>/resolve",
    summary="Resolve an alert",
    responses=lambda: {200: row_schema(ALERTS.title, ALERTS.table), 404: problem_response()},
)
@reads(path=ById)
def resolve(path: ById) -> Response:
    """A resolved alert stays as it is."""
    rows = _resolve([path.id])
    return row_response(rows[0] if rows else read_row(ALERTS, path.id))


_RESOLVED = {"type": "object", "properties": {"resolved": {"type": "integer"}}, "required": ["resolved"]}


@api.post(
    "/resolve",
    summary="Resolve many alerts",
    responses={
        200: {"content": {"application/json": {"schema": _RESOLVED}}},
        **{status: problem_response() for status in (413, 415, 422)},
    },
)
@reads(body=Resolve)
def resolve_many(body: Resolve) -> Response:
    """All in one transaction; unknown and resolved alerts are skipped."""
    return row_response(f'{{"resolved":{len(_resolve(body.ids))}}}')


def _resolve(ids: list[UUID]) -> list[str]:
    columns = ALERTS.table.c
    statement = (
        update(ALERTS.table)
        .where(columns.id.in_(ids), columns.is_resolved.is_(False))
        .values(is_resolved=True)
        .returning(ALERTS.row())
    )
    with db.engine.begin() as connection:
        return list(connection.execute(statement).scalars())
