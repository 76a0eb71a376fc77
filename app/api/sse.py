"""The streams: /api/sse and one endpoint per topic.

Invariant: bad values are 400 and a full server is 503, both before the stream begins. From then on everything,
including an unknown cursor, is told in the stream, because EventSource gives up for good on any status but 200.
"""

from __future__ import annotations

from typing import Any, Literal

from flask import Response, request
from pydantic import ConfigDict, Field

from app.api.current import current_feed
from app.api.subscribe import AlertQuery, OptionalCursor, SessionQuery, TopicsQuery, filter_of, subscribe
from app.feed.change import TOPICS, Filter, Topic
from app.feed.client_socket import socket_of
from app.feed.sender import Sender
from app.feed.stream import Stream
from app.postgres.cursor import Cursor
from app.rest.document import Endpoints
from app.rest.resource import problem_response
from app.rest.schema import Strict, absent
from app.rest.takes import takes
from app.rest.validation import reads

api = Endpoints("sse", "/api/sse", tag="sse", about="Live changes.")

_TAKES = takes("read", within="query", is_stream=True)
_HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    # Proxies must not store, compress or buffer what has to arrive at once.
    "Cache-Control": "no-cache, no-transform",
    "X-Accel-Buffering": "no",
}
_ANSWER: dict[int, Any] = {
    200: {
        "description": "A stream of server-sent events, see docs/reference/protocol.md.",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    },
    400: problem_response(),
    503: problem_response(),
}


class _Resume(Strict):
    """Where to resume. The last base of a query, because the last one's configuration counts."""

    # Deliberate: EventSource libraries add parameters of their own when they reconnect, and a 400 ends them for good.
    model_config = ConfigDict(extra="ignore")

    last_event_id: OptionalCursor = Field(
        default_factory=absent, description="Resume after this cursor. The header Last-Event-ID takes precedence."
    )
    ticket: OptionalCursor = Field(
        default_factory=absent, description="From `POST /api/tickets`; lets a plain EventSource of another origin in."
    )
    lastEventId: OptionalCursor = Field(  # noqa: N815 - as polyfills of EventSource spell it
        default_factory=absent, description="The same, as polyfills of EventSource send it; takes precedence."
    )


class StreamQuery(SessionQuery, _Resume):
    """What a client may ask of a stream of one topic."""


class AlertStreamQuery(AlertQuery, _Resume):
    """What a client may ask of the stream of alerts."""


class TopicsStreamQuery(TopicsQuery, _Resume):
    """What a client may ask of a stream of several topics."""


@api.get("", _TAKES, "streamTopics", summary="Several topics on one connection", responses=_ANSWER)
@reads(query=TopicsStreamQuery)
def stream_many(query: TopicsStreamQuery) -> Response:
    return _respond(filter_of(query), query)


def _add_topic(topic: Topic, schema: type[_Resume]) -> None:
    def view(query: StreamQuery) -> Response:
        return _respond(filter_of(query, topic), query)

    view.__name__ = f"stream_{topic}"
    name = f"stream{topic.capitalize()}"
    api.get(f"/{topic}", _TAKES, name, summary=f"Changes of {topic}", responses=_ANSWER)(reads(query=schema)(view))


for _topic in TOPICS:
    _add_topic(_topic, AlertStreamQuery if _topic == "alerts" else StreamQuery)


def _respond(wanted: Filter, query: _Resume) -> Response:
    if request.method == "HEAD":
        return Response(headers=_HEADERS)
    feed = current_feed()
    subscription = subscribe(wanted)
    stream = Stream(
        feed.hub,
        feed.change_log,
        subscription,
        _asked(query),
        heartbeat_seconds=feed.config.heartbeat_seconds,
        retry_seconds=feed.config.retry_seconds,
    )
    body = Sender(feed.hub, subscription, stream, socket_of(request.environ), stuck_seconds=feed.config.stuck_seconds)
    return Response(body, headers=_HEADERS, direct_passthrough=True)


def _asked(query: _Resume) -> Cursor | None | Literal["unknown"]:
    # A polyfill keeps the URL that it was given and adds where it has come to.
    text = request.headers.get("Last-Event-ID") or query.lastEventId or query.last_event_id
    if not text:
        return None
    return Cursor.read(text) or "unknown"
