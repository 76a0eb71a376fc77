"""The peer from asyncio: asyncpg listens, sse-starlette sends; a queue for each client, as its documentation has it."""

from __future__ import annotations

import asyncio
import json
import os
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route

queues: defaultdict[str, set[asyncio.Queue[ServerSentEvent]]] = defaultdict(set)


def heard(_connection: object, _process: int, _channel: str, payload: str) -> None:
    change = json.loads(payload)["data"]
    event = ServerSentEvent(payload, id=str(change["id"]), sep="\n")
    for key in ("all", change["data"]["session_id"]):
        for queue in queues.get(key, ()):
            queue.put_nowait(event)


async def stream(request: Request) -> EventSourceResponse:
    async def events() -> AsyncIterator[ServerSentEvent]:
        queue: asyncio.Queue[ServerSentEvent] = asyncio.Queue()
        key = request.query_params.get("session", "all")
        queues[key].add(queue)
        try:
            while True:
                yield await queue.get()
        finally:
            queues[key].discard(queue)

    return EventSourceResponse(events(), sep="\n")


@asynccontextmanager
async def listening(_app: Starlette) -> AsyncIterator[None]:
    connection = await asyncpg.connect(os.environ["PEER_DATABASE_URL"])
    await connection.add_listener("peer", heard)
    yield
    await connection.close()


app = Starlette(routes=[Route("/sse", stream)], lifespan=listening)
