"""Proxy: stands between the app and its database, and cuts, stalls and comes back.

Invariant: bytes pass unchanged and in order as long as they pass at all. A stalled proxy takes connections and bytes
and says nothing, as a network does whose other end has gone; a stranded connection stays so for good, as one does that
a firewall has forgotten; a stopped proxy refuses, and what was open is reset.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable

_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close with a reset and forget what is unsent


class Proxy:
    """A TCP proxy on a free port of the loopback, which it keeps over stop and start.

    Args:
        reach: opens a connection to what stands behind the proxy.
    """

    def __init__(self, reach: Callable[[], socket.socket]) -> None:
        self._reach = reach
        self._listener: socket.socket | None = None
        self._flowing = threading.Event()
        self._stranded: list[threading.Event] = []
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self.port = 0

    def start(self) -> None:
        """Take connections, and let pass what was stalled."""
        self._flowing.set()
        if self._listener is None:
            self._listener = socket.create_server(("127.0.0.1", self.port), backlog=100)
            self.port = self._listener.getsockname()[1]
            threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def stall(self) -> None:
        """Let nothing pass, and tell nobody."""
        self._flowing.clear()

    def strand(self) -> None:
        """Let nothing pass on the open connections any more, and tell nobody; new ones work."""
        self._flowing.clear()
        self._stranded.append(self._flowing)
        self._flowing = threading.Event()
        self._flowing.set()

    def cut(self) -> None:
        """Reset every open connection."""
        with self._lock:
            cut, self._open = self._open, set()
        for sock in cut:
            _reset(sock)

    def stop(self) -> None:
        """Refuse connections and reset those that are open."""
        listener, self._listener = self._listener, None
        if listener:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
            listener.close()
        self.cut()
        for flowing in (self._flowing, *self._stranded):
            flowing.set()
        self._stranded.clear()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._join, args=(near,), daemon=True).start()

    def _join(self, near: socket.socket) -> None:
        with near:
            with self._lock:
                self._open.add(near)
            flowing = self._flowing
            flowing.wait()
            with contextlib.suppress(OSError), self._reach() as far:
                with self._lock:
                    # A cut may have passed between.
                    if near not in self._open:
                        return
                    self._open.add(far)
                back = threading.Thread(target=self._pump, args=(far, near, flowing), daemon=True)
                back.start()
                self._pump(near, far, flowing)
                back.join()
                self._forget(far)
            self._forget(near)

    def _pump(self, source: socket.socket, target: socket.socket, flowing: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                flowing.wait()
                target.sendall(data)
        for sock in (source, target):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def _forget(self, sock: socket.socket) -> None:
        with self._lock:
            self._open.discard(sock)


def _reset(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        if sock.family == socket.AF_INET:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        # Its thread sleeps in recv, and closes it when it wakes.
        sock.shutdown(socket.SHUT_RDWR)
