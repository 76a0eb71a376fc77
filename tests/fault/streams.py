"""Streams: many SSE clients on real sockets in one thread, each with its own way of behaving.

Invariant: a client is what EventSource is: it takes whole frames, remembers the last id, whatever frame it came with,
and comes back with it after the wait that the server has named. What it sees at once to be wrong (an id twice or out of
order, other bytes than another client got, a position that jumps) ends the run; what takes the log to judge is noted.
"""

from __future__ import annotations

import contextlib
import errno
import http.client
import json
import queue
import random
import re
import selectors
import socket
import struct
import threading
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.fault.keyring import Keyring

TOPIC_OF_TABLE = {
    "sessions": "sessions",
    "people_movements": "movements",
    "alert_logs": "alerts",
    "realtime_metrics": "metrics",
}
TABLE_OF_TOPIC = {topic: table for table, topic in TOPIC_OF_TABLE.items()}
_RESET = struct.pack("ii", 1, 0)
_TICK_SECONDS = 0.015  # several changes are taken at one go, which costs this process less


class Violation(Exception):
    """A promise was broken; the message says which and how."""


@dataclass(frozen=True)
class Wanted:
    """What a client asks for."""

    topics: tuple[str, ...]
    session_id: str | None = None
    resolved: bool | None = None

    def path(self) -> str:
        only = self.topics[0] if len(self.topics) == 1 else None
        query = "" if only else f"&topics={','.join(self.topics)}"
        if self.session_id:
            query += f"&session_id={self.session_id}"
        if self.resolved is not None:
            query += f"&resolved={str(self.resolved).lower()}"
        return f"/api/sse{f'/{only}' if only else ''}?{query.lstrip('&')}"

    def has(self, topic: str, row: dict[str, Any]) -> bool:
        """Whether a row belongs to what the client shows."""
        if self.session_id and row["id" if topic == "sessions" else "session_id"] != self.session_id:
            return False
        return self.resolved is None or topic != "alerts" or row["is_resolved"] == self.resolved

    def concerns(self, change: LoggedChange) -> bool:
        """Whether the client must hear of a change: the new or the old row is of the kind, tried field by field."""
        if change.topic not in self.topics:
            return False
        if change.action in ("TRUNCATE", "TEST"):
            return True
        rows = [row for row in (change.data, change.old_data) if row]
        key = "id" if change.topic == "sessions" else "session_id"
        if self.session_id and self.session_id not in [row[key] for row in rows]:
            return False
        if self.resolved is None or change.topic != "alerts":
            return True
        return self.resolved in [row["is_resolved"] for row in rows]


@dataclass(frozen=True)
class LoggedChange:
    """A change: from the log, or from a frame."""

    id: int
    topic: str
    action: str
    data: dict[str, Any]
    old_data: dict[str, Any] | None
    payload: bytes

    @classmethod
    def of(cls, payload: bytes) -> LoggedChange:
        body = json.loads(payload)
        topic = TOPIC_OF_TABLE[body["table"]]
        return cls(body["id"], topic, body["action"], body["data"], body["old_data"], payload)


_ID = re.compile(rb'data: \{"type":"data","data":\{"id":(\d+),')


@dataclass(frozen=True)
class Seen:
    """A cursor: all changes up to one, and perhaps some that follow: ``4711,4713,4715-4717``."""

    text: str
    upto: int
    beyond: frozenset[int] = frozenset()

    @classmethod
    def of(cls, text: str) -> Seen:
        first, *rest = text.split(",")
        ranges = [part.partition("-") for part in rest]
        return cls(text, int(first), frozenset(n for a, _, b in ranges for n in range(int(a), int(b or a) + 1)))

    def has(self, number: int) -> bool:
        return number <= self.upto or number in self.beyond

    def covers(self, other: Seen) -> bool:
        """Whether all that the other has seen is seen here."""
        return self.upto >= other.upto and all(self.has(number) for number in other.beyond)

    def common(self, other: Seen) -> Seen:
        """What both have seen: where a stream has to begin for rows that were read at two places."""
        upto = min(self.upto, other.upto)
        beyond = sorted(n for n in self.beyond | other.beyond if n > upto and self.has(n) and other.has(n))
        return Seen(",".join(map(str, (upto, *beyond))), upto, frozenset(beyond))


