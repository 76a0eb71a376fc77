"""Health and readiness, for load balancers and people.

Health touches nothing but the process: an unavailable database must not get workers killed. Ready says whether this
worker can do its work now: its Listener is live and the database answers.
"""

from __future__ import annotations

import logging

from flask import Response, jsonify
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from app.api.current import current_feed
from app.postgres.tables import db
from app.rest.document import Endpoints
from app.rest.problems import RETRY_AFTER_SECONDS, ProblemError
from app.rest.resource import problem_response
from app.rest.validation import reads

log = logging.getLogger(__name__)

api = Endpoints("health", "/api", tag="health", about="Does it work?")


def _answer(example: dict[str, str]) -> dict[str, object]:
    properties = {name: {"type": "string"} for name in example}
    schema = {"type": "object", "properties": properties, "required": list(example)}
    return {"content": {"application/json": {"schema": schema, "example": example}}}


@api.get("/health", summary="Does the process answer?", responses={200: _answer({"status": "ok"})})
@reads()
def health() -> Response:
    return jsonify(status="ok")


@api.get(
    "/ready",
    summary="Is the Listener live and does the database answer?",
    responses={200: _answer({"status": "ready", "listener": "live", "database": "ok"}), 503: problem_response()},
)
@reads()
def ready() -> Response:
    states = {"listener": str(current_feed().listener.state), "database": _database_state()}
    if states == {"listener": "live", "database": "ok"}:
        return jsonify(status="ready", **states)
    raise ProblemError(
        503,
        f"Not ready: the listener is {states['listener']}, the database is {states['database']}.",
        headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
        members=states,
    )


def _database_state() -> str:
    try:
        with db.engine.connect() as connection:
            connection.execute(text("select 1"))
    except SQLAlchemyError as error:
        log.warning("not ready: %s", error)
        return "unavailable"
    return "ok"
