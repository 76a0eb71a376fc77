"""Subscribing: the query, the filter and the refusal that streams and the long poll share."""

from __future__ import annotations

import random
from typing import Annotated, cast

from flask import g, request
from pydantic import AfterValidator, Field, WithJsonSchema

from app.api.current import current_feed
from app.feed.change import TOPICS, Filter, Topic
from app.feed.hub import Full
from app.feed.subscription import Subscription
from app.rest.problems import ProblemError
from app.rest.schema import OptionalBoolean, OptionalId, Strict, absent

# In seconds, at random, so that refused clients do not all return at once.
_RETRY_AFTER_SECONDS = (2, 10)


def _known(topics: str) -> str:
    if set(topics.split(",")) - set(TOPICS):
        raise ValueError(f"must be some of {', '.join(TOPICS)}, separated by commas")
    return topics


# Deliberate: any text; a cursor that means nothing here is answered with a reset, never refused.
OptionalCursor = Annotated[str | None, WithJsonSchema({"type": "string"})]


class SessionQuery(Strict):
    """Whose changes."""

    session_id: OptionalId = Field(default_factory=absent, description="Only changes of this session.")


class AlertQuery(SessionQuery):
    """Whose changes, and which alerts."""

    resolved: OptionalBoolean = Field(
        default_factory=absent, description="Only alerts that are, or were, resolved (or open)."
    )


class TopicsQuery(AlertQuery):
    """Which changes of which topics."""

    topics: Annotated[str, AfterValidator(_known)] = Field(
        default=",".join(TOPICS),
        description="Topics, separated by commas.",
        json_schema_extra={"pattern": f"^({'|'.join(TOPICS)})(,({'|'.join(TOPICS)}))*$"},
    )


def filter_of(query: SessionQuery, topic: Topic | None = None) -> Filter:
    """The filter that a query asks for; ``topic`` where the path names one."""
    topics = [topic] if topic else cast(list[Topic], cast(TopicsQuery, query).topics.split(","))
    session_id = str(query.session_id) if query.session_id else None
    return Filter(frozenset(topics), session_id, getattr(query, "resolved", None))


def subscribe(wanted: Filter) -> Subscription:
    """A subscription of the client of this request, registered with the hub, which has to get it back.

    Raises:
        ProblemError: 503, the worker or the client's address is at its limit.
    """
    is_chunked = request.environ["SERVER_PROTOCOL"] != "HTTP/1.0"
    subscription = Subscription(wanted, request.remote_addr or "", is_chunked=is_chunked, owner=g.get("owner"))
    try:
        current_feed().hub.add(subscription)
    except Full as full:
        retry_after = str(random.randint(*_RETRY_AFTER_SECONDS))
        raise ProblemError(503, str(full), headers={"Retry-After": retry_after}) from full
    return subscription
