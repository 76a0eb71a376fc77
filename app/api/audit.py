"""The audit log: who did what, and how the endpoints that let others in write it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from flask import Response, g, jsonify, request
from pydantic import Field, WithJsonSchema
from sqlalchemy import Connection

from app.access import audit
from app.api.guard import current_credential
from app.api.login import plain
from app.postgres.tables import db
from app.rest.document import Endpoints
from app.rest.resource import problem_response
from app.rest.schema import Described, Strict, absent
from app.rest.takes import takes
from app.rest.validation import reads

api = Endpoints(
    "audit",
    "/api",
    tag="access",
    about="Who is let in.",
    responses={status: problem_response() for status in (400, 401, 403, 429, 500, 503)},
)
_ENTRY = "^[0-9]{1,18}$"


class AuditEntry(Described):
    """Who did what to which row from where."""

    id: str
    at: datetime
    actor: str
    address: str
    action: str
    subject: str
    details: dict[str, Any]


class AuditLog(Described):
    """Entries, the newest first."""

    items: list[AuditEntry]
    next: str | None


class AuditQuery(Strict):
    """Which entries of the audit log."""

    limit: int = Field(default=100, ge=1, le=1000)
    before: Annotated[str | None, WithJsonSchema({"type": "string", "pattern": _ENTRY})] = Field(
        default_factory=absent, pattern=_ENTRY, description="Those before this one: `next` of an answer."
    )


@api.get(
    "/audit", takes("admin"), "listAuditEntries", summary="Who did what, the newest first", responses={200: AuditLog}
)
@reads(query=AuditQuery)
def list_audit(query: AuditQuery) -> Response:
    with db.engine.connect() as connection:
        found = audit.list_entries(connection, query.limit + 1, int(query.before) if query.before else None)
    shown = found[: query.limit]
    return jsonify(items=[plain(row) for row in shown], next=shown[-1]["id"] if len(found) > query.limit else None)


def enter(connection: Connection, action: str, subject: str, **details: Any) -> None:  # noqa: ANN401 - JSON
    """Enter what this request does, in the transaction in which it does it."""
    audit.add_entry(connection, current_credential().actor, request.remote_addr or "", action, subject, **details)
    g.is_audited = True
