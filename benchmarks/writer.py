"""Writes changes at an even pace until it is told to stop.

    writer.py changes URL RATE [--batch N] [--sessions N]     movements into our tables, N rows a transaction
    writer.py readings URL RATE [--batch N]                   readings likewise, of one session
    writer.py topics URL RATE                                  the same, into our four tables in turn
    writer.py rows URL RATE                                    what peers get: the same rows into a table of their own,
                                                               whose trigger calls pg_notify and keeps nothing
    writer.py notify URL RATE                                  pg_notify alone: no row is written, nothing is flushed
    writer.py nchan PORT RATE                                  HTTP, one POST for each
    writer.py redis PORT RATE                                  Redis PUBLISH, as flask-sse wants it
    writer.py pipe PATH RATE                                   frames into a FIFO, for the floor

Every kind says when it was written: ``clock_timestamp()`` in the transaction, or our clock where there is no database.
The peers' message has the same bytes as one of our frames. RATE counts changes, not transactions.
"""

from __future__ import annotations

import json
import os
import socket
import time
import uuid
from collections.abc import Callable

from app.cli.stopping import stop_on_signals
from app.postgres.connections import connect
from benchmarks.arguments import amount, count, parser

_INSERT = (
    "insert into people_movements (session_id, person_id, movement_direction, centroid_x, centroid_y,"
    " confidence_score, frame_number) values (%s, %s, 'in', 320.5, 240.25, 0.87, 1234)"
)
_MESSAGE = (
    '{"type":"data","data":{"id":%d,"table":"people_movements","action":"INSERT","data":{"id":'
    '"3dbf1b1c-8f3c-4a0e-8a40-5a5b4f8f3f10","session_id":"%s","person_id":1,'
    '"movement_direction":"in","movement_time":"2026-11-23T22:59:08.216934+00:00","centroid_x":320.5,'
    '"centroid_y":240.25,"bounding_box_x1":null,"bounding_box_y1":null,"bounding_box_x2":null,'
    '"bounding_box_y2":null,"confidence_score":0.87,"frame_number":1234,'
    '"created_at":"2026-11-23T22:59:08.216934+00:00"},"old_data":null,"timestamp":%s},'
    '"timestamp":"2026-11-23T22:59:08.216Z"}'
)
# What one would write who has no change log. The message has the bytes of ours.
_ROWS = """
create sequence if not exists peer_number;
create table if not exists peer_movements (like people_movements including all,
    constraint peer_movements_session foreign key (session_id) references sessions (id));
create or replace function notify_peer() returns trigger language plpgsql as $$
declare
    at timestamptz := clock_timestamp();
begin
    perform pg_notify('peer', '{"type":"data","data":{"id":' || nextval('peer_number') || ',"table":"people_movements",'
        '"action":"INSERT","data":' || row_to_json(new) || ',"old_data":null,"timestamp":' || extract(epoch from at)
        || '},"timestamp":"' || to_char(at, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') || '"}');
    return null;
end
$$;
create or replace trigger notify_peer after insert on peer_movements for each row execute function notify_peer();
"""
_TOPICS = (
    "insert into people_movements (session_id, person_id, movement_direction) values (%(session)s, %(number)s, 'in')",
    "insert into realtime_metrics (session_id, current_people_count) values (%(session)s, %(number)s)",
    "insert into alert_logs (session_id, alert_type, current_value) values (%(session)s, 'busy', %(number)s)",
    "update sessions set total_frames = %(number)s where id = %(session)s",
)
Write = Callable[[int], None]


def sessions(number: int) -> list[str]:
    """The ids of the benchmark's sessions."""
    return [str(uuid.UUID(int=index + 1)) for index in range(number)]


def main() -> None:
    command = parser(__doc__)
    command.add_argument("kind", choices=_KINDS)
    command.add_argument("target")
    command.add_argument("rate", type=amount)
    command.add_argument("--batch", type=count, default=1)
    command.add_argument("--sessions", type=count, default=1)
    options = command.parse_args()
    write = _KINDS[options.kind](options.target, sessions(options.sessions))
    with stop_on_signals() as stop:
        due = time.monotonic()
        while not stop.wait(due - time.monotonic()):
            write(options.batch)
            # Who is late by a second does not make up for it: the pace is even, or it is not the pace.
            due = max(due + options.batch / options.rate, time.monotonic() - 1)


def _changes(url: str, known: list[str]) -> Write:
    return _rows_into("people_movements", url, known)


def _rows(url: str, known: list[str]) -> Write:
    connection = connect(url, application_name="benchmark")
    connection.cursor().execute(_ROWS)
    connection.close()
    return _rows_into("peer_movements", url, known)


