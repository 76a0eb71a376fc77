"""What a client sees of each fault, and for how long: one fault at a time, with the default settings.

    ./run python -m benchmarks.faults [--times 3]

Starts a PostgreSQL behind a proxy and a gunicorn of two workers. Eight clients follow all topics as EventSource does,
while 50 changes a second are written. Each strike is followed until everyone has everything; every client's ids
are compared with the log. Printed is the worst of all clients and times:

lasted   how long the fault itself took, from the first blow until what was broken runs again
silent   the longest time between two changes that a client got (also because nobody could write meanwhile)
late     the longest time from a change's COMMIT to a client
"""

from __future__ import annotations

import contextlib
import http.client
import shutil
import tempfile
import threading
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import psycopg2

from benchmarks.arguments import count, parser
from tests.event_stream import EventStream
from tests.fault.faults import DECKS, Faults
from tests.fault.feed import Database, Feed
from tests.waiting import until

_CLIENTS = 8
_CHANGES_PER_SECOND = 50
# No faults, or they change what there is to compare, or by which clock.
_ASIDE = {
    "attack_as_a_client",
    "attack_as_a_role",
    "hold_advisory_locks",
    "test_triggers",
    "prune_the_log",
    "truncate_a_table",
    "set_clock_back",
}


class Follower(threading.Thread):
    """An EventSource that notes what it hears and how late."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self.seen: list[int] = []
        self.cursor: int | None = None
        self._url = url
        self.forget()

    def forget(self) -> None:
        """Restart the notes."""
        self.heard: Counter[str] = Counter()
        self.late = self.silent = 0.0
        self._last = time.monotonic()

    def run(self) -> None:
        while True:
            retry_seconds = 3.0
            try:
                with EventStream(self._url, last_event_id=self.cursor, timeout=120) as stream:
                    if stream.head.status == 200:
                        self._follow(stream)
                        self.heard["stream ended"] += 1
                        retry_seconds = (stream.retry_ms or 3000) / 1000
                    else:
                        self.heard[f"status {stream.head.status}"] += 1
            except (OSError, http.client.HTTPException, ValueError) as error:
                self.heard["refused" if isinstance(error, ConnectionRefusedError) else "stream cut"] += 1
            time.sleep(retry_seconds)

    def _follow(self, stream: EventStream) -> None:
        while (message := stream.next()) is not None:
            self.cursor = stream.last_event_id
            if message["type"] == "data":
                now = time.monotonic()
                self.seen.append(message["data"]["id"])
                self.late = max(self.late, time.time() - message["data"]["timestamp"])
                self.silent, self._last = max(self.silent, now - self._last), now
            elif message["type"] == "connection":
                self.heard[f"connection {message['data']['status']}"] += 1
            elif message["type"] == "error":
                self.heard[message["error"]] += 1


class Writer(threading.Thread):
    """Writes until it is told to rest, as soon as the database lets it."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self.goes_on = threading.Event()
        self.is_at_rest = threading.Event()
        self._url = url

    def run(self) -> None:
        while True:
            self.is_at_rest.set()
            self.goes_on.wait()
            self.is_at_rest.clear()
            with (
                contextlib.suppress(psycopg2.Error),
                closing(psycopg2.connect(self._url, application_name="writer")) as connection,
                connection.cursor() as cursor,
            ):
                connection.autocommit = True
                while self.goes_on.is_set():
                    cursor.execute("insert into alert_logs (alert_type) values ('benchmark')")
                    time.sleep(1 / _CHANGES_PER_SECOND)
            time.sleep(0.02)


def main() -> None:
    command = parser(__doc__)
    command.add_argument("--times", type=count, default=3, help="how often each fault strikes")
    options = command.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="faults-", dir="/tmp"))
    folder.chmod(0o755)
    database = Database(folder / "db")
    database.start()
    feed = Feed(folder, database.proxy_url, WEB_CONCURRENCY=2)
    feed.start()
    try:
        _strike_all(database, feed, options.times)
    finally:
        feed.stop()
        database.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _strike_all(database: Database, feed: Feed, times: int) -> None:
    writer = Writer(database.url)
    writer.start()
    followers = [Follower(f"http://127.0.0.1:{feed.port}") for _ in range(_CLIENTS)]
    for follower in followers:
        follower.start()
    until(lambda: all(follower.heard["connection live"] for follower in followers), what="the clients to be live")
    faults = Faults(1, database, feed)
    print(f"{'fault':28} {'lasted':>7} {'silent':>7} {'late':>7}   what {_CLIENTS} clients heard, {times} times")
    for name in (name for deck in DECKS.values() for name in deck if name not in _ASIDE):
        heard: Counter[str] = Counter()
        silent = late = 0.0
        for _ in range(times):
            _strike(name, database, writer, followers, faults)
            heard += sum((follower.heard for follower in followers), Counter())
            silent = max(silent, *[follower.silent for follower in followers])
            late = max(late, *[follower.late for follower in followers])
        title = name.replace("_", " ")
        told = ", ".join(f"{count} x {what}" for what, count in sorted(heard.items())) or "nothing"
        print(f"{title:28} {faults.seconds[title]:5.1f} s {silent:5.1f} s {late:5.2f} s   {told}", flush=True)


def _strike(name: str, database: Database, writer: Writer, followers: list[Follower], faults: Faults) -> None:
    starts = [len(follower.seen) for follower in followers]
    [[before]] = database.execute("select coalesce(max(id), 0) from change_log")
    for follower in followers:
        follower.forget()
    writer.goes_on.set()
    time.sleep(1)
    faults.commit(name)
    time.sleep(1)
    writer.goes_on.clear()
    writer.is_at_rest.wait()
    database.execute("select number_changes()")
    ids = [number for (number,) in database.execute("select id from change_log where id > %s order by id", (before,))]
    for start, follower in zip(starts, followers, strict=True):
        until(lambda: follower.seen[start:][-1:] == ids[-1:], 60, f"a client to get all after: {name}")  # noqa: B023
        assert follower.seen[start:] == ids, f"{name}: a client did not get each change once and in order"


if __name__ == "__main__":
    main()
