"""The long poll: the change log as pages, for clients and proxies that cannot stream.

Invariant: asking again and again with the cursor of the last answer gives exactly what a stream gives: every matching
change once, in order, or ``reset`` where that is impossible. A waiting client holds a place in the hub and no database
connection.
"""

from __future__ import annotations

import time
from typing import Any

from flask import Response
from pydantic import Field

from app.api.current import current_feed
from app.api.guard import refuse
from app.api.subscribe import OptionalCursor, TopicsQuery, filter_of, subscribe
from app.feed.change import Filter
from app.feed.feed import Feed
from app.feed.log import Batch, ChangeLog
from app.feed.subscription import Subscription
from app.postgres.cursor import Cursor
from app.rest.document import Endpoints
from app.rest.resource import problem_response
from app.rest.schema import absent
from app.rest.takes import takes
from app.rest.validation import reads

api = Endpoints("changes", "/api", tag="sse", about="Live changes.")
_ITEM = {"type": "object", "description": "A message as the stream sends it."}
_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["items", "cursor", "reset"],
    "properties": {
        "items": {"type": "array", "items": _ITEM},
        "cursor": {"type": "string", "description": "Opaque. Send it as `after` next time."},
        "reset": {"type": "boolean", "description": "Changes before the cursor are missing: read the rows again."},
    },
}


class ChangesQuery(TopicsQuery):
    """Which changes, and how long to wait for them."""

    after: OptionalCursor = Field(
        default_factory=absent, description="The cursor to start after; without it, from now on."
    )
    wait: float = Field(default=0, ge=0, le=60, description="Seconds to wait if there is no change yet.")


@api.get(
    "/changes",
    takes("read", within="query"),
    "listChanges",
    summary="The change log in pages, with waiting",
    responses={
        200: {"content": {"application/json": {"schema": _SCHEMA}}},
        400: problem_response(),
        503: problem_response(),
    },
)
@reads(query=ChangesQuery)
def read_changes(query: ChangesQuery) -> Response:
    feed = current_feed()
    # Subscribe first, then read the log: a change that comes between the two wakes us.
    subscription = subscribe(filter_of(query))
    try:
        return _page(feed, subscription, query)
    finally:
        feed.hub.remove(subscription)


def _page(feed: Feed, subscription: Subscription, query: ChangesQuery) -> Response:
    hub, log, deadline = feed.hub, feed.change_log, time.monotonic() + query.wait
    _follow(feed, subscription)
    bounds = log.bounds()
    known = Cursor.read(query.after) if query.after else Cursor(bounds.newest)
    while True:
        if known is None or not bounds.floor <= known.upto <= known.newest <= bounds.newest:
            return _answer([], Cursor(bounds.newest), reset=True)
        batch = _next(log, known, bounds.newest, subscription.filter)
        if not batch.is_continuous:
            return _answer([], Cursor(log.bounds().newest), reset=True)
        known, left = known.advanced(batch.cursor), deadline - time.monotonic()
        if batch.changes or left <= 0 or hub.is_draining:
            return _answer([change.frame for change in batch.changes], known, reset=False)
        if subscription.is_live and not subscription.queue:  # nothing came while the log was read
            subscription.wait(left)
        if subscription.is_expelled:
            raise refuse(401, "access_ended", "What let you in has ended or changed meanwhile.")
        _follow(feed, subscription)
        bounds = log.bounds()


def _follow(feed: Feed, subscription: Subscription) -> None:
    subscription.take()
    subscription.advance(feed.hub.cursor)
    feed.hub.go_live(subscription)


def _next(log: ChangeLog, known: Cursor, newest: int, wanted: Filter) -> Batch:
    """The next matching changes that the client does not know."""
    after = known.upto
    while True:
        batch = log.read_after(after, newest, wanted)
        new = [change for change in batch.changes if change.id not in known.beyond]
        if new or batch.cursor >= newest or not batch.is_continuous:
            return batch._replace(changes=new)
        after = batch.cursor


def _answer(frames: list[bytes], cursor: Cursor, *, reset: bool) -> Response:
    items = b",".join([frame.partition(b"data: ")[2].partition(b"\n")[0] for frame in frames]).decode()
    body = f'{{"items":[{items}],"cursor":"{cursor}","reset":{"true" if reset else "false"}}}'
    headers = {"Last-Event-ID": str(cursor), "Cache-Control": "no-store"}
    return Response(body, headers=headers, mimetype="application/json")
