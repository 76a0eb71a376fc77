"""What the change log costs a writer: transactions per second without a trigger, with a bare pg_notify, and with ours.

    ./run python benchmarks/write_cost.py [--writers 1,8,32] [--flush-ms 0,2] [--before FOLDER]

Databases with the same tables differ in their triggers only. The variants take turns within each round, so that what
else the machine does hits all of them; medians are printed. A transaction is one INSERT of a movement with
synchronous_commit on, by a prepared statement. In each database one connection listens, as in production, and in ours a
sequencer gives out the ids; at the end of each measurement it has to have given one to every change.

--flush-ms makes the disk slower by so much: slow_flush.c, preloaded into PostgreSQL. --before is a checkout of another
version, whose sql/ is measured, too.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import select
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from app.config import CHECKOUT
from app.postgres import binaries
from app.postgres.connections import connect
from app.postgres.embedded import Server
from app.postgres.migrate import migrate
from benchmarks.arguments import amount, count, parser
from tests.waiting import until

TITLES = {"none": "no trigger", "bare": "pg_notify", "before": "before", "ours": "ours"}
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
    command.add_argument("--writers", type=_numbers, default=[1, 8, 32])
    command.add_argument("--flush-ms", type=_numbers, default=[0])
    command.add_argument("--before", type=Path, help="a checkout of another version")
    arguments = command.parse_args()
    before = {"before": arguments.before} if arguments.before else {}
    schemas = {"none": None, "bare": None, **before, "ours": CHECKOUT}
    for flush_ms in arguments.flush_ms:
        with _server(flush_ms) as server:
            results = _measure_all(server, schemas, arguments.writers, arguments.seconds, arguments.rounds)
        _print(flush_ms, results, list(schemas), arguments.writers)


def _numbers(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of whole numbers, such as 1,8,32.") from None


@contextmanager
def _server(flush_ms):
    """An embedded server on a disk that takes so much longer to flush."""
    with tempfile.TemporaryDirectory(prefix="feed-bench-", dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        library = Path(folder) / "slow_flush.so"
        subprocess.run(
            ["cc", "-O2", "-shared", "-fPIC", "-o", library, CHECKOUT / "benchmarks" / "slow_flush.c", "-ldl"],
            check=True,
        )
        library.chmod(0o755)
        identity = binaries.identity
        server = Server(Path(folder), max_connections="200")
        server.start()  # made at full speed
        server.stop()

        def slow(user):
            arguments = identity(user)
            arguments["env"] |= {"LD_PRELOAD": str(library), "FLUSH_US": str(flush_ms * 1000)}
            return arguments

        binaries.identity = slow
        try:
            server = Server(Path(folder), max_connections="200")
            server.start()
        finally:
            binaries.identity = identity
        try:
            yield server
        finally:
            server.stop()


def _measure_all(server, schemas, counts, seconds, rounds):
    url = server.url("postgres", "postgres")
    urls = {variant: _with_database(url, f"write_cost_{variant}") for variant in schemas}
    for variant, checkout in schemas.items():
        _create(url, urls[variant], variant, checkout)
    results = {(writers, variant): [] for writers in counts for variant in schemas}
    for _ in range(rounds):
        for writers, variant in results:
            with _listening(urls[variant]), _sequencing(urls[variant], variant):
                results[writers, variant].append(_measure(urls[variant], writers, seconds))
                if variant == "ours":
                    _check(urls[variant])
    return results


@contextmanager
def _sequencing(url, variant):
    """A process that gives out ids, for the block; the versions before need none."""
    if variant != "ours":
        yield
        return
    command = [sys.executable, "-m", "flask", "--app", "app.cli", "sequence"]
    environ = os.environ | {"DATABASE_URL": url, "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, cwd=CHECKOUT)
    try:
        process.stdout.readline()
        yield
    finally:
        process.terminate()
        process.communicate(timeout=30)


def _check(url):
    """Every change has an id."""
    with closing(connect(url, application_name="write_cost")) as admin:
        until(lambda: _ask(admin, "select count(*) from change_inbox") == 0, 30, "every change to have an id")
        logged = _ask(admin, "select count(*) from change_log where table_name = 'people_movements'")
        written = _ask(admin, "select count(*) from people_movements")
        if logged != written:
            raise SystemExit(f"{written} movements were written, and {logged} are in the log.")


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


def _create(url, database_url, variant, checkout):
    with closing(connect(url, application_name="write_cost")) as admin:
        _run(admin, f"drop database if exists write_cost_{variant} with (force)")
        _run(admin, f"create database write_cost_{variant}")
    if checkout:
        migrate(database_url, checkout / "sql")
    with closing(connect(database_url, application_name="write_cost")) as admin:
        if not checkout:
            _run(admin, next((CHECKOUT / "sql").glob("0001_*.sql")).read_text("utf-8"))
        if variant == "bare":
            _run(admin, BARE)
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


def _print(flush_ms, results, variants, counts):
    print(f"flush +{flush_ms} ms, transactions a second; in brackets the share of no trigger, in the same round")
    print(
        "writers" + "".join(f"{TITLES[variant]:>20}" for variant in variants) + f"{'ours / pg_notify':>20}", flush=True
    )
    for writers in counts:
        cells = []
        for variant in variants:
            share = _ratio(results, writers, variant, "none")
            cells.append(f"{statistics.median(results[writers, variant]):.0f} ({share:.2f})")
        print(
            f"{writers:>7}" + "".join(f"{cell:>20}" for cell in cells)
            + f"{_ratio(results, writers, 'ours', 'bare'):>20.2f}", flush=True
        )  # fmt: skip


def _ratio(results, writers, variant, other):
    """The median of the ratios within each round, since a round is what the variants have in common."""
    pairs = zip(results[writers, variant], results[writers, other], strict=True)
    return statistics.median(mine / theirs for mine, theirs in pairs)


def _with_database(url, name):
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=f"/{name}")) if parts.netloc else f"{parts.scheme}:///{name}?{parts.query}"


def _ask(connection, question):
    with connection.cursor() as cursor:
        cursor.execute(question)
        [(answer,)] = cursor.fetchall()
    return answer


def _run(connection, statement):
    with connection.cursor() as cursor:
        cursor.execute(statement)


if __name__ == "__main__":
    main()
