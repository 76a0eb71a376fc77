"""What one sequencer keeps up with: how late a change is at a steady rate, and how long a bulk takes.

    ./run python benchmarks/sequencer.py [--rate 10000] [--of readings] [--minutes 1] [--bulk 100000]

Starts a PostgreSQL and a feed of its own. Latency is from the trigger to the client's recv, so that what is left of the
writer's transaction is in it. Every client's ids are checked: each change once, in order, without a gap.
"""

from __future__ import annotations

import os
import time
from contextlib import ExitStack
from typing import Any

from app.postgres.connections import connect
from benchmarks.arguments import amount, count, parser
from benchmarks.bench import (
    OTHERS,
    SERVED,
    Feed,
    Load,
    check,
    database,
    feed,
    measure,
    newest,
    prepare,
    used_seconds,
    writing,
)
from tests.waiting import until

_WINDOW_SECONDS = 10.0


def main() -> None:
    command = parser(__doc__)
    command.add_argument("--rate", type=amount, default=10_000.0, help="changes a second")
    command.add_argument("--batch", type=count, default=100, help="rows in a transaction")
    command.add_argument("--writers", type=count, default=2, help="connections that share the rate")
    command.add_argument("--of", choices=("changes", "readings"), default="changes", help="movements, or readings")
    command.add_argument("--minutes", type=amount, default=1.0)
    command.add_argument("--bulk", type=count, default=100_000, help="rows in one statement")
    command.add_argument("--clients", type=count, default=1)
    options = command.parse_args()
    prepare()
    everywhere = SERVED | OTHERS  # the database is what is measured here, and its writer has to be fast enough
    os.sched_setaffinity(0, everywhere)
    with (
        database(everywhere) as server,
        feed(server.url()) as ours,
        Load(ours.port, options.clients, dense=True) as load,
    ):
        url = server.url()
        with ExitStack() as writers:
            for _ in range(options.writers):
                writers.enter_context(writing(options.of, url, options.rate / options.writers, batch=options.batch))
            _steady(ours, load, url, options.minutes)
        until(lambda: load.report()["newest"] >= newest(url), 60, "the newest change at the clients")
        _bulk(load, url, options.bulk)


def _steady(ours: Feed, load: Load, url: str, minutes: float) -> None:
    print("changes/s   p50 ms   p99 ms   CPU of the sequencer's backend   of the worker   inbox MB", flush=True)
    end = time.monotonic() + minutes * 60
    while time.monotonic() < end:
        [(pid,)] = _ask(url, "select pid from pg_stat_activity where application_name = 'people-feed sequencer'")
        before = used_seconds(pid)
        report = measure(load, ours.pid, min(_WINDOW_SECONDS, max(1.0, end - time.monotonic())), warm_up=0.5)
        check(report)
        cpu = (used_seconds(pid) - before) / (report["seconds"] + 0.5)
        [(size,)] = _ask(url, "select pg_total_relation_size('change_inbox') / 1e6")
        rate = report["frames"] / report["seconds"] / max(1, report.get("clients", 1))
        print(
            f"{rate:>9.0f} {report['p50']:>8.1f} {report['p99']:>8.1f} {cpu:>32.2f} {report['cpu']:>15.2f}"
            f" {size:>10.0f}",
            flush=True,
        )


def _bulk(load: Load, url: str, rows: int) -> None:
    with_rows = "insert into people_movements (session_id, person_id, movement_direction)"
    began = time.monotonic()
    _ask(
        url,
        with_rows + " select (select id from sessions limit 1), n, 'in' from generate_series(1, %s) n returning 0",
        rows,
    )
    committed = time.monotonic()
    last = newest(url)
    numbered = time.monotonic()
    until(lambda: load.report()["newest"] >= last, 120, "the last change at the clients")
    print(
        f"{rows} rows in one statement: {committed - began:.1f} s to its commit, then {numbered - committed:.1f} s"
        f" until all have ids, {time.monotonic() - committed:.1f} s until the last client has the last"
    )


def _ask(url: str, question: str, *values: object) -> list[tuple[Any, ...]]:
    connection = connect(url, application_name="benchmark")
    try:
        with connection.cursor() as cursor:
            cursor.execute(question, values)
            return cursor.fetchall()
    finally:
        connection.close()


if __name__ == "__main__":
    main()
