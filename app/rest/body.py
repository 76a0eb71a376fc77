"""The body of a request: whole, or refused.

Invariant: what a view gets is exactly what the client announced. A body that ends early, is malformed or too large is a
problem document, and nothing of it is used. The framework's own reading stops silently at its limit, and at the end of
a connection.
"""

from __future__ import annotations

from codecs import BOM_UTF8

import gevent
from flask import Flask, current_app, request

from app.rest.problems import ProblemError

# Set in the WSGI environment once the whole body has been read; the server closes a connection on which it was not.
IS_READ = "people_feed.body_is_read"
_RESERVED = "people_feed.reserved_bytes"
_PIECE_BYTES = 64 * 1024
# A camera's line of 1 Mbit/s brings 4 MB in this time; the largest body needs 5 Mbit/s.
_BODY_SECONDS = 30.0
# All bodies that a worker holds at once: four of the largest, and thousands of ordinary ones.
_BUDGET_BYTES = 64 * 1024 * 1024


class _TooSlow(Exception):
    """The client takes too long to send the body."""


class _Budget:
    """The bytes of all bodies that this worker holds."""

    used = 0


def register_bodies(app: Flask) -> None:
    """Release what a request's body has reserved once the request is over."""

    @app.teardown_request
    def release(_error: BaseException | None) -> None:
        _Budget.used -= request.environ.pop(_RESERVED, 0)


def _reserve(size: int) -> None:
    if _Budget.used + size > _BUDGET_BYTES:
        raise ProblemError(
            503, "The server holds as many uploads as it can; please try again shortly.", headers={"Retry-After": "2"}
        )
    _Budget.used += size
    request.environ[_RESERVED] = request.environ.get(_RESERVED, 0) + size


def read_body(max_bytes: int | None = None) -> bytes:
    """The body, without the byte order mark that files from Windows may begin with.

    Args:
        max_bytes: how long it may be; the app's MAX_CONTENT_LENGTH unless given.

    Raises:
        ProblemError: 400, it ended early or is malformed; 408, it is too slow; 413, it is too large; 503, this worker
            holds too many bodies.
    """
    most = min(max_bytes or current_app.config["MAX_CONTENT_LENGTH"], current_app.config["MAX_CONTENT_LENGTH"])
    announced = request.content_length
    if announced is not None and announced > most:
        raise _too_large(most)
    if announced is None and not request.environ.get("wsgi.input_terminated"):
        announced = 0
    try:
        with gevent.Timeout(_BODY_SECONDS, _TooSlow):
            body = _read(announced, most)
    except (_TooSlow, TimeoutError):  # the whole takes too long, or the server's socket has waited for any of it
        raise ProblemError(408, "The body did not arrive in time; nothing was stored.") from None
    if announced is not None and len(body) < announced:
        raise ProblemError(400, f"The body ended after {len(body)} of {announced} announced bytes; nothing was stored.")
    request.environ[IS_READ] = True
    return body.removeprefix(BOM_UTF8)


def _read(announced: int | None, most: int) -> bytes:
    stream, pieces, size = request.environ["wsgi.input"], [], 0
    while announced is None or size < announced:
        wanted = _PIECE_BYTES if announced is None else min(_PIECE_BYTES, announced - size)
        try:
            piece: bytes = stream.read(wanted)
        except (_TooSlow, TimeoutError):
            raise
        except Exception as error:  # the server's own, of which WSGI has no common class
            raise ProblemError(400, f"The body is malformed: {error or 'it ended early'}.") from error
        if not piece:
            break
        pieces.append(piece)
        size += len(piece)
        if size > most:
            raise _too_large(most)
        _reserve(len(piece))
        gevent.sleep(0)  # a fast sender must not hold up the streams
    return b"".join(pieces)


def _too_large(most: int) -> ProblemError:
    return ProblemError(413, f"The body may have {most} bytes at most.")
