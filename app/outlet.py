"""Outlet: the writing end of one client's socket.

Invariant: the bytes of a response go out in order and never in pieces of each other. Two parties write, the hub
(``offer``, without blocking) and the stream's own greenlet (``write``, which may wait); the hub does so only while that
greenlet sleeps and nothing is unsent, and neither yields between looking and sending. What a socket does not take
of an offer stays in ``unsent``, which goes out before anything else.

The response's head and its end are gunicorn's; between them we write to the socket ourselves, framed as the response
is: in chunks for HTTP/1.1, bare for HTTP/1.0.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import gevent
from gevent.socket import wait_write

from app.sse import chunked

# The kernel would take 4 MB for a client that reads nothing; a live feed wants the client to lag here, where
# memory is bounded and shared. 128 KiB is a second of a hundred thousand bytes even on a slow line.
_SEND_BUFFER_BYTES = 128 * 1024
# An EventSource sends nothing after its request. A little noise is forgiven, a flood is not.
_NOISE_BYTES = 64 * 1024


class Gone(Exception):
    """The client has left, or takes nothing any more."""


class Outlet:
    """The socket of one stream. ``on_gone`` is called once, when the client closes or misbehaves."""

    def __init__(
        self, sock: socket.socket, *, is_chunked: bool, stuck_seconds: float, on_gone: Callable[[str], None]
    ) -> None:
        self.unsent: bytes | memoryview = b""
        self.is_chunked = is_chunked
        self._socket = sock
        self._stuck_seconds = stuck_seconds
        self._on_gone = on_gone
        self._noise = 0
        # The gevent socket waits where the one beneath it says that it would. Bound once: an offer costs 2 us in all.
        self._send_now: Callable[[bytes | memoryview], int] = sock._sock.send  # type: ignore[attr-defined]
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
        self._watcher = gevent.get_hub().loop.io(sock.fileno(), 1)
        self._watcher.start(self._look)

    @classmethod
    def of_request(
        cls, environ: Mapping[str, Any], stuck_seconds: float, on_gone: Callable[[str], None]
    ) -> Outlet | None:
        """The outlet of a WSGI request, or None where the server's own way of writing is the only one."""
        sock = environ.get("gunicorn.socket")
        if sock is None or isinstance(sock, ssl.SSLSocket):
            return None
        is_chunked = environ["SERVER_PROTOCOL"] == "HTTP/1.1"
        return cls(sock, is_chunked=is_chunked, stuck_seconds=stuck_seconds, on_gone=on_gone)

    def offer(self, data: bytes) -> None:
        """Send what the socket takes at once, and keep the rest. ``data`` is framed already.

        Raises:
            Gone: the socket is closed.
        """
        sent = self._send(data)
        if sent < len(data):
            self.unsent = data[sent:]

    def write(self, data: bytes = b"") -> None:
        """Send what is unsent and then ``data``; wait until the socket has taken all of it.

        Raises:
            Gone: the socket is closed, or took not a byte for ``stuck_seconds``.
        """
        left = memoryview(bytes(self.unsent) + (self.framed(data) if data else b""))
        while left:
            left = left[self._send(left) :]
            self.unsent = left
            if left:
                self._wait()
        self.unsent = b""

    def framed(self, data: bytes) -> bytes:
        """``data`` as it stands on this connection."""
        return chunked(data) if self.is_chunked else data

    def cut(self) -> None:
        """End the connection, whatever is unsent: who waits to write to it learns that the client is gone."""
        with suppress(OSError):  # closed already is what we want
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Stop watching the socket. gunicorn closes it."""
        self._watcher.stop()
        self._watcher.close()

    def _send(self, data: bytes | memoryview) -> int:
        try:
            return self._send_now(data)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise Gone(str(error)) from error

    def _wait(self) -> None:
        try:
            wait_write(self._socket.fileno(), timeout=self._stuck_seconds, timeout_exc=TimeoutError)
        except TimeoutError as error:
            self.cut()
            raise Gone(f"took nothing for {self._stuck_seconds:g} s") from error
        except OSError as error:
            raise Gone(str(error)) from error

    def _look(self) -> None:
        try:
            received = self._socket._sock.recv(4096)  # type: ignore[attr-defined]
        except BlockingIOError:
            return
        except OSError as error:
            self._leave(str(error))
            return
        self._noise += len(received)
        if not received:
            self._leave("closed by the client")
        elif self._noise > _NOISE_BYTES:
            self.cut()
            self._leave(f"sent {self._noise} bytes where nothing was expected")

    def _leave(self, why: str) -> None:
        self._watcher.stop()
        self._on_gone(why)
