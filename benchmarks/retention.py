"""Does pruning keep up with a change log of 50 million rows, and does a writer next to it notice?

    ./run python -m benchmarks.retention [--millions 50]

Starts a PostgreSQL of its own, fills the log with small changes of the last 80 hours, and prunes what is older than 72,
as ``flask prune`` does: step after step without a pause. A writer commits all the time. Takes about 200 bytes of disk
for a row.
"""

from __future__ import annotations

import statistics
import threading
import time
from contextlib import closing

from app.feed.pruner import extent, prune
from app.postgres.connections import connect
from benchmarks.arguments import amount, parser
from benchmarks.bench import database, prepare

_HOURS, _KEPT_HOURS = 80, 72
_FILL = """
    insert into change_log
    select n, 'people_movements', 'INSERT', null, null, repeat('x', 80),
           now() - (%(rows)s - n)::float8 / %(rows)s * %(hours)s * interval '1 hour'
    from generate_series(1, %(rows)s) n
"""


def main() -> None:
    command = parser(__doc__)
    command.add_argument("--millions", type=amount, default=50)
    rows = int(command.parse_args().millions * 1_000_000)
    prepare()
    # In one transaction with TRUNCATE, and at this level, the fill goes past the write-ahead log.
    settings = {"wal_level": "minimal", "max_wal_senders": "0", "max_wal_size": "4GB"}
    with database(**settings) as server, closing(connect(server.url(), application_name="pruner")) as connection:
        _fill(connection, rows)
        print(str(extent(connection)))
        with Writer(server.url()) as writer:
            time.sleep(20)
            writer.report("a writer alone")
            _prune(connection)
            writer.report("next to the pruner")


def _fill(connection, rows: int) -> None:
    began = time.monotonic()
    with connection.cursor() as cursor:
        cursor.execute("begin")
        cursor.execute("truncate change_log")
        cursor.execute(_FILL, {"rows": rows, "hours": _HOURS})
        cursor.execute("commit")
        cursor.execute("vacuum (freeze) change_log")
        cursor.execute("select pg_total_relation_size('change_log') / 1e9")
        [[size]] = cursor.fetchall()
    print(f"filled with {rows:,} rows, {size:.1f} GB, in {time.monotonic() - began:.0f} s", flush=True)


def _prune(connection) -> None:
    began = last = time.monotonic()
    steps, gone = [], 0
    for count in prune(connection, hours=_KEPT_HOURS, most_bytes=1024**5):
        now = time.monotonic()
        steps.append((now - last) * 1000)
        last, gone = now, gone + count
    spent = time.monotonic() - began
    # The time of a VACUUM counts with the step after it.
    print(
        f"pruned {gone:,} rows in {len(steps)} steps and {spent:.1f} s, VACUUM included: {gone / spent:,.0f} rows/s"
        f"\na step: {statistics.median(steps):.1f} ms (median), {_p99(steps):.0f} ms (p99), {max(steps):.0f} ms (max)",
        flush=True,
    )


class Writer(threading.Thread):
    """Commits a row every few milliseconds and notes how long each COMMIT took."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self._url = url
        self._stopping = threading.Event()
        self._ms: list[float] = []

    def __enter__(self) -> Writer:
        self.start()
        return self

    def __exit__(self, *_) -> None:
        self._stopping.set()
        self.join()

    def run(self) -> None:
        with closing(connect(self._url, application_name="writer")) as connection, connection.cursor() as cursor:
            while not self._stopping.wait(0.005):
                began = time.perf_counter()
                cursor.execute("insert into alert_logs (alert_type) values ('benchmark')")
                self._ms.append((time.perf_counter() - began) * 1000)

    def report(self, title: str) -> None:
        """Print what was noted since the last time."""
        noted, self._ms = self._ms, []
        print(
            f"{title}: {len(noted):,} commits, {statistics.median(noted):.2f} ms (median),"
            f" {_p99(noted):.2f} ms (p99), {max(noted):.1f} ms (max)",
            flush=True,
        )


def _p99(values: list[float]) -> float:
    return statistics.quantiles(values, n=100)[98]


if __name__ == "__main__":
    main()
