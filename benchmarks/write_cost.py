"""What the change log costs a writer: transactions per second without a trigger, with a bare pg_notify, and with ours.

    ./run python benchmarks/write_cost.py [--seconds 2] [--rounds 5] [--url postgresql://superuser@host/database]

Three databases with the same tables differ in their triggers only. The variants take turns within each round, so that
what else the machine does hits all of them; medians are printed. A transaction is one INSERT of a movement with
synchronous_commit on, by a prepared statement. In each database one connection listens, as in production.
"""

from __future__ import annotations

import multiprocessing
import select
import statistics
import tempfile
import time
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from app.config import CHECKOUT
from app.postgres.connections import connect
from app.postgres.embedded import Server
from benchmarks.arguments import amount, count, parser

VARIANTS = ("none", "bare", "ours")
WRITERS = (1, 8)
TABLES = next((CHECKOUT / "sql").glob("0001_*.sql"))
CHANGE_LOG = sorted(file for file in TABLES.parent.glob("[0-9]*.sql") if file != TABLES)
SESSION = "00000000-0000-0000-0000-000000000001"
BARE = """
    create function bare() returns trigger language plpgsql as $$
    begin perform pg_notify('movement_changes', row_to_json(new)::text); return null; end $$;
    create trigger bare after insert on people_movements for each row execute function bare();
"""
INSERT = """
    prepare add_movement as insert into people_movements
    (session_id, person_id, movement_direction, centroid_x, centroid_y, confidence_score, frame_number)
    values ($1, $2, 'in', 320.5, 240.25, 0.87, 1234)
"""


def main() -> None:
    command = parser(__doc__)
    command.add_argument("--seconds", type=amount, default=2.0, help="of each measurement")
    command.add_argument("--rounds", type=count, default=5)
    command.add_argument("--url", help="a superuser's URL; else an embedded server for the occasion")
    arguments = command.parse_args()
    with tempfile.TemporaryDirectory(prefix="feed-bench-", dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        server = None if arguments.url else Server(Path(folder))
        if server is not None:
            server.start()
        try:
            url = arguments.url or server.url("postgres", "postgres")
            _print(_measure_all(url, arguments.seconds, arguments.rounds))
        finally:
            if server is not None:
                server.stop()


def _measure_all(url, seconds, rounds):
    urls = {variant: _with_database(url, f"write_cost_{variant}") for variant in VARIANTS}
    try:
        for variant in VARIANTS:
            _create(url, urls[variant], variant)
        results = {(writers, variant): [] for writers in WRITERS for variant in VARIANTS}
        for _ in range(rounds):
            for writers, variant in results:
                with _listening(urls[variant]):
                    results[writers, variant].append(_measure(urls[variant], writers, seconds))
        return results
    finally:
        with closing(connect(url, application_name="write_cost")) as admin:
            for variant in VARIANTS:
                _run(admin, f"drop database if exists write_cost_{variant} with (force)")


@contextmanager
def _listening(url):
    """A process that hears everything, for the block."""
    ready = multiprocessing.Event()
    process = multiprocessing.Process(target=_listen, args=(url, ready), daemon=True)
    process.start()
    ready.wait(60)
    try:
        yield
    finally:
        process.terminate()
        process.join()


def _listen(url, ready):
    with closing(connect(url, application_name="write_cost listener")) as connection:
        _run(connection, "listen movement_changes")
        ready.set()
        while True:
            select.select([connection], [], [])
            connection.poll()
            connection.notifies.clear()


def _create(url, database_url, variant):
    with closing(connect(url, application_name="write_cost")) as admin:
        _run(admin, f"drop database if exists write_cost_{variant} with (force)")
        _run(admin, f"create database write_cost_{variant}")
    with closing(connect(database_url, application_name="write_cost")) as admin:
        _run(admin, TABLES.read_text())
        for statements in {"none": [], "bare": [BARE], "ours": [file.read_text() for file in CHANGE_LOG]}[variant]:
            _run(admin, statements)
        _run(admin, f"insert into sessions (id, session_name) values ('{SESSION}', 'benchmark')")


def _measure(url, writers, seconds):
    """Transactions per second of so many writers, each a process with a connection of its own."""
    start, results = multiprocessing.Barrier(writers + 1), multiprocessing.Queue()
    processes = [multiprocessing.Process(target=_write, args=(url, seconds, start, results)) for _ in range(writers)]
    for process in processes:
        process.start()
    start.wait(60)
    done = sum(results.get(timeout=seconds + 60) for _ in processes)
    for process in processes:
        process.join()
    return done / seconds


def _write(url, seconds, start, results):
    with closing(connect(url, application_name="write_cost", synchronous_commit="on")) as connection:
        cursor = connection.cursor()
        cursor.execute(INSERT)
        for person in range(100):  # the server has planned everything when it counts
            cursor.execute(f"execute add_movement('{SESSION}', {person})")
        start.wait(60)
        done, end = 0, time.monotonic() + seconds
        while time.monotonic() < end:
            cursor.execute(f"execute add_movement('{SESSION}', {done})")
            done += 1
    results.put(done)


def _print(results):
    medians = {key: statistics.median(values) for key, values in results.items()}
    print(f"{'writers':>7}  {'no trigger':>10}  {'pg_notify':>10}  {'ours':>10}  {'ours / pg_notify':>16}")
    for writers in WRITERS:
        none, bare, ours = (medians[writers, variant] for variant in VARIANTS)
        # The ratio within each round, since a round is what the variants have in common.
        ratio = statistics.median(
            mine / theirs for mine, theirs in zip(results[writers, "ours"], results[writers, "bare"], strict=True)
        )
        print(f"{writers:>7}  {none:>10.0f}  {bare:>10.0f}  {ours:>10.0f}  {ratio:>16.2f}")


def _with_database(url, name):
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=f"/{name}")) if parts.netloc else f"{parts.scheme}:///{name}?{parts.query}"


def _run(connection, statement):
    with connection.cursor() as cursor:
        cursor.execute(statement)


if __name__ == "__main__":
    main()
