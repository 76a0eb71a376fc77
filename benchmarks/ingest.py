"""Movements by bulk requests into one worker, beside execute_values straight into the database.

    ./run python benchmarks/ingest.py [--rows 200000] [--batch 1000] [--rounds 3]

Both write the same rows, as many a transaction, with the same triggers, and take turns. The worker and the direct
writer have one core to themselves; PostgreSQL and all clients share the other. While requests come in, 100 clients
stream in the same worker: first the changes of another session (100 a second), then, in a round of its own, everything
that is ingested as well. A delay is from the change's entry into the log to the client's socket.
"""

from __future__ import annotations

import http.client
import json
import statistics
import time
import uuid
from contextlib import closing

from psycopg2.extras import execute_values

from app.postgres.connections import connect
from benchmarks.arguments import count, parser
from benchmarks.bench import SERVED, Feed, Load, check, database, feed, on_core, prepare, writing
from benchmarks.writer import sessions

_MOST = 10_000
_CLIENTS = 100
_SESSION = str(uuid.UUID(int=999))
_WATCHED = f"/api/sse/movements?session_id={sessions(1)[0]}"
_ROWS = [
    {
        "session_id": _SESSION,
        "person_id": number,
        "movement_direction": ("in", "out")[number % 2],
        "movement_time": "2026-01-31T12:00:00Z",
        "centroid_x": 320.5,
        "centroid_y": 240.25,
        "confidence_score": 0.87,
        "frame_number": number,
    }
    for number in range(_MOST)
]


def main() -> None:
    command = parser(__doc__)
    command.add_argument("--rows", type=count, default=200_000)
    command.add_argument("--batch", type=count, default=1000, help="rows in a transaction, up to 10 000")
    command.add_argument("--rounds", type=count, default=3)
    options = command.parse_args()
    prepare()
    with database() as server, feed(server.url()) as ours:
        url = server.url()
        _add_session(url)
        _direct(url, _MOST, options.batch), _requests(ours, _MOST, options.batch)
        rounds = [_round(ours, url, options.rows, options.batch, [_WATCHED]) for _ in range(options.rounds)]
        everything = _round(ours, url, options.rows, options.batch, ["/api/sse/movements"])
    print(f"{options.rows} movements, {options.batch} a request, {_CLIENTS} streams in the same worker:")
    for direct, ingested, report in rounds:
        _print(direct, ingested, report)
    ratio = statistics.median(ingested / direct for direct, ingested, _ in rounds)
    print(f"  median ratio {ratio:.2f}, p99 {statistics.median(report['p99'] for *_, report in rounds):.1f} ms")
    print("with every stream taking every movement, too:")
    _print(*everything)


def _round(ours: Feed, url: str, rows: int, batch: int, paths: list[str]) -> tuple[float, float, dict[str, float]]:
    with on_core(SERVED):
        direct = _direct(url, rows, batch)
    with Load(ours.port, _CLIENTS, paths=paths) as load, writing("changes", url, 100):
        time.sleep(2)
        load.reset()
        ingested = _requests(ours, rows, batch)
        report = load.report()
    check(report)
    return direct, ingested, report


def _direct(url: str, rows: int, batch: int) -> float:
    """Rows per second."""
    statement = f"insert into people_movements ({', '.join(_ROWS[0])}) values %s"
    values = [tuple(row.values()) for row in _ROWS[:batch]]
    with closing(connect(url, application_name="benchmark")) as connection, connection.cursor() as cursor:
        connection.autocommit = False
        began = time.monotonic()
        for _ in range(rows // batch):
            execute_values(cursor, statement, values, page_size=1000)
            connection.commit()
        return rows / (time.monotonic() - began)


def _requests(ours: Feed, rows: int, batch: int) -> float:
    """Rows per second."""
    body = "".join(json.dumps(row) + "\n" for row in _ROWS[:batch])
    connection = http.client.HTTPConnection("127.0.0.1", ours.port, timeout=120)
    began = time.monotonic()
    for _ in range(rows // batch):
        connection.request("POST", "/api/movements", body, {"Content-Type": "application/x-ndjson"})
        with connection.getresponse() as response:
            answer = response.read()
            if response.status != 201:
                raise RuntimeError(answer.decode())
    spent = time.monotonic() - began
    connection.close()
    return rows / spent


def _add_session(url: str) -> None:
    with closing(connect(url, application_name="benchmark")) as connection, connection.cursor() as cursor:
        cursor.execute("insert into sessions (id, session_name) values (%s, 'bulk')", [_SESSION])


def _print(direct: float, ingested: float, report: dict[str, float]) -> None:
    print(
        f"  direct {direct:8.0f} rows/s   requests {ingested:8.0f} rows/s   ratio {ingested / direct:.2f}"
        f"   streams: {report['frames']:.0f} frames, p50 {report['p50']:.1f} ms, p99 {report['p99']:.1f} ms,"
        f" max {report['max']:.1f} ms"
    )


if __name__ == "__main__":
    main()