class Book:
    """What all clients together were sent: one frame for each id, parsed once."""

    def __init__(self) -> None:
        self._frames: dict[int, tuple[bytes, LoggedChange]] = {}

    def change(self, frame: bytes) -> LoggedChange:
        start = _ID.match(frame)
        if start is None:
            raise Violation(f"this holds no change: {frame!r}")
        number = int(start[1])
        known = self._frames.get(number)
        if known is None:
            payload = frame[frame.index(b'"data":{') + 7 : frame.rindex(b',"timestamp":"')]
            known = self._frames[number] = frame, LoggedChange.of(payload)
        elif known[0] != frame:
            raise Violation(f"change {number} came as two different frames:\n{known[0]!r}\n{frame!r}")
        return known[1]

    def get(self, cursor: int) -> LoggedChange | None:
        known = self._frames.get(cursor)
        return known and known[1]

    def clear(self) -> None:
        self._frames.clear()


@dataclass
class Segment:
    """A stretch without a jump: from a cursor on, the changes that were seen."""

    start: Seen
    seen: list[int] = field(default_factory=list)
    truncates: set[int] = field(default_factory=set)


@dataclass(frozen=True)
class Reset:
    """The server said that it cannot go on from ``asked``."""

    client: str
    asked: Seen
    cursor: Seen


