"""Series over HTTP: an hour, a week and a year of a camera, with all figures and with one; filling, and ageing out.

    ./run python benchmarks/series.py [--rows 10000000] [--requests 200] [--age 1000000]

Half of the readings are of a camera that has reported for a year; the other half of four that report once a second.
They are written without triggers and indexes, as a restore does it, then summed up by what the feed runs. One client
asks for one range after the other, on one connection, each time another one; an hour and a week are of those that
report once a second. Then the oldest --age readings age out, and everything is asked for again.
"""

from __future__ import annotations

import http.client
import random
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

from app.feed.pruner import prune_readings
from app.feed.rollups import Rollups
from app.postgres.connections import connect
from benchmarks.arguments import count, parser
from benchmarks.bench import Feed, database, feed, prepare

_YEAR = "00000000-0000-0000-0000-000000000000"
_SECONDS = [f"00000000-0000-0000-0000-00000000000{number}" for number in range(1, 5)]
_FILL = (
    "insert into realtime_metrics (session_id, timestamp, current_people_count, people_entered_last_minute,"
    " people_exited_last_minute, detection_status, fps_current, cpu_usage_percentage, memory_usage_mb,"
    " processing_latency_ms) select session_id, now() - n * %s * interval '1 second', n %% 37, n %% 11, n %% 7,"
    " 'tracking', 24 + random(), random() * 100, 400 + random(), random() * 50"
    " from generate_series(%s, 1, -1) as n cross join lateral unnest(%s::uuid[]) as session_id"
)
_RANGES = {"hour": timedelta(hours=1), "week": timedelta(days=7), "year": timedelta(days=365)}
_FIGURES = {"all": {}, "one": {"figures": "current_people_count"}}


def main() -> None:
    command = parser(__doc__)
    command.add_argument("--rows", type=count, default=10_000_000)
    command.add_argument("--requests", type=count, default=200)
    command.add_argument("--age", type=count, default=1_000_000)
    options = command.parse_args()
    prepare()
    with database(fsync="off", max_wal_size="4GB", maintenance_work_mem="512MB") as server:
        _prepare_rows(server.url("postgres"), options.rows)
        with feed(server.url(), METRICS_RETENTION="forever") as ours:
            print(f"{options.rows} readings, {options.requests} requests each:")
            _measure_all(ours, options.rows, options.requests)
            with closing(connect(server.url(), application_name="benchmark", is_patient=True)) as connection:
                _age(connection, options.age)
            _measure_all(ours, options.rows, options.requests)


def _prepare_rows(url: str, rows: int) -> None:
    with closing(connect(url, application_name="benchmark", is_patient=True)) as connection:
        cursor = connection.cursor()
        cursor.execute(
            "insert into sessions (id, session_name) select id, 'camera' from unnest(%s::uuid[]) as id",
            [[_YEAR, *_SECONDS]],
        )
        cursor.execute("set session_replication_role = replica")
        with _timed("written"), _without_indexes(cursor):
            cursor.execute(_FILL, [365 * 86_400 / (rows // 2), rows // 2, [_YEAR]])
            cursor.execute(_FILL, [1, rows // 8, _SECONDS])
        cursor.execute("vacuum analyze realtime_metrics")
        with _timed("summed up"):
            Rollups(lambda: connection).update(connection)
        cursor.execute("vacuum analyze")
        cursor.execute(
            "select relname, pg_total_relation_size(oid) / 1e6 from pg_class"
            " where relname in ('realtime_metrics', 'reading_minutes', 'reading_hours') order by 1"
        )
        print(", ".join(f"{name} {size:.0f} MB" for name, size in cursor.fetchall()), flush=True)


@contextmanager
def _timed(what: str) -> Iterator[None]:
    began = time.monotonic()
    yield
    print(f"{what} in {time.monotonic() - began:.0f} s", flush=True)


@contextmanager
def _without_indexes(cursor) -> Iterator[None]:
    """Built at once after the block: the key is random, and each row would touch another page of its index."""
    cursor.execute(
        "select indexrelid::regclass::text, pg_get_indexdef(indexrelid), conname from pg_index"
        " left join pg_constraint on conindid = indexrelid and contype = 'p'"
        " where indrelid = 'realtime_metrics'::regclass"
    )
    indexes = cursor.fetchall()
    for name, _definition, constraint in indexes:
        cursor.execute(f"alter table realtime_metrics drop constraint {name}" if constraint else f"drop index {name}")
    yield
    for name, definition, constraint in indexes:
        cursor.execute(definition)
        if constraint:
            cursor.execute(f"alter table realtime_metrics add primary key using index {name}")


def _age(connection, readings: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "select extract(epoch from now() - timestamp)::float / 86400 from realtime_metrics"
            " order by timestamp offset %s limit 1",
            [readings],
        )
        [(days,)] = cursor.fetchall()
    began, spent, gone = time.monotonic(), [], 0
    for number in prune_readings(connection, days=days, minutes_days=None):
        spent.append((time.monotonic() - began) * 1000)
        gone += number
        began = time.monotonic()
    spent.sort()
    print(
        f"{gone} readings aged out in {len(spent)} steps and {sum(spent) / 1000:.1f} s:"
        f" p50 {spent[len(spent) // 2]:.1f} ms, max {spent[-1]:.1f} ms a step",
        flush=True,
    )


def _measure_all(ours: Feed, rows: int, requests: int) -> None:
    for name in _RANGES:
        for figures in _FIGURES:
            _measure(ours, name, figures, rows, requests)


def _path(name: str, figures: str, rows: int) -> str:
    length = _RANGES[name]
    spare = 0.0 if name == "year" else max(0.0, rows // 8 - length.total_seconds())
    end = datetime.now(UTC) - timedelta(seconds=random.uniform(0, spare))
    session = _YEAR if name == "year" else random.choice(_SECONDS)
    asked = {"session_id": session, "from": (end - length).isoformat(), "to": end.isoformat()} | _FIGURES[figures]
    return f"/api/metrics/series?{urlencode(asked)}"


def _measure(ours: Feed, name: str, figures: str, rows: int, requests: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", ours.port, timeout=60)
    spent, size = [], 0
    for number in range(requests + 5):
        path = _path(name, figures, rows)
        began = time.monotonic()
        connection.request("GET", path)
        with connection.getresponse() as response:
            body = response.read()
        if response.status != 200:
            raise RuntimeError(f"{path}: {body.decode()}")
        if number >= 5:
            spent.append((time.monotonic() - began) * 1000)
            size = max(size, len(body))
    connection.close()
    spent.sort()
    p50, p95 = spent[len(spent) // 2], spent[len(spent) * 95 // 100]
    print(
        f"  {name}, {figures:4} p50 {p50:6.1f} ms   p95 {p95:6.1f} ms   max {spent[-1]:6.1f} ms   {size / 1000:.0f} kB",
        flush=True,
    )


if __name__ == "__main__":
    main()
