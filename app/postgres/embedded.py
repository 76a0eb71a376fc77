"""The embedded PostgreSQL: one server below a data folder, shared by every process that needs it.

Invariant: a process that holds the server (between ``start`` and ``stop``) keeps a shared lock on ``users.lock``; the
last one to leave stops the server. The kernel drops the lock of a killed process, so kill -9 leaves nothing to repair:
the next start adopts a server that survived and restarts one that did not.
"""

from __future__ import annotations

import fcntl
import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg2

from app.config import Config
from app.postgres.cluster import Cluster, PostgresError

__all__ = ["PostgresError", "Server", "database_url", "running"]

log = logging.getLogger(__name__)


@contextmanager
def running(config: Config) -> Iterator[str]:
    """The URL of the database, whose server runs until the end of the block."""
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
    """The URL of the database, given or embedded."""
    return config.database_url or Server(config.data_dir).url()


class Server:
    """The server of one data folder, as one process holds it; ``settings`` go to PostgreSQL."""

    def __init__(self, data_dir: Path, **settings: str) -> None:
        self.data_dir = data_dir.absolute()
        self.cluster = Cluster(self.data_dir, settings)
        self._share: int | None = None
        self._watcher: threading.Thread | None = None
        self._stopping = threading.Event()

    def url(self, role: str = "feed", database: str = "feed") -> str:
        """How to reach it. The role ``feed`` owns the database ``feed``; ``postgres`` is the superuser."""
        return self.cluster.url(role, database)

    def start(self) -> None:
        """Hold the server: adopt a running one, else start it, else create it.

        Raises:
            PostgresError: says what stands in the way.
        """
        try:
            self.data_dir.mkdir(parents=True, exist_ok=True)
            with self._alone():
                self._share = _locked(self.data_dir / "users.lock", fcntl.LOCK_SH)
                self.cluster.ensure_running()
        except (OSError, LookupError) as error:
            self.stop()
            raise PostgresError(f"The embedded PostgreSQL cannot run in {self.data_dir}: {error}") from error
        except PostgresError:
            self.stop()
            raise

    def stop(self) -> None:
        """Release the server; the last process to do so stops it. May be called twice, and without a start."""
        self._stopping.set()
        if self._watcher:
            self._watcher.join()
        if self._share is None:
            return
        with self._alone():
            try:
                fcntl.flock(self._share, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                log.info("Other processes still use the embedded PostgreSQL: it keeps running.")
            else:
                try:
                    self.cluster.shut_down()
                except PostgresError as error:
                    log.error("%s", error)
            os.close(self._share)
            self._share = None

    def watch(self) -> None:
        """Restart the server whenever it dies, until ``stop``."""
        self._stopping.clear()
        self._watcher = threading.Thread(target=self._watch, name="postgres-watch", daemon=True)
        self._watcher.start()

    def _watch(self) -> None:
        while not self._stopping.wait(0.5):
            try:
                if not self.cluster.answers():
                    self._revive()
            except (PostgresError, OSError, LookupError, psycopg2.Error):
                log.exception("The embedded PostgreSQL could not be checked or restarted; the next try follows.")

    def _revive(self) -> None:
        log.error("The embedded PostgreSQL has died: restarting it.")
        with self._alone():
            self.cluster.ensure_running()
        log.warning("The embedded PostgreSQL is running again.")

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Only one process at a time starts or stops the server."""
        lock = _locked(self.data_dir / "start.lock", fcntl.LOCK_EX)
        try:
            yield
        finally:
            os.close(lock)


def _locked(path: Path, how: int) -> int:
    descriptor = os.open(path, os.O_RDONLY | os.O_CREAT, 0o600)
    if os.fstat(descriptor).st_uid == os.geteuid():
        os.fchmod(descriptor, 0o600)  # any user who can open it can hold the lock
    fcntl.flock(descriptor, how)
    return descriptor
