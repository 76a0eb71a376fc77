"""Clients that others wrote get every change once and in order, wherever a connection is cut.

All run side by side, each behind its own scissors, while rows are written by SQL and gunicorn is reloaded, restarted
without its database, and restarted with it; then each is judged by the change log. docs/reference/clients.md is this in
prose.
"""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import threading
import urllib.request
from collections import Counter
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

import psycopg2
import pytest

from app.config import CHECKOUT
from tests.fault.feed import Database, Feed
from tests.foreign.scissors import EVERY_CUT, Cut, Scissors
from tests.scratch import make_folder
from tests.waiting import until

HERE = Path(__file__).parent
NODE, PYTHON = ["node"], [sys.executable]
CHROMIUM = [sys.executable, "-m", "tests.foreign.clients.in_chromium"]

# Each with the cuts that it goes through unharmed.
CLIENTS = {
    "eventsource": ([*NODE, HERE / "clients/eventsource.mjs"], EVERY_CUT),
    "eventsource-client": ([*NODE, HERE / "clients/eventsource-client.mjs"], EVERY_CUT),
    "eventsource-parser": ([*NODE, HERE / "clients/eventsource-parser.mjs"], EVERY_CUT),
    "httpx-sse": ([*PYTHON, HERE / "clients/with_httpx_sse.py"], EVERY_CUT),
    "requests-sse": ([*PYTHON, HERE / "clients/with_requests_sse.py"], EVERY_CUT),
    "sseclient-py": ([*PYTHON, HERE / "clients/with_sseclient.py"], [cut for cut in EVERY_CUT if cut.in_chunks]),
    "Chromium": ([*CHROMIUM, "EventSource"], EVERY_CUT),
    "event-source-polyfill": ([*CHROMIUM, "event-source-polyfill"], EVERY_CUT),
    "fetch-event-source": (
        [*CHROMIUM, "fetch-event-source"],
        [cut for cut in EVERY_CUT if cut.place != "behind the id"],
    ),
}
# And two that do harm, by the client's own doing.
LOSES = "fetch-event-source, cut behind the id"
REPEATS = "sseclient-py, cut behind the data"
RUNS = CLIENTS | {
    LOSES: ([*CHROMIUM, "fetch-event-source"], [Cut("behind the id", in_chunks=False)] * 3),
    REPEATS: ([*PYTHON, HERE / "clients/with_sseclient.py"], [Cut("behind the data", in_chunks=False)] * 3),
}
_FEW, _SOME = 2, 5  # cuts, after which gunicorn is reloaded, and restarted


class Client:
    """A program that prints the data of each event; it reaches the feed through scissors of its own."""

    def __init__(self, name, command, cuts, port, cursor, folder):
        self.name, self.seen, self.heard, self.broken = name, [], [], []
        self.scissors = Scissors(port, cuts)
        self._log = folder / f"{name}.log"
        url = f"http://127.0.0.1:{self.scissors.server_address[1]}/api/sse/alerts?last_event_id={cursor}"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen([*command, url], cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=log)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self._process.stdout:
            try:
                message = json.loads(line)
            except ValueError:
                self.broken.append(line)
                continue
            if message["type"] == "data":
                self.seen.append(message["data"]["id"])
            elif message["type"] == "error":
                self.heard.append(message["error"])

    @property
    def cut_changes(self):
        """The ids of the changes whose frames were cut."""
        return [number for _, number in self.scissors.made]

    def has_been_cut(self, times):
        return len(self.scissors.made) >= times or not self.scissors.due or self._is_dead()

    def has_heard_of_an_outage(self):
        return "database_unavailable" in self.heard or self._is_dead()

    def is_at(self, newest):
        return self.seen[-1:] == [newest] or self._is_dead()

    def is_through(self):
        """Whether nothing has kept it from getting its changes; says in the log what has."""
        print(self._log.read_text()[-2000:], self.scissors.made, f"still due: {self.scissors.due}", self.heard)
        return not self.scissors.due and self.has_heard_of_an_outage() and not self._is_dead()

    def stop(self):
        self._process.kill()
        self._process.wait()
        self._reader.join()
        self._process.stdout.close()
        self.scissors.shutdown()
        self.scissors.server_close()

    def _is_dead(self):
        return self._process.poll() is not None