def _rows_into(table: str, url: str, known: list[str]) -> Write:
    connection = connect(url, application_name="benchmark writer")
    cursor = connection.cursor()
    insert = _INSERT.replace("people_movements", table)
    for session in known:
        cursor.execute(
            "insert into sessions (id, session_name) values (%s, 'benchmark') on conflict do nothing", [session]
        )
    number = 0

    def write(batch: int) -> None:
        nonlocal number
        rows = []
        for _ in range(batch):
            number += 1
            rows.append((known[number % len(known)], number % 1000))
        if batch == 1:
            cursor.execute(insert, rows[0])
            return
        values = ",".join([cursor.mogrify("(%s, %s, 'in', 320.5, 240.25, 0.87, 1234)", row).decode() for row in rows])
        cursor.execute(insert.partition("values")[0] + "values" + values)

    return write


def _readings(url: str, known: list[str]) -> Write:
    connection = connect(url, application_name="benchmark writer")
    cursor = connection.cursor()
    cursor.execute("insert into sessions (id, session_name) values (%s, 'camera') on conflict do nothing", [known[0]])

    def write(batch: int) -> None:
        # Made by the server, which has to have cores left for what is measured.
        cursor.execute(
            "insert into realtime_metrics (session_id, current_people_count, fps_current, detection_status)"
            " select %s, n %% 50, 24.9, 'tracking' from generate_series(1, %s) as n",
            [known[0], batch],
        )

    return write


def _topics(url: str, known: list[str]) -> Write:
    connection = connect(url, application_name="benchmark writer")
    cursor = connection.cursor()
    cursor.execute("insert into sessions (id, session_name) values (%s, 'topics') on conflict do nothing", [known[0]])
    number = 0

    def write(batch: int) -> None:
        nonlocal number
        for _ in range(batch):
            cursor.execute(_TOPICS[number % len(_TOPICS)], {"session": known[0], "number": number})
            number += 1

    return write


def _notify(url: str, known: list[str]) -> Write:
    connection = connect(url, application_name="benchmark writer")
    cursor = connection.cursor()
    number = 0

    def write(batch: int) -> None:
        nonlocal number
        for _ in range(batch):
            number += 1
            before, _, after = (_MESSAGE % (number, known[number % len(known)], "@")).partition("@")
            cursor.execute(
                "select pg_notify('peer', %s || extract(epoch from clock_timestamp())::text || %s)", [before, after]
            )

    return write


def _nchan(port: str, known: list[str]) -> Write:
    connection = socket.create_connection(("127.0.0.1", int(port)))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    number = 0

    def write(batch: int) -> None:
        nonlocal number
        requests = []
        for _ in range(batch):
            number += 1
            session = known[number % len(known)]
            channel = session if len(known) > 1 else "all"
            body = _message(number, session)
            requests.append(
                b"POST /pub/%b HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b"
                % (channel.encode(), len(body), body)
            )
        connection.sendall(b"".join(requests))
        answered = 0
        while answered < batch:
            data = connection.recv(65536)
            if not data:
                raise ConnectionError("nginx closed the connection")
            answered += data.count(b"HTTP/1.1 2")

    return write


def _redis(port: str, known: list[str]) -> Write:
    connection = socket.create_connection(("127.0.0.1", int(port)))
    number = 0

    def write(batch: int) -> None:
        nonlocal number
        for _ in range(batch):
            number += 1
            session = known[number % len(known)]
            channel = b"channel:" + session.encode() if len(known) > 1 else b"sse"
            body = json.dumps({"data": _message(number, session).decode()}).encode()
            connection.sendall(
                b"*3\r\n$7\r\nPUBLISH\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n" % (len(channel), channel, len(body), body)
            )
            connection.recv(4096)

    return write


def _pipe(path: str, known: list[str]) -> Write:
    stream = os.open(path, os.O_WRONLY)
    number = 0

    def write(batch: int) -> None:
        nonlocal number
        frames = []
        for _ in range(batch):
            number += 1
            frames.append(b"id: %d\ndata: %b\n\n" % (number, _message(number, known[number % len(known)])))
        os.write(stream, b"".join(frames))

    return write


def _message(number: int, session: str) -> bytes:
    return (_MESSAGE % (number, session, f"{time.time():.6f}")).encode()


_KINDS: dict[str, Callable[[str, list[str]], Write]] = {
    "changes": _changes,
    "readings": _readings,
    "topics": _topics,
    "rows": _rows,
    "notify": _notify,
    "nchan": _nchan,
    "redis": _redis,
    "pipe": _pipe,
}

if __name__ == "__main__":
    main()
