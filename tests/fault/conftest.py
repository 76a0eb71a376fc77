"""A stage for fault tests: PostgreSQL behind a proxy, gunicorn with two workers, clients and writers around them."""

from __future__ import annotations

import shutil
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg2
import pytest

from tests.fault.faults import Faults
from tests.fault.feed import Database, Feed
from tests.fault.judge import Judge
from tests.fault.streams import Client, Crowd, Wanted
from tests.fault.writers import LASTING, Pace, Writer, insert_lasting_sessions
from tests.scratch import make_folder

_EVERYTHING = ("sessions", "movements", "alerts", "metrics")
_SETTINGS = {
    "WEB_CONCURRENCY": 2,
    "HEARTBEAT_SECONDS": 0.5,
    "RETRY_SECONDS": 0.1,
    "LISTENER_CHECK_SECONDS": 0.5,
    "QUEUE_FRAMES": 20,
    "RING_BYTES": 500_000,
}
# One of each kind of filter, and of each way to be slow. Those that build rows begin with a snapshot.
_CLIENTS = (
    ("everything", "steady", Wanted(_EVERYTHING), True),
    ("alerts", "steady", Wanted(("alerts",)), True),
    ("one session", "flapping", Wanted(_EVERYTHING, session_id=LASTING[0]), True),
    ("open alerts", "steady", Wanted(("alerts",), resolved=False), True),
    ("resolved alerts", "flapping", Wanted(("alerts",), resolved=True), False),
    ("two topics", "stalling", Wanted(("movements", "metrics")), False),
    ("trickle", "trickling", Wanted(("movements", "sessions")), False),
)


class Stage:
    """What the tests of this folder play on. ``faults`` break it, ``check`` says what the clients made of it."""

    def __init__(self, folder: Path) -> None:
        self.database = Database(folder / "db", fsync="off")
        self.database.start()
        self.feed = Feed(folder, self.database.proxy_url, **_SETTINGS)
        self.feed.start()
        self.faults = Faults(0, self.database, self.feed)
        self.pace = Pace(150, debt_seconds=1)
        with closing(psycopg2.connect(self.database.url)) as connection, connection, connection.cursor() as cursor:
            insert_lasting_sessions(cursor)
        for number in range(3):
            Writer(number, 0, self.database.url, self.pace).start()

    def open(self) -> None:
        """Let the clients come, and wait until each has its place."""
        self.crowd = Crowd(self.feed.port)
        self.judge = Judge(self.database.url, self.crowd)
        for name, kind, wanted, builds in _CLIENTS:
            self.crowd.clients.append(Client(name, kind, wanted, "0", self.crowd, builds=builds, version="1.1"))
        self.crowd.start()
        self.judge.wait_until_all_is_seen(60)
        self.crowd.is_calm = False

    @contextmanager
    def writing(self):
        """Inside the block, writers write to all tables."""
        self.pace.go_on()
        try:
            yield
        finally:
            self.pace.pause()

    def check(self) -> None:
        """Each client has seen what concerns it, once and in order, and has the rows that are there."""
        self.judge.wait_until_all_is_seen(90)
        self.judge.compare(self.faults.floor)
        self.crowd.is_calm = False

    def close(self) -> None:
        self.crowd.stop()
        self.crowd.join()

    def stop(self) -> None:
        self.pace.stop()
        self.feed.stop()
        self.database.stop()


@pytest.fixture(scope="session")
def lasting_stage():
    folder = make_folder("fault-")
    stage = Stage(folder)
    yield stage
    stage.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def stage(lasting_stage):
    """The stage, with clients of its own for each test."""
    lasting_stage.open()
    yield lasting_stage
    lasting_stage.close()