def _write(url, stopping):
    """Rows by SQL, one or more at a time; with letters of two and four bytes, for the cuts to fall into."""
    chance = random.Random(1)
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        while not stopping.wait(0.04):
            cursor.execute(
                "insert into alert_logs (alert_type, alert_message) select 'x', repeat('é💥 ', %s)"
                " from generate_series(1, %s)",
                (chance.choice((0, 1, 40, 400)), chance.choice((1, 1, 1, 5))),
            )


@contextmanager
def _writing(url):
    stopping = threading.Event()
    writer = threading.Thread(target=_write, args=(url, stopping))
    writer.start()
    try:
        yield
    finally:
        stopping.set()
        writer.join()


@pytest.fixture(scope="module")
def outcome():
    """The clients after all, and the ids that the log has."""
    with ExitStack() as stack:
        folder = make_folder("foreign-")
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        database = Database(folder / "db", fsync="off")
        stack.callback(database.stop)
        database.start()
        feed = Feed(folder, database.proxy_url, WEB_CONCURRENCY=2, HEARTBEAT_SECONDS=0.5, RETRY_SECONDS=0.1)
        stack.callback(feed.stop)
        feed.start()
        # Cursors of several digits, for the cuts to fall between.
        database.execute(
            "insert into alert_logs (alert_type, alert_message) select 'x', '' from generate_series(1, 2000)"
        )
        with urllib.request.urlopen(f"http://127.0.0.1:{feed.port}/api/alerts?limit=1", timeout=20) as answer:
            cursor = answer.headers["Last-Event-ID"]
        clients = {}
        for name, (command, cuts) in RUNS.items():
            clients[name] = Client(name, command, cuts, feed.port, cursor, folder)
            stack.callback(clients[name].stop)

        def wait_for_all(state):
            with suppress(AssertionError):  # who does not come is judged below
                until(lambda: all(map(state, clients.values())), 60)

        with _writing(database.url):
            wait_for_all(lambda client: client.has_been_cut(_FEW))
            feed.reload()
            wait_for_all(lambda client: client.has_been_cut(_SOME))
            # A feed that starts without its database can tell a client that, and no cursor.
            feed.stop()
            database.proxy.stop()
            feed.start()
            wait_for_all(lambda client: client.has_heard_of_an_outage())
            feed.stop()
            database.proxy.start()
            feed.start()
            wait_for_all(lambda client: client.has_been_cut(len(EVERY_CUT)))
        ids = [
            number for (number,) in database.execute("select id from change_log where id > %s order by id", [cursor])
        ]
        wait_for_all(lambda client: client.is_at(ids[-1]))
        yield clients, ids


@pytest.mark.parametrize("name", CLIENTS)
def test_a_client_gets_every_change_once_and_in_order(outcome, name):
    clients, ids = outcome
    assert clients[name].is_through()
    assert clients[name].broken == []
    assert _difference(ids, clients[name].seen) == {}
    assert clients[name].seen == ids


def test_fetch_event_source_loses_the_change_whose_blank_line_is_cut_off_and_no_other(outcome):
    clients, ids = outcome
    client = clients[LOSES]
    assert client.is_through()
    assert client.seen == [number for number in ids if number not in client.cut_changes]


def test_sseclient_repeats_the_change_whose_id_is_cut_off_without_a_word_and_no_other(outcome):
    clients, ids = outcome
    client = clients[REPEATS]
    assert client.is_through()
    assert client.seen == sorted(ids + client.cut_changes)


def _difference(ids, seen):
    """How often too many, or too few, each change was seen."""
    count = Counter(seen)
    count.subtract(ids)
    return {number: times for number, times in count.items() if times}
