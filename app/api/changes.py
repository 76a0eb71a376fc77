"""Changes: the change log as pages, for clients and proxies that cannot stream.

Invariant: asking again and again with the cursor of the last answer gives exactly what a stream gives: every matching
change once, in order, or ``reset`` where that cannot be. A waiting client holds a place in the hub and no connection
of the database.
"""

from __future__ import annotations

import time
from typing import Annotated, Any, cast

import gevent
from flask import Response, current_app, request
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import AfterValidator, Field, WithJsonSchema

from app.api.errors import RETRY_AFTER_SECONDS, ProblemError
from app.api.requests import reads
from app.api.resource import problem_response
from app.api.schema import OptionalBoolean, OptionalId, Strict, absent
from app.changes import TOPICS, Batch, ChangeLog, Filter, Topic
from app.hub import Full, Hub
from app.subscription import Subscription

api = APIBlueprint("changes", __name__, url_prefix="/api", abp_tags=[Tag(name="sse", description="Live changes.")])
LAST = 2**63 - 1  # PostgreSQL counts no further
_CURSOR: dict[str, Any] = {"type": "integer", "minimum": 0, "maximum": LAST}
_ITEM = {"type": "object", "description": "A message as the stream sends it."}
_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["items", "cursor", "reset"],
    "properties": {
        "items": {"type": "array", "items": _ITEM},
        "cursor": {"type": "integer", "description": "To be sent as `after` next time."},
        "reset": {"type": "boolean", "description": "Changes are missing before the cursor: read the rows anew."},
    },
}


def _known(topics: str) -> str:
    if set(topics.split(",")) - set(TOPICS):
        raise ValueError(f"must be some of {', '.join(TOPICS)}, separated by commas")
    return topics


class ChangesQuery(Strict):
    """Which changes, and how long to wait for them."""

    after: Annotated[int | None, Field(ge=0, le=LAST), WithJsonSchema(_CURSOR)] = Field(
        default_factory=absent, description="The cursor to start behind; without it, now."
    )
    topics: Annotated[str, AfterValidator(_known)] = Field(
        default=",".join(TOPICS),
        description="Topics, separated by commas.",
        json_schema_extra={"pattern": f"^({'|'.join(TOPICS)})(,({'|'.join(TOPICS)}))*$"},
    )
    session_id: OptionalId = Field(default_factory=absent, description="Only changes of this session.")
    resolved: OptionalBoolean = Field(
        default_factory=absent, description="Only alerts that are, or were, resolved (or open)."
    )
    wait: float = Field(default=0, ge=0, le=60, description="Seconds to wait for a change where there is none.")


@api.get(
    "/changes",
    summary="The change log in pages, with waiting",
    responses={
        200: {"content": {"application/json": {"schema": _SCHEMA}}},
        400: problem_response(),
        503: problem_response(),
    },
)
@reads(query=ChangesQuery)
def read_changes(query: ChangesQuery) -> Response:
    hub: Hub = current_app.extensions["hub"]
    log: ChangeLog = current_app.extensions["change_log"]
    wanted = Filter(
        frozenset(cast(list[Topic], query.topics.split(","))),
        str(query.session_id) if query.session_id else None,
        query.resolved,
    )
    # First in line, then the log: what comes between the two wakes us.
    subscription = Subscription(wanted, request.remote_addr or "")
    try:
        hub.add(subscription)
    except Full as full:
        raise ProblemError(503, str(full), headers={"Retry-After": str(RETRY_AFTER_SECONDS)}) from full
    try:
        return _page(hub, log, subscription, query)
    finally:
        hub.remove(subscription)


def _page(hub: Hub, log: ChangeLog, subscription: Subscription, query: ChangesQuery) -> Response:
    deadline = time.monotonic() + query.wait
    _listen(hub, subscription)
    bounds = log.bounds()
    after = bounds.newest if query.after is None else query.after
    while True:
        if not bounds.reach(after):
            return _answer([], bounds.newest, reset=True)
        batch = _next(log, after, bounds.newest, subscription.filter)
        if not batch.bounds.reach(after):
            return _answer([], batch.bounds.newest, reset=True)
        after, left = batch.cursor, deadline - time.monotonic()
        if batch.changes or left <= 0 or hub.is_draining:
            return _answer([change.frame for change in batch.changes], after, reset=False)
        if subscription.is_live and not subscription.queue:  # nothing came while the log was read
            gevent.with_timeout(left, subscription.wait, timeout_value=None)
        _listen(hub, subscription)
        bounds = log.bounds()


def _listen(hub: Hub, subscription: Subscription) -> None:
    subscription.take()
    subscription.cursor = hub.cursor
    hub.go_live(subscription)


def _next(log: ChangeLog, after: int, newest: int, wanted: Filter) -> Batch:
    batch = log.read_after(after, newest, wanted)
    while not batch.changes and batch.cursor < newest and batch.bounds.reach(after):
        after = batch.cursor
        batch = log.read_after(after, newest, wanted)
    return batch


def _answer(frames: list[bytes], cursor: int, *, reset: bool) -> Response:
    items = b",".join([frame.partition(b"data: ")[2].strip() for frame in frames]).decode()
    body = f'{{"items":[{items}],"cursor":{cursor},"reset":{"true" if reset else "false"}}}'
    headers = {"Last-Event-ID": str(cursor), "Cache-Control": "no-store"}
    return Response(body, headers=headers, mimetype="application/json")