class Client:
    """One EventSource, and how it misbehaves (``kind``).

    steady: stays. flapping: leaves and comes back, now and then from a new snapshot. stalling: takes nothing for a
    while. stuck: takes nothing for so long that it is cut. trickling: never takes much at once. sleeping: stays away
    for longer than the log may remember.
    """

    def __init__(
        self, name: str, kind: str, wanted: Wanted, seed: str, crowd: Crowd, *, builds: bool, version: str
    ) -> None:
        self.name, self.kind, self.wanted, self.builds = name, kind, wanted, builds
        self.cursor: Seen | None = None
        self.segments: list[Segment] = []
        self.rows: dict[str, dict[str, dict[str, Any]]] = {topic: {} for topic in wanted.topics}
        self.is_asleep = False
        self.sleeps_until_round = 0
        self._random = random.Random(f"{seed}/client/{name}")
        self._number = self._random.randrange(1000)
        self._crowd = crowd
        self._version = version
        self._socket: socket.socket | None = None
        self._is_narrow = False  # the kernel takes little for it
        self._is_placed = False  # the first connection frame has come
        self._asked: Seen | None = None
        self._connect_at = time.monotonic()
        self._mischief_at = self._next_mischief()
        self._stalled_until = 0.0
        self._retry_seconds = 0.3
        self._raw = bytearray()
        self._text = bytearray()
        self._head: bytes | None = None
        self._is_chunked = False
        # Topics whose rows are being read, with the changes that have come meanwhile.
        self._reading: dict[str, list[LoggedChange]] = {}
        self._reading_number = 0
        self._snapshot_cursors: dict[str, Seen] = {}
        self._is_beginning = False  # no stream until the first rows are here
        if builds:
            self._begin_again()

    def is_at(self, newest: int) -> bool:
        """Whether the client has come to the end of the log and knows it."""
        return self._is_placed and self._socket is not None and self._upto >= newest and not self._reading

    def describe(self) -> str:
        place = f"cursor {self.cursor}, {'connected' if self._socket else 'not connected'}"
        reading = f", reading {sorted(self._reading)}" if self._reading else ""
        return f"{self.name} ({self.kind}, HTTP/{self._version}, {self.wanted}): {place}{reading}"

    def tick(self, now: float, is_calm: bool) -> None:
        """What time brings."""
        if self._stalled_until and (now >= self._stalled_until or is_calm):
            self._stalled_until = 0.0
            if self._socket:
                self._crowd.selector.register(self._socket, selectors.EVENT_READ, self)
        if is_calm and self._is_narrow and self._socket:
            self._is_narrow = False
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        if self._socket is None:
            if not self.is_asleep and not self._is_beginning and now >= self._connect_at:
                self._connect()
        elif not is_calm and now >= self._mischief_at:
            self._mischief_at = self._next_mischief()
            self._misbehave(now)

    def wake(self) -> None:
        self.is_asleep = False

    def close(self) -> None:
        """Leave for good. May be called twice."""
        if self._socket is not None:
            self._close()

    def receive(self) -> None:
        """Take what the socket has."""
        assert self._socket is not None
        size = 1500 if self.kind == "trickling" and not self._crowd.is_calm else 262_144
        try:
            data = self._socket.recv(size)
        except BlockingIOError:
            return
        except OSError as error:
            self._lose(f"cut ({errno.errorcode.get(error.errno or 0, error)})")
            return
        if not data:
            self._lose("ended")
            return
        self._raw += data
        if self._head is None and not self._take_head():
            return
        self._take_body()

    @property
    def _upto(self) -> int:
        return self.cursor.upto if self.cursor else 0

    def take_snapshot(self, topic: str, number: int, cursor: Seen, rows: list[dict[str, Any]]) -> None:
        """Rows have arrived that were asked for."""
        if number != self._reading_number or topic not in self._reading:
            return
        self.rows[topic] = {row["id"]: row for row in rows if self.wanted.has(topic, row)}
        self._crowd.counts["rows read"] += len(rows)
        if self._is_beginning:
            self.cursor = cursor if self.cursor is None else cursor.common(self.cursor)
            self._crowd.counts["snapshots that saw more than a cursor's first id"] += bool(cursor.beyond)
        self._snapshot_cursors[topic] = cursor
        for change in self._reading.pop(topic):
            self._apply(change)
        if not self._reading and self._is_beginning:
            assert self.cursor is not None
            self._is_beginning = False
            self.segments.append(Segment(self.cursor))

    def _next_mischief(self) -> float:
        mean = {"flapping": 3.0, "stalling": 4.0, "stuck": 15.0, "sleeping": 20.0}.get(self.kind, 1e9)
        return time.monotonic() + self._random.expovariate(1 / mean) + 0.2

    def _misbehave(self, now: float) -> None:
        if self.kind == "flapping":
            self._leave(self._random.choice((0.0, 0.0, 0.3, 1.5)))
            if self.builds and self._random.random() < 0.25:
                self._begin_again()
        elif self.kind == "sleeping":
            self._leave(0.0)
            self.is_asleep = True
            self.sleeps_until_round = self._crowd.round + self._random.randint(1, 3)
        elif not self._stalled_until and self._socket:
            self._crowd.selector.unregister(self._socket)
            self._stalled_until = now + (
                self._random.uniform(0.5, 5) if self.kind == "stalling" else self._random.uniform(6, 9)
            )
            self._crowd.counts[f"client {self.kind}"] += 1

    def _leave(self, wait_seconds: float) -> None:
        assert self._socket is not None
        self._crowd.counts[f"client {self.kind}"] += 1
        if self._random.random() < 0.3:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._close()
        self._connect_at = time.monotonic() + wait_seconds

    def _lose(self, why: str) -> None:
        self._crowd.counts[f"stream {why}"] += 1
        self._close()
        self._connect_at = time.monotonic() + self._retry_seconds

    def _close(self) -> None:
        assert self._socket is not None
        if not self._stalled_until:
            self._crowd.selector.unregister(self._socket)
        self._stalled_until = 0.0
        self._socket.close()
        self._socket = None

    def _connect(self) -> None:
        self._raw.clear()
        self._text.clear()
        self._head, self._is_placed, self._asked = None, False, self.cursor
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if self.kind in ("stalling", "stuck", "trickling"):
            self._is_narrow = True
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        sock.settimeout(5)
        resume = "" if self.cursor is None else f"Last-Event-ID: {self.cursor.text}\r\n"
        shown = self._crowd.keyring.header(self._number) if self._crowd.keyring else ""
        path = self.wanted.path()
        if resume and self._random.random() < 0.1:
            path, resume = f"{path}&last_event_id={self.cursor.text if self.cursor else ''}", ""
        try:
            sock.connect(("127.0.0.1", self._crowd.port))
            sock.sendall(f"GET {path} HTTP/{self._version}\r\nHost: localhost\r\n{shown}{resume}\r\n".encode())
        except OSError:
            sock.close()
            self._crowd.counts["connection refused"] += 1
            self._connect_at = time.monotonic() + self._retry_seconds
            return
        sock.setblocking(False)
        self._socket = sock
        self._crowd.counts["connects"] += 1
        self._crowd.selector.register(sock, selectors.EVENT_READ, self)

    def _take_head(self) -> bool:
        end = self._raw.find(b"\r\n\r\n")
        if end < 0:
            return False
        self._head = bytes(self._raw[:end]).lower()
        del self._raw[: end + 4]
        self._is_chunked = b"transfer-encoding: chunked" in self._head
        status = self._head.split(b" ", 2)[1]
        if status != b"200":
            self._lose(f"refused with {status.decode()}")
            return False
        return True

    def _take_body(self) -> None:
        is_ended = False
        if self._is_chunked:
            at = 0
            while (end := self._raw.find(b"\r\n", at)) >= 0:
                size = int(self._raw[at:end], 16)
                if len(self._raw) < end + size + 4:
                    break
                self._text += self._raw[end + 2 : end + 2 + size]
                at = end + size + 4
                is_ended = is_ended or size == 0
            del self._raw[:at]
        else:
            self._text += self._raw
            self._raw.clear()
        end = self._text.rfind(b"\n\n")
        if end >= 0:
            frames = bytes(self._text[:end]).split(b"\n\n")
            del self._text[: end + 2]
            for frame in frames:
                self._take_frame(frame)
                if self._socket is None:
                    return
        if is_ended:
            self._lose("ended by the server")

    def _take_frame(self, frame: bytes) -> None:
        if frame.startswith(b"retry: "):
            name, _, frame = frame.partition(b"\n")
            self._retry_seconds = int(name[7:]) / 1000
        data, _, position = frame.partition(b"\n")
        cursor = Seen.of(position.removeprefix(b"id: ").decode()) if position else None
        if data.startswith(b'data: {"type":"data"') and cursor is not None:
            self._take_change(cursor, data)
        else:
            self._take_other(data, cursor)

    def _take_change(self, cursor: Seen, data: bytes) -> None:
        if not self._is_placed or self.cursor is None:
            raise Violation(f"{self.name} got change {cursor} before it was told where it stands")
        change = self._crowd.book.change(data)
        self._pass(change.id, cursor)
        self.segments[-1].seen.append(change.id)
        self._crowd.deliveries += 1
        if self.builds:
            if change.topic in self._reading:
                self._reading[change.topic].append(change)
            else:
                self._apply(change)

    def _pass(self, number: int, cursor: Seen) -> None:
        """Take a change, which leads to a cursor: all up to it is seen, and what was seen beyond."""
        before = self.cursor
        assert before is not None
        left = frozenset(one for one in before.beyond if one > cursor.upto)
        if before.has(number) or number > cursor.upto or cursor.beyond != left:
            raise Violation(f"{self.name} got change {number} with {cursor} when it was at {before}: {self.describe()}")
        self.cursor = cursor

    def _take_other(self, frame: bytes, cursor: Seen | None) -> None:
        if not frame.startswith(b"data: "):
            raise Violation(f"{self.name} got something that is no frame: {frame!r}")
        message = json.loads(frame[6:])
        kind = message["type"]
        if kind == "connection":
            assert cursor is not None
            assert cursor.text == message["data"]["cursor"] or (
                self._is_placed and message["data"]["status"] == "reset"
            )
            self._take_connection(cursor, message["data"])
            return
        self._crowd.counts[f"{kind} frames"] += 1
        if cursor is not None:
            if self.cursor is None or not cursor.covers(self.cursor):
                raise Violation(f"a {kind} took {self.name} back to {cursor}: {self.describe()}")
            self.cursor = cursor

    def _take_connection(self, cursor: Seen, data: dict[str, Any]) -> None:
        status = data["status"]
        self._crowd.counts[f"connection {status}"] += 1
        if not self._is_placed:
            self._is_placed = True
            self._take_place(cursor, status)
        elif status == "reset":
            # A TRUNCATE has its place in the log and counts as one change; the log will tell whether it was one.
            number = int(data["cursor"])
            self._pass(number, cursor)
            self.segments[-1].seen.append(number)
            self.segments[-1].truncates.add(number)
            self._read(data["topics"])
        elif self.cursor is None or not cursor.covers(self.cursor):
            raise Violation(f"{self.name} was taken back to {cursor} ({status}): {self.describe()}")
        else:
            self.cursor = cursor

    def _take_place(self, cursor: Seen, status: str) -> None:
        if self._asked is None:
            if status != "live":
                raise Violation(f"{self.name} asked for now and got {status} at {cursor}")
            self.segments.append(Segment(cursor))
        elif status == "resumed":
            if (cursor.upto, cursor.beyond) != (self._asked.upto, self._asked.beyond):
                raise Violation(f"{self.name} asked for {self._asked} and was resumed at {cursor}")
        elif status == "reset":
            self._crowd.resets.append(Reset(self.name, self._asked, cursor))
            self.segments.append(Segment(cursor))
            self._read(self.wanted.topics)
        else:
            raise Violation(f"{self.name} asked for {self._asked} and got {status} at {cursor}")
        self.cursor = cursor

    def _begin_again(self) -> None:
        """From nothing: snapshot first, then the changes after it."""
        self.cursor = None
        self._is_placed = False
        self._is_beginning = True
        self._reading.clear()
        self._read(self.wanted.topics)

    def _read(self, topics: tuple[str, ...] | list[str]) -> None:
        if not self.builds:
            return
        self._reading_number += 1
        # Those that were on their way are asked for again, under the new number.
        for topic in {*topics, *self._reading}:
            self._reading.setdefault(topic, [])
            self._crowd.read_rows(self, topic, self._reading_number)

    def _apply(self, change: LoggedChange) -> None:
        rows, row = self.rows[change.topic], change.data
        snapshot = self._snapshot_cursors.get(change.topic)
        if (snapshot and snapshot.has(change.id)) or change.action == "TEST":
            return
        if change.old_data:
            rows.pop(change.old_data["id"], None)
        if change.action != "DELETE" and self.wanted.has(change.topic, row):
            rows[row["id"]] = row


