"""Tickets: let a plain EventSource of another origin open one stream."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from flask import Response, g, jsonify
from pydantic import ConfigDict

from app.access.tickets import SECONDS, new_ticket
from app.api.current import current_access
from app.api.guard import current_credential, may_hear, refuse
from app.api.subscribe import TopicsQuery, filter_of
from app.rest.document import Endpoints
from app.rest.resource import problem_response
from app.rest.schema import Described, Given
from app.rest.takes import takes
from app.rest.validation import reads

api = Endpoints(
    "tickets",
    "/api",
    tag="access",
    about="Who is let in.",
    responses={status: problem_response() for status in (400, 401, 403, 429, 500, 503)},
)


class Ticket(Described):
    """A ticket for one stream."""

    ticket: str
    expires_at: datetime


class NewTicket(TopicsQuery, Given):
    """The stream that the ticket is for, in the words of its query."""

    model_config = ConfigDict(json_schema_extra={"example": {"topics": "movements,alerts"}})


@api.post(
    "/tickets",
    takes("read", within="rows"),
    "createTicket",
    summary="A ticket for one stream, good for a minute",
    responses={200: Ticket, **{status: problem_response() for status in (413, 415, 422)}},
)
@reads(body=NewTicket)
def create_ticket(body: NewTicket) -> Response:
    """For a plain EventSource of another origin, as `ticket=` beside the same topics, session_id and resolved."""
    credential, wanted = current_credential(), filter_of(body)
    if not may_hear(credential, wanted):
        raise refuse(403, "not_allowed", "This key is restricted to some sessions: name one of them by session_id.")
    given = body.model_dump(mode="json", exclude_unset=True)
    stream = {
        "topics": sorted(given["topics"].split(",")) if "topics" in given else [],
        "session_id": given.get("session_id"),
        "resolved": None if given.get("resolved") is None else str(given["resolved"]).lower(),
    }
    ticket = new_ticket(current_access().secret, credential.kind, credential.id, stream)
    expires_at = datetime.now(UTC) + timedelta(seconds=SECONDS)
    g.is_audited = True
    response = jsonify(ticket=ticket, expires_at=expires_at.isoformat(timespec="seconds"))
    response.headers["Cache-Control"] = "no-store"
    return response
