"""Feed: a real gunicorn that dies and comes back on the same port, on a real PostgreSQL behind a proxy.

Invariant: the app reaches the database through the proxy only; writers, and the tests themselves, do not.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psycopg2

from app.postgres.embedded import Server
from app.postgres.migrate import migrate
from tests.fault.proxy import Proxy
from tests.serving import Gunicorn
from tests.waiting import until


class Database:
    """An embedded PostgreSQL that is started again when it dies, with a proxy before it."""

    def __init__(self, folder: Path, **settings: str) -> None:
        folder.mkdir(exist_ok=True)
        folder.chmod(0o755)  # the server's user is another one, and must get there
        self.server = Server(folder, **{"max_connections": "200", "max_notify_queue_pages": "512"} | settings)
        self.url = self.server.url()
        self.admin_url = self.server.url("postgres", "feed")
        self.proxy = Proxy(self._reach)
        self._lock_file = folder / "postgres" / "data" / "postmaster.pid"

    def start(self) -> None:
        self.server.start()
        migrate(self.url)
        self.server.watch()
        self.proxy.start()

    def stop(self) -> None:
        self.proxy.stop()
        self.server.stop()

    @property
    def proxy_url(self) -> str:
        return f"postgresql://feed@127.0.0.1:{self.proxy.port}/feed?sslmode=disable&gssencmode=disable"

    @property
    def pid(self) -> int:
        """The postmaster's process."""
        return int(self._lock_file.read_text("ascii").partition("\n")[0])

    def execute(self, statement: str, values: Sequence[object] | None = None) -> list[tuple[Any, ...]]:
        """Run one statement as the superuser, and commit."""
        return execute(self.admin_url, statement, values)

    def set_clock(self, interval: str) -> None:
        """Let the clock of what is recorded from now on differ from the machine's: ``"-1 hour"``, ``"0"``."""
        found = self.execute(
            "select prosrc, pg_get_functiondef(oid) from pg_proc where proname ~ '^notify_.*_change$' order by proname"
        )
        for source, definition in found:
            # What an earlier call has put there goes first.
            plain = re.sub(r"clock_timestamp\(\)( \+ interval '[^']*')?", "clock_timestamp()", source)
            changed = plain.replace("clock_timestamp()", f"clock_timestamp() + interval '{interval}'")
            self.execute(definition.replace(source, plain if interval == "0" else changed))

    def kill(self, by: int) -> None:
        """Send the postmaster a signal: INT is fast, QUIT immediate."""
        os.kill(self.pid, by)

    def wait_until_up(self, since: int | None = None) -> None:
        """Until it lets us in; with ``since``, until that postmaster has been replaced."""
        until(lambda: self._is_up(since), 60, "PostgreSQL to be up")

    def _is_up(self, since: int | None) -> bool:
        try:
            return self.pid != since and bool(self.execute("select 1"))
        except (psycopg2.Error, OSError, ValueError):
            time.sleep(0.05)
            return False

    def _reach(self) -> socket.socket:
        folder = parse_qs(urlsplit(self.url).query)["host"][0]
        sock = socket.socket(socket.AF_UNIX)
        try:
            sock.connect(f"{folder}/.s.PGSQL.5432")
        except OSError:
            sock.close()
            raise
        return sock


class Feed:
    """gunicorn with the app, on one port for good."""

    def __init__(self, folder: Path, database_url: str, **settings: object) -> None:
        self._folder = folder
        self._settings = {"DATABASE_URL": database_url} | settings
        self._server: Gunicorn | None = None
        self.logs: list[Path] = []
        self.port = 0

    def start(self, *options: str) -> None:
        log = self._folder / f"gunicorn-{len(self.logs)}.log"
        self.logs.append(log)
        self._server = Gunicorn(log, *options, **self._settings | {"PORT": self.port})
        self._server.wait_until_listening()
        self.port = urlsplit(self._server.url).port or 0

    def stop(self, by: int = signal.SIGTERM) -> None:
        if self._server:
            self._server.stop(by)

    def kill(self) -> None:
        """kill -9 of the arbiter; its workers notice and go."""
        assert self._server
        workers = self.workers()
        self._server.process.kill()
        self._server.process.wait()
        until(lambda: not any(map(_runs, workers)), 40, "the workers of a killed arbiter to leave")

    def reload(self) -> None:
        """HUP: other workers in place of all; returns when the old ones have left."""
        assert self._server
        old = self.workers()
        os.kill(self._server.pid, signal.SIGHUP)
        self.wait_until_gone(old)

    def workers(self) -> list[int]:
        assert self._server
        return sorted(self._server.workers())

    def wait_until_gone(self, pids: list[int]) -> None:
        until(lambda: not set(pids) & set(self.workers()), 40, f"workers {pids} to leave")


def _runs(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0]
    except OSError:
        return False


def execute(url: str, statement: str, values: Sequence[object] | None = None) -> list[tuple[Any, ...]]:
    """Run one statement on a connection of its own, and commit."""
    with closing(psycopg2.connect(url, application_name="fault", connect_timeout=5)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement, values)
            return cursor.fetchall() if cursor.description else []


@contextmanager
def locked(url: str, table: str) -> Iterator[Callable[[], bool]]:
    """Writers of the table wait inside the block; yields whether any does."""
    with closing(psycopg2.connect(url, application_name="fault")) as holder:
        with holder.cursor() as cursor:
            cursor.execute(f"lock table {table} in exclusive mode")
        yield lambda: bool(execute(url, "select 1 from pg_locks where not granted"))


@contextmanager
def stopped_reader(url: str, path: str = "/api/sse") -> Iterator[subprocess.Popen[bytes]]:
    """A process of its own that has opened a stream and is then stopped, as a laptop is whose lid is closed."""
    program = (
        "import sys, urllib.request\n"
        "stream = urllib.request.urlopen(sys.argv[1])\n"
        "while line := stream.readline(): sys.stdout.buffer.write(line), sys.stdout.flush()\n"
    )
    reader = subprocess.Popen([sys.executable, "-c", program, url + path], stdout=subprocess.PIPE)
    try:
        assert reader.stdout
        while b'"connection"' not in reader.stdout.readline():
            pass
        reader.send_signal(signal.SIGSTOP)
        yield reader
    finally:
        reader.kill()
        reader.communicate()
