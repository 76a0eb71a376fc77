"""Lists, statistics and flow over HTTP at 10 million movements, and an export of a million rows.

    ./run python benchmarks/reads.py [--rows 10000000] [--requests 200] [--explain]

A thousand sessions of one day each, within 90 days up to now; one more that lasts all of them and has a tenth of the
movements. The rows are written without triggers, then recounted, as after a restore. Each kind of request is sent
one after the other, each time with other values. --explain prints the plans of PostgreSQL.
"""

from __future__ import annotations

import http.client
import json
import random
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

from app.postgres.connections import connect
from benchmarks.arguments import count, parser
from benchmarks.bench import Feed, database, feed, memory, prepare

_DAYS = 90
_SESSIONS = 1000
_LONG = "00000000-0000-0000-0000-00000000ffff"
_FILL = (
    "insert into sessions (id, session_name, start_time, status) select"
    " ('00000000-0000-0000-0000-' || lpad(to_hex(n), 12, '0'))::uuid, 'run ' || n,"
    f" date_trunc('day', now()) - (n %% {_DAYS}) * interval '1 day', 'completed'::session_status"
    f" from generate_series(1, {_SESSIONS}) n union all select '{_LONG}', 'long', now(), 'active'::session_status",
    "insert into people_movements (session_id, person_id, movement_direction, movement_time, confidence_score)"
    f" select case when n %% 10 = 0 then '{_LONG}'::uuid else"
    " ('00000000-0000-0000-0000-' || lpad(to_hex(run), 12, '0'))::uuid end, n,"
    " case when n %% 2 = 0 then 'in' else 'out' end::movement_direction,"
    f" date_trunc('day', now()) - (run %% {_DAYS}) * interval '1 day' + random() * interval '1 day', 0.9"
    f" from (select n, 1 + (random() * {_SESSIONS - 1})::integer as run from generate_series(1, %s) n) as numbered",
)


def main() -> None:
    command = parser(__doc__)
    command.add_argument("--rows", type=count, default=10_000_000)
    command.add_argument("--requests", type=count, default=200)
    command.add_argument("--explain", action="store_true", help="print the plans as well")
    options = command.parse_args()
    prepare()
    with database(fsync="off", max_wal_size="4GB") as server, feed(server.url()) as ours:
        _fill(server.url("postgres"), options.rows)
        print(f"{options.rows} movements, {options.requests} requests each:")
        for name, path in _requests():
            _measure(ours, name, path, options.requests)
        if options.explain:
            _explain(server.url("postgres"))
        _export(ours)


def _fill(url: str, rows: int) -> None:
    with (
        closing(connect(url, application_name="benchmark", is_patient=True)) as connection,
        connection.cursor() as cursor,
    ):
        began = time.monotonic()
        cursor.execute("set session_replication_role = replica")
        cursor.execute(_FILL[0].replace("%%", "%"))
        cursor.execute(_FILL[1], [rows])
        print(f"filled in {time.monotonic() - began:.0f} s", flush=True)
        began = time.monotonic()
        cursor.execute("select recount_movements()")
        print(f"counted in {time.monotonic() - began:.0f} s", flush=True)
        cursor.execute("vacuum analyze")


def _session() -> str:
    return f"00000000-0000-0000-0000-{random.randint(1, _SESSIONS):012x}"


def _time(least_days: float = 0) -> str:
    return (
        (datetime.now(UTC) - timedelta(days=random.uniform(least_days, _DAYS - 1))).isoformat().replace("+00:00", "Z")
    )


def _span(days: float) -> str:
    end = datetime.now(UTC) - timedelta(days=random.uniform(0, _DAYS - days))
    start = end - timedelta(days=days)
    return f"from={quote(start.isoformat())}&to={quote(end.isoformat())}"