class Crowd(threading.Thread):
    """All clients, in one thread. Between ``hold`` and ``let_go`` nothing moves, and others may look."""

    def __init__(self, port: int, keyring: Keyring | None = None) -> None:
        self.keyring = keyring
        super().__init__(name="clients", daemon=True)
        self.port = port
        self.clients: list[Client] = []
        self.book = Book()
        self.counts: Counter[str] = Counter()
        self.deliveries = 0
        self.resets: list[Reset] = []
        self.round = 0
        self.is_calm = False
        self.violation: Violation | None = None
        self.selector = selectors.DefaultSelector()
        self._lock = threading.Lock()
        self._stopping = False
        self._wanted_rows: queue.Queue[tuple[Client, str, int] | None] = queue.Queue()
        self._read_rows: queue.Queue[tuple[Client, str, int, Seen, list[dict[str, Any]]]] = queue.Queue()
        self._readers = [threading.Thread(target=self._reader, name=f"rest {n}", daemon=True) for n in range(2)]

    def run(self) -> None:
        for reader in self._readers:
            reader.start()
        try:
            while not self._stopping:
                with self._lock:
                    self._turn()
                time.sleep(_TICK_SECONDS)
        except Violation as violation:
            self.violation = violation
        except Exception:  # noqa: BLE001 - whatever it is, the run has failed and must say so
            self.violation = Violation(f"the clients' own program failed:\n{traceback.format_exc()}")
        finally:
            for client in self.clients:
                client.close()

    def stop(self) -> None:
        self._stopping = True
        for _ in self._readers:
            self._wanted_rows.put(None)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Nothing moves inside the block."""
        with self._lock:
            yield

    def read_rows(self, client: Client, topic: str, number: int) -> None:
        self._wanted_rows.put((client, topic, number))

    def _turn(self) -> None:
        for key, _ in self.selector.select(0):
            if key.data._socket is key.fileobj:
                key.data.receive()
        with contextlib.suppress(queue.Empty):
            while True:
                client, topic, number, cursor, rows = self._read_rows.get_nowait()
                client.take_snapshot(topic, number, cursor, rows)
        now = time.monotonic()
        for client in self.clients:
            client.tick(now, self.is_calm)

    def _reader(self) -> None:
        while (task := self._wanted_rows.get()) is not None:
            client, topic, number = task
            try:
                cursor, rows = read_snapshot(self.port, topic, client.wanted, self.keyring)
            except Violation as violation:
                self.violation = violation
                return
            except (OSError, http.client.HTTPException):
                self.counts["snapshot tried again"] += 1
                time.sleep(0.2)
                self._wanted_rows.put(task)
            else:
                self.counts["snapshots"] += 1
                self._read_rows.put((client, topic, number, cursor, rows))


def read_snapshot(
    port: int, topic: str, wanted: Wanted, keyring: Keyring | None = None
) -> tuple[Seen, list[dict[str, Any]]]:
    """All rows of a list, page by page, and the cursor of the first page: the tail tells what later pages know more."""
    filters = ""
    if wanted.session_id and topic != "sessions":
        filters += f"&session_id={wanted.session_id}"
    if wanted.resolved is not None and topic == "alerts":
        filters += f"&resolved={str(wanted.resolved).lower()}"
    rows: dict[str, dict[str, Any]] = {}
    cursor: Seen | None = None
    token: str | None = ""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    with contextlib.closing(connection):
        while token is not None:
            path = f"/api/{topic}?limit=1000{filters}" + (f"&after={token}" if token else "")
            connection.request("GET", path, headers={"Authorization": keyring.value(0)} if keyring else {})
            response = connection.getresponse()
            body = response.read()
            # A key may be revoked just now.
            if response.status >= 500 or (keyring and response.status in (401, 429)):
                raise http.client.HTTPException(f"{response.status}: {body[:200]!r}")
            if response.status != 200:
                raise Violation(f"REST said {response.status}: {body[:500]!r}")
            page = json.loads(body)
            cursor = Seen.of(page["cursor"]) if cursor is None else cursor
            rows |= {row["id"]: row for row in page["items"]}
            token = page["next"]
    assert cursor is not None
    return cursor, list(rows.values())
