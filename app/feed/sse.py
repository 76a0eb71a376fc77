"""The wire: the contents of a text/event-stream, as bytes.

Invariant: pure functions, no state, no I/O. A frame has no ``event:`` field, so ``EventSource.onmessage`` gets
every one; it carries an ``id:`` only when its caller knows that everything up to that cursor has been sent.
A cursor is opaque text on the wire.
``id:`` comes last in its frame: some clients take it as its line is read, and a connection cut within a frame must not
cost them the change.
docs/reference/protocol.md is this module in prose.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Literal

from app.postgres.cursor import Cursor

Status = Literal["live", "resumed", "reset"]


def change_frame(cursor: int, payload: str, timestamp: float) -> bytes:
    """The frame of one change.

    Args:
        cursor: the id of the change.
        payload: its JSON text as the change log holds it.
        timestamp: when it was recorded, in seconds since 1970; the frame of a change is the same bytes
            whether it comes live or out of the log.
    """
    if "\n" in payload or "\r" in payload:
        # A column of type json keeps its line breaks; in JSON text they are white space.
        payload = payload.replace("\r", " ").replace("\n", " ")
    return f'data: {{"type":"data","data":{payload},"timestamp":"{_iso(timestamp)}"}}\nid: {cursor}\n\n'.encode()


def connection_frame(
    topics: Iterable[str],
    cursor: int | Cursor,
    status: Status,
    timestamp: float | None = None,
    heartbeat_seconds: float | None = None,
) -> bytes:
    """The frame that tells the client its position: the first frame, and sent again whenever the position jumps.

    Args:
        heartbeat_seconds: how long the stream is silent at most; where it is unknown, the client has been told before.
    """
    data: dict[str, object] = {"topics": sorted(topics), "cursor": str(cursor), "status": status}
    if heartbeat_seconds is not None:
        data["heartbeat_seconds"] = heartbeat_seconds
    return _frame({"type": "connection", "data": data}, cursor=cursor, timestamp=timestamp)


def error_frame(code: str, message: str, cursor: int | Cursor | None = None) -> bytes:
    """The frame of a problem that does not end the stream. ``code`` is stable, ``message`` a sentence."""
    return _frame({"type": "error", "error": code, "message": message}, cursor=cursor)


def heartbeat_frame(cursor: int | Cursor | None) -> bytes:
    """The frame of a quiet stream, with the cursor that the client may resume from, if it is known."""
    return _frame({"type": "heartbeat"}, cursor=cursor)


def retry_field(seconds: float) -> bytes:
    """The wait before a reconnect, as the first line of a frame: between one and two times ``seconds``, at random.

    The jitter keeps the clients of a restarted server from coming back all at once. It is no frame of its own, because
    some clients take every block for an event, and choke on one without data.
    """
    return b"retry: %d\n" % (seconds * 1000 * (1 + random.random()))


def chunked(data: bytes) -> bytes:
    """``data`` as one chunk of HTTP/1.1's chunked transfer coding (RFC 9112, section 7.1)."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def with_cursor(frame: bytes, cursor: str | Cursor) -> bytes:
    """The frame of a change for a client that has seen some of what follows: with a cursor that says so."""
    return b"%b\nid: %b\n\n" % (frame.rpartition(b"\nid: ")[0], str(cursor).encode())


def _frame(message: dict[str, object], *, cursor: int | Cursor | None = None, timestamp: float | None = None) -> bytes:
    when = datetime.now(UTC).timestamp() if timestamp is None else timestamp
    text = json.dumps({**message, "timestamp": _iso(when)}, separators=(",", ":"))
    position = "" if cursor is None else f"id: {cursor}\n"
    return f"data: {text}\n{position}\n".encode()


def _iso(timestamp: float) -> str:
    seconds, microseconds = divmod(round(timestamp * 1e6), 1_000_000)
    return f"{_iso_second(seconds)}.{microseconds // 1000:03d}Z"


@lru_cache(maxsize=16)
def _iso_second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
