"""Health and readiness, for load balancers and people.

Health touches nothing but the process: an unavailable database must not get workers killed. Ready says whether this
worker can do its work now: its Listener is live, and the database answers in time and can serve it.
"""

from __future__ import annotations

import logging

from flask import Response, jsonify

from app.api.current import current_feed
from app.postgres.probe import hindrance
from app.rest.document import Endpoints
from app.rest.problems import RETRY_AFTER_SECONDS, ProblemError
from app.rest.resource import problem_response
from app.rest.takes import ALWAYS, NOTHING
from app.rest.validation import reads

log = logging.getLogger(__name__)

# Load balancers ask every few seconds and give up soon.
_PROBE_SECONDS = 1.5

api = Endpoints("health", "/api", tag="health", about="Does it work?")


def _answer(example: dict[str, str]) -> dict[str, object]:
    properties = {name: {"type": "string"} for name in example}
    schema = {"type": "object", "properties": properties, "required": list(example)}
    return {"content": {"application/json": {"schema": schema, "example": example}}}


@api.get(
    "/health", ALWAYS, "readHealth", summary="Does the process answer?", responses={200: _answer({"status": "ok"})}
)
@reads()
def health() -> Response:
    return jsonify(status="ok")


@api.get(
    "/ready",
    NOTHING,
    "readReadiness",
    summary="Is the Listener live and does the database answer?",
    responses={200: _answer({"status": "ready", "listener": "live", "database": "ok"}), 503: problem_response()},
)
@reads()
def ready() -> Response:
    feed = current_feed()
    folder = feed.config.data_dir / "postgres" if feed.config.database_url is None else None
    reason = hindrance(feed.database_url, _PROBE_SECONDS, folder)
    states = {"listener": str(feed.listener.state), "database": "unavailable" if reason else "ok"}
    if states == {"listener": "live", "database": "ok"}:
        return jsonify(status="ready", **states)
    if reason:
        log.warning("not ready: the database %s", reason)
    seen = reason.partition(":")[0] or "answers"  # without what a driver says, which may name hosts and roles
    raise ProblemError(
        503,
        f"Not ready: the Listener is {states['listener']}, the database {seen}.",
        headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
        members=states,
    )