def _requests():
    return [
        ("list, newest", lambda: "/api/movements"),
        ("list, anywhere", lambda: f"/api/movements?to={_time()}"),
        ("list of a session", lambda: f"/api/movements?session_id={_session()}"),
        ("list, session, direction, time", lambda: f"/api/movements?session_id={_session()}&direction=in&to={_time()}"),
        ("list, oldest first, 1000", lambda: f"/api/movements?order=movement_time&limit=1000&from={_time()}"),
        ("sessions, search", lambda: f"/api/sessions?search={random.randint(1, _SESSIONS)}"),
        ("statistics of a session", lambda: f"/api/sessions/{_session()}/statistics"),
        ("statistics, the long session", lambda: f"/api/sessions/{_LONG}/statistics"),
        ("stats: today and now", lambda: "/api/stats"),
        ("flow, an hour by minute", lambda: f"/api/analytics/flow?bucket=minute&{_span(1 / 24)}"),
        ("flow, a day by hour", lambda: f"/api/analytics/flow?bucket=hour&{_span(1)}"),
        ("flow, a week by hour, a session", lambda: f"/api/analytics/flow?bucket=hour&{_span(7)}&session_id={_LONG}"),
        ("flow, a week by hour", lambda: f"/api/analytics/flow?bucket=hour&{_span(7)}"),
        ("flow, 28 days by day", lambda: f"/api/analytics/flow?bucket=day&tz=Europe/Berlin&{_span(28)}"),
        ("flow, 12 weeks by week", lambda: f"/api/analytics/flow?bucket=week&{_span(84)}"),
        ("profile of 12 weeks", lambda: f"/api/analytics/profile?{_span(84)}"),
    ]


def _measure(ours: Feed, name: str, path, requests: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", ours.port, timeout=60)
    spent = []
    for number in range(requests + 5):
        began = time.monotonic()
        connection.request("GET", path())
        with connection.getresponse() as response:
            body = response.read()
        if response.status != 200:
            raise RuntimeError(f"{path()}: {body.decode()}")
        if number >= 5:
            spent.append((time.monotonic() - began) * 1000)
        if sum(spent) > 20_000:
            break
    connection.close()
    spent.sort()
    p50, p95 = spent[len(spent) // 2], spent[len(spent) * 95 // 100]
    print(f"  {name:33} p50 {p50:7.1f} ms   p95 {p95:7.1f} ms   max {spent[-1]:7.1f} ms", flush=True)


def _explain(url: str) -> None:
    statements = {
        "list, newest": "select * from people_movements order by movement_time desc, id desc limit 101",
        "list of a session": f"select * from people_movements where session_id = '{_session()}'"
        " order by movement_time desc, id desc limit 101",
        "spans of a session": f"select * from movement_spans('-infinity', 'infinity', '{_session()}', 'UTC', false)",
        "spans of 12 weeks": "select * from movement_spans(now() - interval '84 days', now(), null, 'UTC', false)",
        "counts of a day": "select * from movement_counts where minute >= now() - interval '1 day'",
        "quarters of 12 weeks": "select * from movement_quarters where start >= now() - interval '84 days'",
    }
    with closing(connect(url, application_name="benchmark")) as connection, connection.cursor() as cursor:
        for name, statement in statements.items():
            cursor.execute(f"explain (analyze, buffers) {statement}")
            print(f"\n{name}:\n  " + "\n  ".join(line for (line,) in cursor.fetchall()))


def _export(ours: Feed) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", ours.port, timeout=60)
    connection.request("GET", f"/api/movements/export?session_id={_LONG}")
    began, rows, seen = time.monotonic(), 0, []
    with connection.getresponse() as response:
        while part := response.read(1 << 20):
            rows += part.count(b"\n")
            seen.append(memory(ours.pid))
    spent = time.monotonic() - began
    first, most = seen[len(seen) // 10], max(seen)
    print(
        f"export of {rows} rows: {rows / spent:.0f} rows/s, memory of the worker {first / 1e6:.1f} MB after a tenth,"
        f" {most / 1e6:.1f} MB at most, {json.dumps(seen[-1] - first)} bytes more at the end"
    )


if __name__ == "__main__":
    main()
