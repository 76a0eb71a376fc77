"""Series of a camera that reports once a second, over HTTP: an hour, a week, all; and how soon readings are summed up.

    ./run python benchmarks/series.py [--rows 10000000] [--requests 100] [--keep-days 30]

The readings end now; 10 million are 116 days, and a year is asked for whatever there is. They are written without
triggers, as after a restore, then filled by what the feed runs; what is older than --keep-days ages out, and everything
is asked for again. Each kind of request is sent one after the other, each time with another range.
"""

from __future__ import annotations

import http.client
import random
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

from app.feed.pruner import prune_readings
from app.feed.rollups import Rollups
from app.postgres.connections import connect
from benchmarks.arguments import count, parser
from benchmarks.bench import Feed, database, feed, prepare

_SESSION = "00000000-0000-0000-0000-00000000ffff"
_FILL = (
    "insert into realtime_metrics (session_id, timestamp, current_people_count, people_entered_last_minute,"
    " people_exited_last_minute, detection_status, fps_current, cpu_usage_percentage,"
    f" memory_usage_mb, processing_latency_ms) select '{_SESSION}', now() - n * interval '1 second', n %% 37, n %% 11,"
    " n %% 7, 'tracking', 24 + random(), random() * 100, 400 + random(), random() * 50"
    " from generate_series(%s, 1, -1) as n"
)
_RANGES = {"an hour": timedelta(hours=1), "a week": timedelta(days=7), "a year": timedelta(days=365)}


def main() -> None:
    command = parser(__doc__)
    command.add_argument("--rows", type=count, default=10_000_000)
    command.add_argument("--requests", type=count, default=100)
    command.add_argument("--keep-days", type=count, default=30)
    options = command.parse_args()
    prepare()
    with database(fsync="off", max_wal_size="4GB") as server:
        _prepare_rows(server.url("postgres"), options.rows)
        with feed(server.url()) as ours:
            print(f"{options.rows} readings, {options.requests} requests each:")
            _measure_all(ours, options.rows, options.requests)
            with closing(connect(server.url("postgres"), application_name="benchmark")) as connection:
                _age(connection, options.keep_days)
            _measure_all(ours, options.rows, options.requests)


def _prepare_rows(url: str, rows: int) -> None:
    with closing(connect(url, application_name="benchmark", is_patient=True)) as connection:
        cursor = connection.cursor()
        cursor.execute(f"insert into sessions (id, session_name) values ('{_SESSION}', 'camera')")
        cursor.execute("set session_replication_role = replica")
        began = time.monotonic()
        cursor.execute(_FILL, [rows])
        print(f"written in {time.monotonic() - began:.0f} s", flush=True)
        cursor.execute("vacuum analyze realtime_metrics")
        began = time.monotonic()
        Rollups(lambda: connection).update(connection)
        print(f"filled in {time.monotonic() - began:.0f} s", flush=True)
        cursor.execute("vacuum analyze")
        cursor.execute(
            "select relname, pg_total_relation_size(oid) / 1e6 from pg_class"
            " where relname in ('realtime_metrics', 'reading_minutes', 'reading_hours') order by 1"
        )
        print(", ".join(f"{name} {size:.0f} MB" for name, size in cursor.fetchall()), flush=True)


def _age(connection, days: int) -> None:
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
    for name, length in _RANGES.items():
        _measure(ours, name, length, rows, requests)


def _path(length: timedelta, rows: int) -> str:
    spare = max(0.0, rows - length.total_seconds())
    end = datetime.now(UTC) - timedelta(seconds=random.uniform(0, spare))
    since, until = quote((end - length).isoformat()), quote(end.isoformat())
    return f"/api/metrics/series?session_id={_SESSION}&from={since}&to={until}"


def _measure(ours: Feed, name: str, length: timedelta, rows: int, requests: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", ours.port, timeout=60)
    spent, size = [], 0
    for number in range(requests + 5):
        path = _path(length, rows)
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
    print(f"  {name:8} p50 {p50:6.1f} ms   p95 {p95:6.1f} ms   max {spent[-1]:6.1f} ms   {size // 1000} kB", flush=True)


if __name__ == "__main__":
    main()
