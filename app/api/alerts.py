"""Alerts: what was raised, what is still open, and resolving by hand."""

from __future__ import annotations

from typing import Annotated, Literal

from flask import Response
from pydantic import ConfigDict, Field, WithJsonSchema, model_validator
from sqlalchemy import select, text, update

from app.postgres.tables import Alert, db
from app.rest.endpoints import Needs, resource_endpoints
from app.rest.resource import Resource, problem_response
from app.rest.rows import change_many, changed_answers, read_row, row_response
from app.rest.schema import Id, OptionalId, Strict, Time, absent, row_schema
from app.rest.takes import takes
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
api = resource_endpoints(ALERTS, Needs(create=("ingest", "operate"), change=("operate",)))
_OPERATE = takes("operate", within="rows")


MAX_ALERTS = 10_000
# An alert of a threshold is open for as long as its condition lasts: one whose condition is over stays resolved.
_MAY_BE_OPEN = text("(threshold_id is null or exists (select from alert_states s where s.alert_id = alert_logs.id))")


_True = Annotated[Literal[True] | None, WithJsonSchema({"type": "boolean", "const": True})]


class Resolve(Strict):
    """Which alerts to resolve: these, or all that are open."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [
                {"required": ["ids"], "not": {"anyOf": [{"required": ["all"]}, {"required": ["session_id"]}]}},
                {"required": ["all"], "not": {"required": ["ids"]}},
            ],
            "example": {"all": True},
        }
    )

    ids: list[Id] = Field(default_factory=list, max_length=MAX_ALERTS)
    all: _True = Field(default_factory=absent, description=f"The oldest {MAX_ALERTS} that are open.")
    session_id: OptionalId = Field(default_factory=absent, description="With `all`: those of this session.")

    @model_validator(mode="after")
    def _one_of_both(self) -> Resolve:
        is_null = "all" in self.model_fields_set and not self.all
        is_null |= "session_id" in self.model_fields_set and not self.session_id
        if is_null or self.model_fields_set not in ({"ids"}, {"all"}, {"all", "session_id"}):
            raise ValueError('should be {"ids": [...]}, or {"all": true} with or without a session_id')
        return self


class Reopen(Strict):
    """Which alerts to open again: those of one answer of `/alerts/resolve`."""

    model_config = ConfigDict(json_schema_extra={"example": {"resolved_at": "2026-11-26T10:42:07.123456Z"}})

    resolved_at: Time


@api.post(
    "/<row:id>/resolve",
    _OPERATE,
    "resolveAlert",
    summary="Resolve an alert",
    responses=lambda: {200: row_schema(ALERTS.title, ALERTS.table), 404: problem_response()},
)
@reads(path=ById)
def resolve(path: ById) -> Response:
    """A resolved alert stays as it is."""
    columns = ALERTS.table.c
    statement = (
        update(ALERTS.table)
        .where(columns.id == path.id, columns.is_resolved.is_(False), *ALERTS.within)
        .values(is_resolved=True)
        .returning(ALERTS.row())
    )
    with db.engine.begin() as connection:
        row = connection.execute(statement).scalar()
    return row_response(row or read_row(ALERTS, path.id))


@api.post(
    "/resolve",
    _OPERATE,
    "resolveAlerts",
    summary="Resolve many alerts",
    responses=changed_answers("resolved", "resolved_at"),
)
@reads(body=Resolve)
def resolve_many(body: Resolve) -> Response:
    """All in one transaction; unknown and resolved alerts are skipped. `resolved_at` lets `/alerts/reopen` undo it."""
    columns = ALERTS.table.c
    wanted = select(columns.id).where(columns.is_resolved.is_(False), *ALERTS.within)
    if not body.all:
        wanted = wanted.where(columns.id.in_(body.ids))
    elif body.session_id:
        wanted = wanted.where(columns.session_id == body.session_id)
    wanted = wanted.order_by(columns.triggered_at).limit(MAX_ALERTS)
    statement = update(ALERTS.table).where(columns.id.in_(wanted), columns.is_resolved.is_(False))
    return change_many(statement.values(is_resolved=True), "resolved", "resolved_at")


@api.post(
    "/reopen",
    _OPERATE,
    "reopenAlerts",
    summary="Undo the resolving of many alerts",
    responses=changed_answers("reopened"),
)
@reads(body=Reopen)
def reopen(body: Reopen) -> Response:
    """Those whose condition has ended meanwhile stay resolved."""
    columns = ALERTS.table.c
    resolved_then = (columns.resolved_at == body.resolved_at, columns.is_resolved, _MAY_BE_OPEN)
    statement = update(ALERTS.table).where(*resolved_then, *ALERTS.within)
    return change_many(statement.values(is_resolved=False), "reopened")
