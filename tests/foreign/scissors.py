"""Scissors: a TCP proxy before the feed that cuts connections within a frame, at a place that is said beforehand.

Invariant: bytes pass unchanged and in order up to the cut; each cut is made once, on a connection that has already
brought a whole change, so that the client has a place to come back to.
"""

from __future__ import annotations

import re
import socket
import socketserver
import threading
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import NamedTuple

# Any order of fields, so that a feed with another one is tried, too.
_FRAME = re.compile(rb"(?:[a-z]+:[^\n]*\n)+\n")


def _start(frame: bytes, field: bytes) -> int:
    return re.search(rb"^%b: " % field, frame, re.MULTILINE).start()


def _end(frame: bytes, field: bytes) -> int:
    return frame.index(b"\n", _start(frame, field))


PLACES: dict[str, Callable[[bytes], int]] = {
    "in the name of data": lambda frame: _start(frame, b"data") + 2,
    "in the data": lambda frame: (_start(frame, b"data") + _end(frame, b"data")) // 2,
    "before the line feed of data": lambda frame: _end(frame, b"data"),
    "behind the data": lambda frame: _end(frame, b"data") + 1,
    "in the name of id": lambda frame: _start(frame, b"id") + 1,
    "in the id": lambda frame: _end(frame, b"id") - 2,
    "before the line feed of id": lambda frame: _end(frame, b"id"),
    "behind the id": lambda frame: _end(frame, b"id") + 1,
}


class Cut(NamedTuple):
    """Where in a frame; and whether the client can see that something is missing.

    In chunks it can. What HTTP/1.0 brings, through an old proxy, just ends.
    """

    place: str
    in_chunks: bool


EVERY_CUT = [Cut(place, in_chunks) for place in PLACES for in_chunks in (True, False)]


def _change_id(frame: bytes) -> int:
    return int(re.search(rb'"id":\s?(\d+)', frame)[1])


class Scissors(socketserver.ThreadingTCPServer):
    """A proxy on a port of its own, which makes the cuts in turn and then cuts no more.

    Args:
        port: of the feed.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self, port: int, cuts: Iterable[Cut]) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.feed_port = port
        self.due = deque(cuts)
        self.made: list[tuple[Cut, int]] = []  # with the id of the change whose frame was cut
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()


class _Connection(socketserver.BaseRequestHandler):
    server: Scissors

    def handle(self) -> None:
        with suppress(OSError):
            # A browser also opens connections that it then does not use; one of them must not take a cut.
            request = self.request.recv(65536)
            cut = self.server.due[0] if self.server.due else None
            if cut and not cut.in_chunks:
                request = request.replace(b" HTTP/1.1\r\n", b" HTTP/1.0\r\n", 1)
            with socket.create_connection(("127.0.0.1", self.server.feed_port)) as feed:
                feed.sendall(request)
                threading.Thread(target=_pass_on, args=(self.request, feed), daemon=True).start()
                self._answer(feed, cut)
                feed.shutdown(socket.SHUT_RDWR)

    def _answer(self, feed: socket.socket, cut: Cut | None) -> None:
        text, passed = b"", 0
        while piece := feed.recv(65536):
            text += piece
            end = len(text)
            if cut:
                changes = [frame for frame in _FRAME.finditer(text) if b'"type":"data"' in frame[0]]
                if len(changes) > 1:
                    place = changes[1].start() + PLACES[cut.place](changes[1][0])
                    self.request.sendall(text[passed:place])
                    self.server.made.append((cut, _change_id(changes[1][0])))
                    self.server.due.popleft()
                    return
                end = max(passed, text.rfind(b"\n\n") + 2)  # a frame passes as a whole, since it may be the one to cut
            self.request.sendall(text[passed:end])
            passed = end
        self.request.sendall(text[passed:])


def _pass_on(client: socket.socket, feed: socket.socket) -> None:
    with suppress(OSError):
        while piece := client.recv(65536):
            feed.sendall(piece)
        feed.shutdown(socket.SHUT_RDWR)
