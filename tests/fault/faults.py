"""Faults: what happens to workers, arbiter, database, network and log while the oracle runs.

Invariant: a fault leaves everything able to recover by itself, and returns when what it broke has been mended or mends
itself. There is a deck of cards for each place where things break; a deck holds every kind, shuffled, so that a run of
some minutes has seen them all, and the decks are dealt at the same time, so that faults meet.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import threading
import time
from collections import Counter, defaultdict
from contextlib import closing

import psycopg2

from tests.fault.feed import Database, Feed
from tests.fault.keyring import SLOTS, Keyring
from tests.fault.writers import insert_lasting_sessions
from tests.hostile.attacks import ATTACKS, attacking
from tests.waiting import until

_FILLER = "x" * 7900
# For ids; and for pruning, folding and migrating, which no longer have one.
_KEYS = (27980790367741299, 8103509420230637157, 7165064744911531623, 7883959205594428776)
_FORBIDDEN = (
    "select * from sessions",
    "select * from change_log",
    "insert into change_log values (1, 'sessions', 'INSERT', null, null, '{}', now())",
    "delete from change_log",
    "update change_log_home set floor = 9999999999",
    "select from change_log_home for update",
    "select recognize_database()",
    "select evaluate_alerts()",
    "select fold_movements()",
    "insert into change_inbox (seq) values (1)",
    "select number_changes()",
    "call sequence_changes(null, '1 second', '1 second')",
    "select from change_sequencer for update",
    "select setval('change_awake', 9999999999999)",
    "lock table sessions",
    "create temp table mine (id int)",
    "create table public.mine (id int)",
)


class Faults:
    """What can be done to a feed and its database. ``floor``: what the log has been pruned up to, by us."""

    def __init__(self, seed: int, database: Database, feed: Feed, keyring: Keyring | None = None) -> None:
        self._keyring = keyring
        self.counts: Counter[str] = Counter()
        self.seconds: defaultdict[str, float] = defaultdict(float)  # how long the longest of each kind took
        self.story: list[str] = []  # what was done, and when
        self.floor = 0
        self.may_prune_upto = 0
        self._random = random.Random(f"{seed}/faults")
        self._attacks: list[str] = []
        self._database, self._feed = database, feed
        self._begun = time.monotonic()

    def commit(self, name: str) -> None:
        """One fault, from beginning to end."""
        title, begun = name.replace("_", " "), time.monotonic()
        try:
            getattr(self, name)()
        except (psycopg2.Error, ProcessLookupError) as error:  # two faults met: a statement of ours was their victim
            title = f"{title}, in vain"
            self.story.append(f"{title}: {str(error).strip()}")
        self.counts[title] += 1
        now = time.monotonic()
        self.seconds[title] = max(self.seconds[title], now - begun)
        self.story.append(f"{begun - self._begun:7.1f} s to {now - self._begun:7.1f} s  {title}")

    def kill_worker(self) -> None:
        self._signal_worker(signal.SIGKILL)

    def terminate_worker(self) -> None:
        self._signal_worker(signal.SIGTERM)

    def pause_worker(self) -> None:
        pid = self._a_worker()
        os.kill(pid, signal.SIGSTOP)
        try:
            self._nap(0.5, 4)
        finally:
            os.kill(pid, signal.SIGCONT)

    def reload_workers(self) -> None:
        self._feed.reload()

    def kill_arbiter(self) -> None:
        self._feed.kill()
        self._feed.start()

    def restart_gunicorn(self) -> None:
        self._feed.stop()
        self._feed.start()

    def stop_database_fast(self) -> None:
        self._strike_database(signal.SIGINT)

    def stop_database_immediately(self) -> None:
        self._strike_database(signal.SIGQUIT)

    def kill_postmaster(self) -> None:
        self._strike_database(signal.SIGKILL)

    def kill_a_backend(self) -> None:
        """PostgreSQL takes it for corruption: all connections are cut and the log is recovered."""
        pids = self._database.execute("select pid from pg_stat_activity where application_name = 'writer' order by pid")
        if pids:
            os.kill(self._random.choice(pids)[0], signal.SIGKILL)
            self._nap(0.2, 0.5)
            self._database.wait_until_up()

    def terminate_listeners(self) -> None:
        self._terminate("application_name like '%%listener'")

    def terminate_sequencers(self) -> None:
        self._terminate("application_name like '%%sequencer'")

    def freeze_a_sequencing_backend(self) -> None:
        """It holds the lock for ids, perhaps; another may take over meanwhile, and then it goes on."""
        found = self._database.execute(
            "select pid from pg_stat_activity where application_name like '%%sequencer' and state = 'active'"
        )
        for (pid,) in found[:1]:
            os.kill(pid, signal.SIGSTOP)
            try:
                self._nap(0.3, 3)
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    def sequence_besides(self) -> None:
        """Two are awake at once."""
        for _ in range(self._random.randint(1, 3)):
            self._database.execute("call sequence_changes(pg_sequence_last_value('change_awake'), '0.3 s', '1 s')")

    def number_besides(self) -> None:
        """Somebody else numbers, a few at a time."""
        for _ in range(200):
            self._database.execute("select number_changes(%s)", (self._random.randint(1, 20),))

    def silence_the_bell(self) -> None:
        """Writers find that somebody is awake, and nobody is."""
        for _ in range(self._random.randint(1, 4)):
            self._database.execute(
                "select setval('change_awake', (extract(epoch from clock_timestamp()) * 1000)::bigint + 3000)"
            )
            self._nap(0.2, 1)

    def stay_in_a_transaction(self) -> None:
        """Of a writer that has seen the sequencer awake, and commits when it sleeps."""
        with (
            closing(psycopg2.connect(self._database.url, application_name="lasting")) as connection,
            connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(
                "insert into people_movements (session_id, person_id, movement_direction)"
                " select id, 0, 'in' from sessions limit 1"
            )
            self._nap(0.2, 4)

    def terminate_all_connections(self) -> None:
        self._terminate("backend_type = 'client backend' and datname = 'feed'")

    def cut_network(self) -> None:
        self._database.proxy.stop()
        self._nap(0.1, 5)
        self._database.proxy.start()

    def flap_network(self) -> None:
        for _ in range(self._random.randint(2, 6)):
            self._database.proxy.cut()
            self._nap(0.05, 0.5)

    def stall_network(self) -> None:
        """Silence, and then on as if nothing had been."""
        self._database.proxy.stall()
        self._nap(0.3, 6)
        self._database.proxy.start()

    def stall_then_cut_network(self) -> None:
        self._database.proxy.stall()
        self._nap(1, 8)
        self._database.proxy.stop()
        self._database.proxy.start()

    def strand_connections(self) -> None:
        """What a firewall does that has forgotten them: no bytes, and no end."""
        self._database.proxy.strand()

    def revoke_a_key(self) -> None:
        """The streams of a key end, and come back with another."""
        self._revoke(1)

    def revoke_most_keys(self) -> None:
        """All at once, but one."""
        self._revoke(SLOTS - 1)

    def _revoke(self, number: int) -> None:
        assert self._keyring is not None
        with contextlib.suppress(psycopg2.Error):  # the database may be down, which is another fault
            self._keyring.revoke(number)

    def write_bulk(self) -> None:
        """Thousands of rows in one transaction, and away with them in another."""
        count = self._random.randint(1000, 2000)
        with closing(psycopg2.connect(self._database.url, application_name="bulk")) as connection:
            for statement in (
                "insert into people_movements (session_id, person_id, movement_direction)"
                " select id, -n, 'in' from generate_series(1, %s) n, lateral (select id from sessions limit 1) s",
                "delete from people_movements where person_id between -%s and -1",
            ):
                with connection, connection.cursor() as cursor:
                    cursor.execute(statement, (count,))

    def test_triggers(self) -> None:
        self._database.execute("select test_sse_triggers()")

    def truncate_a_table(self) -> None:
        """Rarely the sessions, which takes all of the four."""
        tables = ("realtime_metrics", "alert_logs", "people_movements", "sessions")
        table = self._random.choices(tables, (4, 4, 4, 1))[0]
        with closing(psycopg2.connect(self._database.admin_url, application_name="truncate")) as connection:
            with connection, connection.cursor() as cursor:
                cursor.execute("set local lock_timeout = '5s'")
                cursor.execute(f"truncate {table} cascade")
            with connection, connection.cursor() as cursor:
                insert_lasting_sessions(cursor)

    def prune_the_log(self) -> None:
        """Up to where everyone who is awake has read."""
        if not self.may_prune_upto:
            return
        # The floor first: a client may be told of the new one before we come to write it down.
        self.floor = max(self.floor, self.may_prune_upto)
        self._database.execute("delete from change_log where id <= %s", (self.may_prune_upto,))
        found = self._database.execute("select min(id) - 1 from change_log")
        self.floor = max(self.floor, found[0][0] or 0)

    def hold_notify_queue(self) -> None:
        """A listener that never listens, and a queue that is more than half full: nothing is notified."""
        with closing(psycopg2.connect(self._database.url, application_name="held")) as sleeper:
            with sleeper.cursor() as cursor:
                cursor.execute("listen filler")
                sleeper.commit()
                cursor.execute("select 1")
            with closing(psycopg2.connect(self._database.url, application_name="filler")) as filler:
                filler.autocommit = True
                with filler.cursor() as cursor:
                    for number in range(1000):
                        cursor.execute(
                            "select pg_notify('filler', %s), pg_notification_queue_usage()", (f"{number} {_FILLER}",)
                        )
                        if cursor.fetchone()[1] > 0.6:
                            break
            self._nap(1, 4)

    def set_clock_back(self) -> None:
        """By an hour, and then on again."""
        self._database.set_clock("-1 hour")
        try:
            self._nap(0.5, 3)
        finally:
            until(self._is_clock_right, 60, "the clock to be right again")

    def notify_garbage(self) -> None:
        """Another program on our channels."""
        stranger = '{"id":1,"table":"t","action":"INSERT","data":{}}'
        for payload in ("", "{}", "null", '{"id":"x","data":1}', stranger, "ä" * 3000):
            self._database.execute("select pg_notify('movement_changes', %s)", (payload,))

    def send_garbage(self) -> None:
        """Clients that speak something else, half a request, or far too much."""
        for data in (
            self._random.randbytes(2000),
            b"GET /api/sse HTTP/1.1\r\nHost: localhost",
            b"\r\n\r\n\r\n\r\n",
            b"GET /api/sse HTTP/1.1\r\nHost: localhost\r\nLast-Event-ID: " + b"9" * 500 + b"\r\n\r\n",
            b"GET /api/sse HTTP/1.1\r\nHost: localhost\r\n\r\n" + self._random.randbytes(200_000),
        ):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._feed.port), 2) as sock:
                sock.settimeout(2)
                sock.sendall(data)
                sock.recv(100)

    def attack_as_a_client(self) -> None:
        """One hostile client: the attacks take turns."""
        if not self._attacks:
            # Mutated requests may write a row, also after the writers have come to rest.
            harmless = sorted(ATTACKS.keys() - {"garbage"})
            self._attacks = self._random.sample(harmless, len(harmless))
        with attacking(self._attacks.pop(), self._feed.port, self._database.url):
            self._nap(1, 4)

    def attack_as_a_role(self) -> None:
        """A role of the database that may connect, and tries what is not its own."""
        for statement in _FORBIDDEN:
            try:
                self._database.execute(f"set role stranger; {statement}")
            except psycopg2.errors.InsufficientPrivilege:
                continue
            raise AssertionError(f"a role that may only connect could: {statement}")

    def hold_advisory_locks(self) -> None:
        """Every key that the project has ever used, for a moment: who waits for one goes on when it is over."""
        with closing(psycopg2.connect(self._database.url, application_name="stranger")) as stranger:
            with stranger.cursor() as cursor:
                for key in _KEYS:
                    cursor.execute("select pg_advisory_xact_lock(%s)", (key,))
            self._nap(0.2, 1.5)

    def _is_clock_right(self) -> bool:
        try:
            self._database.set_clock("0")
        except psycopg2.Error:  # the database is away
            time.sleep(0.05)
            return False
        return True

    def _signal_worker(self, by: int) -> None:
        pid = self._a_worker()
        os.kill(pid, by)
        self._feed.wait_until_gone([pid])

    def _a_worker(self) -> int:
        return self._random.choice(until(self._feed.workers, what="a worker"))

    def _strike_database(self, by: int) -> None:
        pid = self._database.pid
        self._database.kill(by)
        self._database.wait_until_up(since=pid)

    def _terminate(self, which: str) -> None:
        self._database.execute(
            f"select count(pg_terminate_backend(pid)) from pg_stat_activity where pid <> pg_backend_pid() and {which}"
        )

    def _nap(self, least: float, most: float) -> None:
        time.sleep(self._random.uniform(least, most))


DECKS = {
    "workers": (
        "kill_worker",
        "terminate_worker",
        "pause_worker",
        "reload_workers",
        "kill_arbiter",
        "restart_gunicorn",
        "send_garbage",
    ),
    "database": (
        "stop_database_fast",
        "stop_database_immediately",
        "kill_postmaster",
        "kill_a_backend",
        "terminate_listeners",
        "terminate_all_connections",
        "hold_notify_queue",
    ),
    "sequencer": (
        "terminate_sequencers",
        "freeze_a_sequencing_backend",
        "sequence_besides",
        "number_besides",
        "silence_the_bell",
        "stay_in_a_transaction",
    ),
    "network": ("cut_network", "flap_network", "stall_network", "stall_then_cut_network", "strand_connections"),
    "log": ("write_bulk", "test_triggers", "truncate_a_table", "prune_the_log", "notify_garbage", "set_clock_back"),
    "hostile": ("attack_as_a_client", "attack_as_a_client", "attack_as_a_role", "hold_advisory_locks"),
}
# Only where access is on.
ACCESS_DECK = {"access": ("revoke_a_key", "revoke_most_keys")}


class Dealer(threading.Thread):
    """Deals one deck, shuffled by the seed, again and again, while it is let; the gaps between are random."""

    def __init__(self, name: str, seed: int, faults: Faults, mean_gap_seconds: float) -> None:
        super().__init__(name=f"{name} faults", daemon=True)
        self.error: BaseException | None = None  # what a fault could not mend
        self._cards = (DECKS | ACCESS_DECK)[name]
        self._deck: list[str] = []
        self._faults = faults
        self._random = random.Random(f"{seed}/{name}")
        self._gap_seconds = mean_gap_seconds
        self._may = threading.Event()
        self._is_idle = threading.Event()
        self._is_idle.set()

    def let(self) -> None:
        """Deal until ``rest``."""
        self._may.set()

    def rest(self) -> None:
        """Deal no more; wait for the fault that is on.

        Raises: what a fault could not mend.
        """
        self._may.clear()
        self._is_idle.wait()
        if self.error:
            raise self.error

    def run(self) -> None:
        try:
            while True:
                self._deal()
        except BaseException as error:  # noqa: BLE001 - it is raised in the main thread
            self.error = error
            self._is_idle.set()

    def _deal(self) -> None:
        self._may.wait()
        time.sleep(self._random.uniform(0, 2 * self._gap_seconds))
        if not self._deck:
            self._deck = self._random.sample(self._cards, len(self._cards))
        self._is_idle.clear()
        try:
            if self._may.is_set():
                self._faults.commit(self._deck.pop())
        finally:
            self._is_idle.set()
