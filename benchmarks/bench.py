"""What every benchmark needs: the load client, a paced writer, a feed of our own, pinning and CPU clocks.

Invariant: what is measured runs on the first core alone; PostgreSQL, writers and the load client share the others.
Everything that is started here ends with its block, also after an error.
"""

from __future__ import annotations

import atexit
import json
import os
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from app.config import CHECKOUT
from app.postgres.connections import connect
from app.postgres.embedded import Server
from app.postgres.migrate import migrate
from tests.serving import Gunicorn
from tests.waiting import until

HERE = CHECKOUT / "benchmarks"
_CORES = sorted(os.sched_getaffinity(0))
SERVED = {_CORES[0]}
OTHERS = set(_CORES[1:]) or SERVED


def prepare() -> None:
    """Take our place: away from the measured core, with enough file descriptors, and tidy on SIGTERM."""
    os.sched_setaffinity(0, OTHERS)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))


@contextmanager
def on_core(cores: Iterable[int]) -> Iterator[None]:
    """What is started in the block runs on these cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def folder() -> Iterator[Path]:
    """A short path that the embedded server's user may enter, too."""
    path = Path(tempfile.mkdtemp(prefix="feed-bench-", dir="/tmp"))
    path.chmod(0o755)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextmanager
def database(cores: Iterable[int] = OTHERS, /, **settings: str) -> Iterator[Server]:
    """An embedded PostgreSQL, migrated; away from the measured core unless told otherwise."""
    with folder() as path, on_core(cores):
        server = Server(path, **settings)
        server.start()
        try:
            migrate(server.url())
            yield server
        finally:
            server.stop()


@cache
def built(source: str) -> Path:
    """A C program of this folder, compiled for the occasion."""
    path = Path(tempfile.mkdtemp(prefix="feed-bench-", dir="/tmp"))
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    program = path / Path(source).stem
    subprocess.run(["cc", "-O2", "-Wall", "-o", program, HERE / source], check=True)
    return program


class Feed:
    """Our own server with one worker: ``port``, ``pid`` of the worker."""

    name = "ours"

    def __init__(self, database_url: str, log: Path, **settings: object) -> None:
        limits = {"MAX_STREAMS": 30_000, "MAX_STREAMS_PER_ADDRESS": 30_000, "WEB_CONCURRENCY": 1}
        with on_core(SERVED):
            self._gunicorn = Gunicorn(log, **limits | {"DATABASE_URL": database_url} | settings)
        try:
            self._gunicorn.wait_until_listening()
            [self.pid] = until(self._gunicorn.workers)
        except BaseException:
            self._gunicorn.stop()
            raise
        self.port = int(self._gunicorn.url.rpartition(":")[2])

    @property
    def log(self) -> str:
        return self._gunicorn.log

    def stop(self) -> None:
        self._gunicorn.stop()


@contextmanager
def feed(database_url: str, **settings: object) -> Iterator[Feed]:
    """Our own server, for as long as the block runs."""
    with folder() as path:
        running = Feed(database_url, path / "log", **settings)
        try:
            yield running
        finally:
            running.stop()


class Load:
    """The load client: see load.c for its options and for what it reports."""

    def __init__(
        self,
        port: int,
        clients: int,
        *options: object,
        paths: Sequence[str] = ("/api/sse",),
        dense: bool = False,
        quick_ack: bool = False,
    ) -> None:
        with tempfile.NamedTemporaryFile("w", prefix="feed-bench-", suffix=".paths") as listed:
            listed.write("\n".join(paths))
            listed.flush()
            words = [built("load.c"), port, "--clients", clients, "--paths", listed.name, *options]
            self._process = subprocess.Popen(
                [*map(str, words), *(["--dense"] if dense else []), *(["--quick-ack"] if quick_ack else [])],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            try:
                self.ready = self._answer()
            except BaseException:
                self.close()
                raise

    def reset(self) -> None:
        """Begin a new measurement."""
        self._say("reset")

    def report(self) -> dict[str, float]:
        """What was seen since the last reset."""
        self._say("report")
        return self._answer()

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()

    def __enter__(self) -> Load:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _say(self, word: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(word + "\n")
        self._process.stdin.flush()

    def _answer(self) -> dict[str, float]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the load client ended")
        return json.loads(line)


@contextmanager
def writing(kind: str, target: str, rate: float, *, batch: int = 1, sessions: int = 1) -> Iterator[None]:
    """Changes at an even pace, from a process of their own: see writer.py."""
    words = [sys.executable, HERE / "writer.py", kind, target, rate, "--batch", batch, "--sessions", sessions]
    process = subprocess.Popen(
        [str(word) for word in words], stdin=subprocess.DEVNULL, env=os.environ | {"PYTHONPATH": str(CHECKOUT)}
    )
    try:
        yield
        if process.poll() is not None:
            raise RuntimeError("the writer ended before its time")
    finally:
        process.terminate()
        process.wait()


def used_seconds(pid: int) -> float:
    """The CPU time of a process and its threads, to the nanosecond."""
    tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9


def memory(pid: int) -> int:
    """The bytes of memory that a process has to itself (PSS)."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def measure(load: Load, pid: int, seconds: float, *, warm_up: float = 1.0) -> dict[str, float]:
    """One measurement under the load that runs: the client's report, and the server's CPU."""
    time.sleep(warm_up)
    load.reset()
    before, began = used_seconds(pid), time.monotonic()
    time.sleep(seconds)
    used, spent = used_seconds(pid) - before, time.monotonic() - began
    report = load.report()
    frames = max(1, report["frames"])
    return report | {
        "cpu": used / spent,
        "us_per_delivery": used / frames * 1e6,
        "deliveries_per_second": report["frames"] / report["seconds"],
    }


def check(report: dict[str, float]) -> None:
    """A measurement counts only if nothing was lost, repeated or out of order, and no client was cut."""
    wrong = {name: report[name] for name in ("not_rising", "gaps", "wrong_id", "errors", "closed") if report[name]}
    if wrong:
        raise RuntimeError(f"the clients did not get what they should: {wrong}")


def middle(rounds: Sequence[dict[str, float]], name: str) -> float:
    return statistics.median(one[name] for one in rounds)


def spread(rounds: Sequence[dict[str, float]], name: str) -> tuple[float, float]:
    values = [one[name] for one in rounds]
    return min(values), max(values)


def newest(url: str) -> int:
    """The newest id of the change log, once all that is committed has one."""
    connection = connect(url, application_name="benchmark")
    try:
        with connection.cursor() as cursor:
            cursor.execute("select to_regproc('public.number_changes') is not null")  # versions before have none
            if cursor.fetchall() == [(True,)]:
                cursor.execute("select number_changes()")
            cursor.execute("select coalesce(max(id), 0) from change_log")
            return int(cursor.fetchall()[0][0])
    finally:
        connection.close()


def caught_up(load: Load, cursor: Callable[[], int], seconds: float = 30.0) -> None:
    """Wait until the clients have the newest change."""
    until(lambda: load.report()["newest"] >= cursor(), seconds, "the newest change at the clients")
