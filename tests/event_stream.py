"""An EventSource for tests: plain sockets, the command line's parser, and it keeps every id it saw."""

from __future__ import annotations

import json
from collections import deque
from http.client import HTTPConnection, IncompleteRead
from urllib.parse import urlsplit

from app.cli import event_stream
from tests.waiting import until


class EventStream:
    """One stream: ``head`` (the response), ``retry_ms``, and messages one by one.

    ``cursor`` is the last id as text; ``last_event_id``, the number that it begins with.
    """

    def __init__(self, url, path="/api/sse", last_event_id=None, timeout=60.0, headers=None):
        self.connection = HTTPConnection(urlsplit(url).netloc, timeout=timeout)
        headers = {**(headers or {}), **({} if last_event_id is None else {"Last-Event-ID": str(last_event_id)})}
        self.connection.request("GET", path, headers=headers)
        self.head = self.connection.getresponse()
        self.last_event_id = last_event_id
        self.cursor = last_event_id
        self.place: dict[str, object] = {}
        self._parser = event_stream.EventStream()
        self._events: deque[event_stream.Event] = deque()

    @property
    def retry_ms(self):
        return self._parser.retry_ms

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.head.close()
        self.connection.close()

    def next(self):
        """The next message; None at the end of the stream."""
        while not self._events:
            if not (piece := self._piece()):
                return None
            self._events += self._parser.feed(piece)
        event = self._events.popleft()
        if event.last_event_id:
            self.cursor = event.last_event_id
            self.last_event_id = int(event.last_event_id.partition(",")[0])
        return json.loads(event.data)

    def _piece(self):
        try:
            return self.head.read1(65536)
        except IncompleteRead:  # cut within a chunk
            return b""

    def next_of(self, kind):
        """The next message of this type, past all others."""
        while (message := self.next()) is not None:
            if message["type"] == kind:
                return message
        raise AssertionError(f"the stream ended before a {kind} message")

    def changes(self, count):
        """The payloads of the next ``count`` changes."""
        return [self.next_of("data")["data"] for _ in range(count)]


def open_stream(url, path="/api/sse", last_event_id=None, headers=None):
    """A stream that has said where it stands."""
    stream = EventStream(url, path, last_event_id, headers=headers)
    assert stream.head.status == 200, stream.head.read()
    stream.place = stream.next_of("connection")["data"]
    return stream


def wait_until_ready(server):
    def ready():
        connection = HTTPConnection(urlsplit(server.url).netloc, timeout=60)  # its workers may be starting
        connection.request("GET", "/api/ready")
        status = connection.getresponse().status
        connection.close()
        return status == 200

    until(ready, what="the server is ready")
