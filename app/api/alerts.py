"""Alerts: what was raised and is still open; taking in hand, muting and resolving it, and the undoing of each."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Literal
from uuid import UUID

from flask import Response
from pydantic import ConfigDict, Field, WithJsonSchema, model_validator
from sqlalchemy import ColumnElement, Select, func, or_, select, text, update

from app.api.guard import current_credential
from app.postgres.tables import Alert, db
from app.rest.endpoints import Needs, resource_endpoints
from app.rest.resource import Resource, problem_response
from app.rest.rows import change_many, changed_answers, read_row, row_response
from app.rest.schema import Id, OptionalId, Strict, String, Time, Whole, absent, row_schema
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
MAX_MUTE_MINUTES = 7 * 24 * 60
# An alert of a threshold is open for as long as its condition lasts: one whose condition is over stays resolved.
_MAY_BE_OPEN = text("(threshold_id is null or exists (select from alert_states s where s.alert_id = alert_logs.id))")


_True = Annotated[Literal[True] | None, WithJsonSchema({"type": "boolean", "const": True})]


def _choice(**example: str | int) -> ConfigDict:
    return ConfigDict(
        json_schema_extra={
            "oneOf": [
                {"required": ["ids"], "not": {"anyOf": [{"required": ["all"]}, {"required": ["session_id"]}]}},
                {"required": ["all"], "not": {"required": ["ids"]}},
            ],
            "example": {"all": True, **example},
        }
    )


class Resolve(Strict):
    """Which alerts: these, or all that are open."""

    model_config = _choice()

    ids: list[Id] = Field(default_factory=list, max_length=MAX_ALERTS)
    all: _True = Field(default_factory=absent, description=f"The oldest {MAX_ALERTS} that are open.")
    session_id: OptionalId = Field(default_factory=absent, description="With `all`: those of this session.")

    @model_validator(mode="after")
    def _one_of_both(self) -> Resolve:
        given = self.model_fields_set & {"ids", "all", "session_id"}
        is_null = "all" in given and not self.all
        is_null |= "session_id" in given and not self.session_id
        if is_null or given not in ({"ids"}, {"all"}, {"all", "session_id"}):
            raise ValueError('should be {"ids": [...]}, or {"all": true} with or without a session_id')
        return self

    def chosen(self) -> Select[UUID]:
        """The ids of these alerts."""
        columns = ALERTS.table.c
        wanted = select(columns.id).where(*ALERTS.within)
        if not self.all:
            return wanted.where(columns.id.in_(self.ids))
        wanted = wanted.where(columns.is_resolved.is_(False))
        if self.session_id:
            wanted = wanted.where(columns.session_id == self.session_id)
        return wanted.order_by(columns.triggered_at).limit(MAX_ALERTS)


class Acknowledge(Resolve):
    """Which alerts somebody has in hand now, and what they say about it."""

    model_config = _choice(note="Called the lift's service; they come at 14:00.")

    note: String | None = Field(default_factory=absent, description="Takes the place of a note that is there.")


class Mute(Resolve):
    """Whose kinds to mute, and for how long."""

    model_config = _choice(minutes=60)

    minutes: Whole = Field(ge=1, le=MAX_MUTE_MINUTES)


class Reopen(Strict):
    """Which alerts to open again: those of one answer of `/alerts/resolve`."""

    model_config = ConfigDict(json_schema_extra={"example": {"resolved_at": "2026-11-26T10:42:07.123456Z"}})

    resolved_at: Time


class Unacknowledge(Strict):
    """Which alerts nobody has in hand after all: those of one answer of `/alerts/acknowledge`."""

    model_config = ConfigDict(json_schema_extra={"example": {"acknowledged_at": "2026-11-26T10:42:07.123456Z"}})

    acknowledged_at: Time


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
    statement = update(ALERTS.table).where(columns.id.in_(body.chosen()), columns.is_resolved.is_(False))
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


@api.post(
    "/acknowledge",
    _OPERATE,
    "acknowledgeAlerts",
    summary="Take many alerts in hand",
    responses=changed_answers("acknowledged", "acknowledged_at"),
)
@reads(body=Acknowledge)
def acknowledge(body: Acknowledge) -> Response:
    """Those that are open and that nobody has in hand yet. The name is that of the user or key."""
    columns = ALERTS.table.c
    statement = update(ALERTS.table).where(
        columns.id.in_(body.chosen()), columns.is_resolved.is_(False), columns.acknowledged_at.is_(None)
    )
    values: dict[str, Any] = {"acknowledged_at": func.now(), "acknowledged_by": current_credential().name}
    if body.note:
        values["note"] = body.note
    return change_many(statement.values(values), "acknowledged", "acknowledged_at")


@api.post(
    "/unacknowledge",
    _OPERATE,
    "unacknowledgeAlerts",
    summary="Undo the taking in hand of many alerts",
    responses=changed_answers("unacknowledged"),
)
@reads(body=Unacknowledge)
def unacknowledge(body: Unacknowledge) -> Response:
    """Their notes go, too."""
    columns = ALERTS.table.c
    statement = update(ALERTS.table).where(columns.acknowledged_at == body.acknowledged_at, *ALERTS.within)
    return change_many(statement.values(acknowledged_at=None, acknowledged_by=None, note=None), "unacknowledged")


@api.post(
    "/mute",
    _OPERATE,
    "muteAlerts",
    summary="Mute the kinds of many alerts",
    responses=changed_answers("muted", "muted_at"),
)
@reads(body=Mute)
def mute(body: Mute) -> Response:
    """Kind: type and session. All of these that are open are muted, and those that open meanwhile."""
    columns = ALERTS.table.c
    statement = update(ALERTS.table).where(
        or_(columns.is_resolved.is_(False), columns.id.in_(body.chosen())), _is_of_their_kinds(body)
    )
    until = func.now() + timedelta(minutes=body.minutes)
    return change_many(statement.values(muted_until=until), "muted", "muted_at")


@api.post(
    "/unmute",
    _OPERATE,
    "unmuteAlerts",
    summary="Let the kinds of many alerts be heard again",
    responses=changed_answers("unmuted"),
)
@reads(body=Resolve)
def unmute(body: Resolve) -> Response:
    """All alerts of these kinds."""
    columns = ALERTS.table.c
    statement = update(ALERTS.table).where(columns.muted_until > func.now(), _is_of_their_kinds(body))
    return change_many(statement.values(muted_until=None), "unmuted")


def _is_of_their_kinds(body: Resolve) -> ColumnElement[bool]:
    columns, theirs = ALERTS.table.c, ALERTS.table.alias("theirs")
    return (
        select(theirs.c.id)
        .where(
            theirs.c.id.in_(body.chosen()),
            theirs.c.alert_type == columns.alert_type,
            theirs.c.session_id.is_not_distinct_from(columns.session_id),
        )
        .exists()
    )
