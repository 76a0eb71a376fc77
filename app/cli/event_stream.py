"""EventStream: parses text/event-stream as browsers do.

Invariant: what the HTML standard says under "Interpreting an event stream" (html.spec.whatwg.org, section 9.2.6),
however the bytes are cut into pieces; an event is given out as soon as the blank line behind it is there.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import NamedTuple


class Event(NamedTuple):
    """An event: its type, its data, and the newest id of the stream, which is where a client resumes."""

    type: str
    data: str
    last_event_id: str


class EventStream:
    """A parser of one connection.

    Args:
        last_event_id: what an earlier connection left.
    """

    def __init__(self, last_event_id: str = "") -> None:
        self.last_event_id = last_event_id
        self.retry_ms: int | None = None
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._line: list[str] = []
        self._is_first = True
        self._is_after_cr = False
        self._id, self._type, self._data = last_event_id, "", ""

    def feed(self, piece: bytes) -> Iterator[Event]:
        """The events that are complete with these bytes."""
        text = self._decoder.decode(piece)
        if self._is_first and text:
            self._is_first = False
            text = text.removeprefix("\ufeff")
        if self._is_after_cr and text:
            self._is_after_cr = False
            text = text.removeprefix("\n")
        if text.endswith("\r"):
            self._is_after_cr = True  # it ends the line at once; a line feed that follows belongs to it
        lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        for end in lines[:-1]:
            self._line.append(end)
            event = self._take("".join(self._line))
            self._line = []
            if event is not None:
                yield event
        self._line.append(lines[-1])

    def _take(self, line: str) -> Event | None:
        if not line:
            return self._dispatch()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data += value + "\n"
        elif name == "event":
            self._type = value
        elif name == "id" and "\0" not in value:
            self._id = value
        elif name == "retry" and value.isascii() and value.isdigit():
            self.retry_ms = int(value)
        return None

    def _dispatch(self) -> Event | None:
        self.last_event_id = self._id
        data, kind = self._data, self._type or "message"
        self._data = self._type = ""
        return Event(kind, data[:-1], self.last_event_id) if data else None
