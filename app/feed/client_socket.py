"""ClientSocket: the writing end of one client's connection.

Invariant: the bytes of a response go out in order and are never interleaved. There are two writers: the hub (one
non-blocking ``send``) and the client's sender (``write``, which may wait). The hub writes only while the client rests,
when no sender runs and nothing is unsent, and neither yields between checking and sending. Whatever the socket does not
take of the hub's frame goes to ``unsent``, which is written before anything else.

The server has written the response's head and first bytes when the socket is taken over from it. Everything after that,
including the close, is written here, framed as the response is: chunked for HTTP/1.1, bare for 1.0.
"""

from __future__ import annotations

import _socket
import socket
import ssl
import struct
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import lru_cache
from typing import Any

import gevent
from gevent.socket import wait_write

from app.feed.sse import chunked

# The kernel would buffer 4 MB for a client that reads nothing. A live feed wants that client to lag here instead, where
# memory is bounded and shared. 128 KiB hold about a second of traffic on a line of 1 Mbit/s.
_SEND_BUFFER_BYTES = 128 * 1024
# An EventSource sends nothing after its request. A little noise is tolerated, a flood is not.
_NOISE_BYTES = 64 * 1024
_LAST_CHUNK = b"0\r\n\r\n"
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)

# Clients that reconnect together need the same pieces of the ring, so those are framed once. Small pieces differ from
# client to client and would evict the large ones.
_PIECE_BYTES = 16 * 1024
_chunked_piece = lru_cache(maxsize=8)(chunked)


def socket_of(environ: Mapping[str, Any]) -> socket.socket | None:
    """The socket of a WSGI request, or None where only the server itself can write to the connection."""
    sock = environ.get("gunicorn.socket")
    return None if sock is None or isinstance(sock, ssl.SSLSocket) else sock


class Gone(Exception):
    """The client has left, or no longer reads."""


class ClientSocket:
    """The socket of one stream. ``on_gone`` is called once, when the client closes or misbehaves.

    ``sock`` is detached from its owner: from now on only this object can write to it and close it. ``send`` never
    waits: it returns how many bytes the socket took, or raises as a socket does.
    """

    __slots__ = ("_noise", "_on_gone", "_socket", "_stuck_seconds", "_watcher", "is_chunked", "send", "unsent")

    def __init__(
        self, sock: socket.socket, *, is_chunked: bool, stuck_seconds: float, on_gone: Callable[[str], None]
    ) -> None:
        self.unsent: bytes | memoryview = b""
        self.is_chunked = is_chunked
        self._stuck_seconds = stuck_seconds
        self._on_gone = on_gone
        self._noise = 0
        # Deliberate: the type beneath Python's and gevent's sockets. It never waits, and takes 0.1 kB instead of 1.
        self._socket = _socket.socket(sock.family, sock.type, sock.proto, fileno=sock.detach())
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
        self.send: Callable[[bytes | memoryview], int] = self._socket.send
        self._watcher = gevent.get_hub().loop.io(self._socket.fileno(), 1)
        self._watcher.start(self._look)

    def write(self, data: bytes = b"") -> None:
        """Send what is unsent and then ``data``; wait until the socket has taken all of it.

        Raises:
            Gone: the socket is closed, or took no byte for ``stuck_seconds``.
        """
        if self.unsent:
            self._send_all(self.unsent)
            self.unsent = b""
        if data and self.is_chunked:
            data = chunked(data) if len(data) < _PIECE_BYTES else _chunked_piece(data)
        if data:
            self._send_all(data)

    def end(self) -> None:
        """Write the end of the response. Raises as ``write`` does."""
        self.write()
        if self.is_chunked:
            self._send_all(_LAST_CHUNK)

    def cut(self) -> None:
        """Cut the connection even if bytes are unsent; a sender waiting to write learns that the client is gone.

        The close that follows resets the connection: a client that reads nothing would keep its 260 kB in the kernel.
        """
        with suppress(OSError):  # already closed
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Stop watching the socket, and close it."""
        self._watcher.stop()
        self._watcher.close()
        self._socket.close()

    def _send_all(self, data: bytes | memoryview) -> None:
        left = memoryview(data)
        while True:
            try:
                left = left[self.send(left) :]
            except BlockingIOError:
                pass
            except OSError as error:
                raise Gone(str(error)) from error
            if not left:
                return
            self._wait()

    def _wait(self) -> None:
        try:
            wait_write(self._socket.fileno(), timeout=self._stuck_seconds, timeout_exc=TimeoutError)
        except TimeoutError as error:
            self.cut()
            raise Gone(f"read nothing for {self._stuck_seconds:g} s") from error
        except OSError as error:
            raise Gone(str(error)) from error

    def _look(self) -> None:
        try:
            received = self._socket.recv(4096)
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
            self._leave(f"sent {self._noise} unexpected bytes")

    def _leave(self, why: str) -> None:
        self._watcher.stop()
        self._on_gone(why)
