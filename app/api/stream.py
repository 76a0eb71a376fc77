"""The streams: /api/sse and one endpoint per topic.

Invariant: bad parameters are 400 and a full server is 503, both before the stream begins; from then on everything,
also an unknown cursor, is told in the stream, because EventSource gives up for good on any status but 200.
"""

from __future__ import annotations

import errno
import logging
import random
from collections.abc import Iterator
from typing import Annotated, Any, Literal, cast

from flask import Response, current_app, request
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import Field, WithJsonSchema, field_validator

from app.api.errors import ProblemError
from app.api.requests import reads
from app.api.resource import problem_response
from app.api.schema import OptionalBoolean, OptionalId, Strict, absent
from app.changes import TOPICS, Filter, Topic
from app.config import Config
from app.courier import Courier
from app.hub import Full, Hub
from app.outlet import Outlet, socket_of
from app.sse import parse_cursor
from app.stream import Stream
from app.subscription import Subscription

log = logging.getLogger(__name__)

api = APIBlueprint("sse", __name__, url_prefix="/api/sse", abp_tags=[Tag(name="sse", description="Live changes.")])

_HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    # Proxies may neither keep, nor compress, nor hold back what must arrive at once.
    "Cache-Control": "no-cache, no-transform",
    "X-Accel-Buffering": "no",
}
_ANSWER: dict[Any, Any] = {
    200: {
        "description": "A stream of server-sent events, see docs/protocol.md.",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    },
    400: problem_response(),
    503: problem_response(),
}


# Deliberate: any text; a cursor that means nothing here is told in the stream.
OptionalText = Annotated[str | None, WithJsonSchema({"type": "string"})]


class StreamQuery(Strict):
    """What a client may ask of a stream."""

    session_id: OptionalId = Field(default_factory=absent, description="Only changes of this session.")
    last_event_id: OptionalText = Field(
        default_factory=absent, description="Resume after this cursor. The header Last-Event-ID goes before it."
    )


class AlertStreamQuery(StreamQuery):
    resolved: OptionalBoolean = Field(
        default_factory=absent, description="Only alerts that are, or were, resolved (or open)."
    )


class ManyStreamQuery(AlertStreamQuery):
    topics: str = Field(
        default=",".join(TOPICS),
        description="Topics, separated by commas.",
        json_schema_extra={"pattern": f"^({'|'.join(TOPICS)})(,({'|'.join(TOPICS)}))*$"},
    )

    @field_validator("topics")
    @classmethod
    def _known(cls, topics: str) -> str:
        unknown = sorted(set(topics.split(",")) - set(TOPICS))
        if unknown:
            raise ValueError(f"must be some of {', '.join(TOPICS)}, separated by commas")
        return topics


@api.get("", summary="Several topics on one connection", responses=_ANSWER)
@reads(query=ManyStreamQuery)
def stream_many(query: ManyStreamQuery) -> Response:
    return _respond(query, frozenset(cast(list[Topic], query.topics.split(","))), query.resolved)


def _add_topic(topic: Topic, schema: type[StreamQuery]) -> None:
    def view(query: StreamQuery) -> Response:
        return _respond(query, frozenset([topic]), getattr(query, "resolved", None))

    view.__name__ = f"stream_{topic}"
    api.get(f"/{topic}", summary=f"Changes of {topic}", responses=_ANSWER)(reads(query=schema)(view))


for _topic in TOPICS:
    _add_topic(_topic, AlertStreamQuery if _topic == "alerts" else StreamQuery)


def _respond(query: StreamQuery, topics: frozenset[Topic], resolved: bool | None) -> Response:
    if request.method == "HEAD":
        return Response(headers=_HEADERS)
    config: Config = current_app.extensions["config"]
    hub: Hub = current_app.extensions["hub"]
    wanted = Filter(topics, str(query.session_id) if query.session_id else None, resolved)
    subscription = Subscription(
        wanted, request.remote_addr or "", is_chunked=request.environ["SERVER_PROTOCOL"] != "HTTP/1.0"
    )
    try:
        hub.add(subscription)
    except Full as full:
        raise ProblemError(503, str(full), headers={"Retry-After": str(random.randint(2, 10))}) from full
    stream = Stream(
        hub,
        current_app.extensions["change_log"],
        subscription,
        _asked(query),
        heartbeat_seconds=config.heartbeat_seconds,
        retry_seconds=config.retry_seconds,
    )
    body = Body(hub, subscription, stream, request.environ, config.stuck_seconds)
    return Response(body, headers=_HEADERS, direct_passthrough=True)


def _asked(query: StreamQuery) -> int | None | Literal["unknown"]:
    text = request.headers.get("Last-Event-ID") or query.last_event_id
    if not text:
        return None
    cursor = parse_cursor(text)
    return "unknown" if cursor is None else cursor


class HandedOver(OSError):
    """The connection is no longer the server's. gunicorn lets one that is gone go without a word."""

    def __init__(self) -> None:
        super().__init__(errno.ENOTCONN, "the stream goes on without the server")


class Body:
    """The body of a response, as WSGI iterates and closes it.

    The first bytes go out by way of the server, with the head of the response. Then, where the server gives its socket
    away, a courier takes it and the request ends: nothing of the server, of Flask, or of this greenlet is kept for as
    long as the stream lives. Elsewhere the body goes on, and this greenlet waits for what comes.
    """

    def __init__(
        self, hub: Hub, subscription: Subscription, stream: Stream, environ: dict[str, Any], stuck_seconds: float
    ) -> None:
        self._hub = hub
        self._subscription = subscription
        self._stream = stream
        self._environ = environ
        self._stuck_seconds = stuck_seconds
        self._is_handed_over = False

    def __iter__(self) -> Iterator[bytes]:
        subscription, stream = self._subscription, self._stream
        yield stream.first()
        sock = socket_of(self._environ)
        if sock is not None:
            outlet = Outlet(
                sock,
                is_chunked=subscription.is_chunked,
                stuck_seconds=self._stuck_seconds,
                on_gone=subscription.leave,
            )
            courier = Courier(self._hub, subscription, stream, outlet)
            self._is_handed_over = True  # not sooner: where a dead socket refuses, the subscription is given back here
            # Who has to catch up may take long; who has not is at rest at once, without a greenlet of its own.
            courier.run() if stream.is_new else courier.start()
            raise HandedOver
        while (data := stream.next()) is not None:
            if data:
                yield data
            elif stream.may_rest:
                subscription.wait()

    def close(self) -> None:
        """Give the subscription back, unless it has been handed over. Called also if the client left at once."""
        if not self._is_handed_over:
            self._hub.remove(self._subscription)
            log.debug("a stream of %s ended: %s", self._subscription.address, self._subscription.gone or "drained")
