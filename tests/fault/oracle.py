"""Oracle: random writers, random faults, many clients; and nothing may be lost, come twice, or come out of order.

    python -m tests.fault.oracle --minutes 30 --seed 1 --clients 50 --rate 220

It goes in rounds. In each, writers write and faults strike; then everything is let come to rest and is compared: what
each client saw with what the change log holds for it, and the rows that it has, from a snapshot and the changes
after it, with what SELECT says. A reset is right only where the log no longer reaches back to the client.

It shares no code with the app: filters and payloads are read here a second time. Exit status 1 on the first violation.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import tempfile
import time
import urllib.request
from bisect import bisect_right
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg2

from tests.fault.faults import DECKS, Dealer, Faults
from tests.fault.feed import Database, Feed
from tests.fault.streams import TABLE_OF_TOPIC, Client, Crowd, LoggedChange, Segment, Violation, Wanted
from tests.fault.writers import LASTING, Pace, Writer, insert_lasting_sessions

# Small limits, so that every path is taken often: queues overflow, the ring is left behind, stuck clients are cut.
SETTINGS = {
    "WEB_CONCURRENCY": 2,
    "HEARTBEAT_SECONDS": 1.5,
    "RETRY_SECONDS": 0.2,
    "LISTENER_CHECK_SECONDS": 1,
    "QUEUE_FRAMES": 20,
    "RING_BYTES": 1_000_000,
    "STUCK_SECONDS": 4,
}
REST_SECONDS = 180.0  # to come to rest after the faults of a round; a busy machine takes its time
KINDS = ("steady", "flapping", "stalling", "flapping", "sleeping", "trickling", "stuck", "flapping")


def wanted_by(number: int, choice: random.Random) -> Wanted:
    """What the client of this number asks for; the first of them ask for each kind of thing."""
    everything = ("sessions", "movements", "alerts", "metrics")
    session = choice.choice(LASTING)
    resolved = choice.random() < 0.5
    match number % 6:
        case 0:
            return Wanted(everything)
        case 1:
            return Wanted((choice.choice(everything),))
        case 2:
            return Wanted(everything, session_id=session)
        case 3:
            return Wanted(("alerts",), resolved=resolved)
        case 4:
            return Wanted(tuple(choice.sample(everything, choice.randint(2, 3))))
        case _:
            return Wanted(("alerts", choice.choice(("sessions", "movements", "metrics"))), session, resolved)


class Ledger:
    """The change log, read after each round and kept for as long as a sleeping client may ask for it."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._ids: list[int] = []
        self._changes: dict[int, LoggedChange] = {}
        self.newest = 0
        self.count = 0

    def read(self) -> None:
        """Take in what the log has come to hold since the last time."""
        connection = psycopg2.connect(self._url, application_name="oracle")
        with closing(connection), connection.cursor() as cursor:
            cursor.execute("select id, payload from change_log where id > %s order by id", (self.newest,))
            rows = cursor.fetchall()
        for number, payload in rows:
            change = LoggedChange.of(payload.encode())
            if change.id != number:
                raise Violation(f"the log's row {number} holds the payload of {change.id}")
            self._ids.append(number)
            self._changes[number] = change
        self.count += len(rows)
        self.newest = self._ids[-1] if self._ids else self.newest

    def between(self, after: int, upto: int) -> list[LoggedChange]:
        places = slice(bisect_right(self._ids, after), bisect_right(self._ids, upto))
        return [self._changes[number] for number in self._ids[places]]

    def forget(self, upto: int) -> None:
        place = bisect_right(self._ids, upto)
        for number in self._ids[:place]:
            del self._changes[number]
        del self._ids[:place]


class Oracle:
    """The run: everything that moves, and the comparison."""

    def __init__(self, folder: Path, args: argparse.Namespace) -> None:
        self.args = args
        self.database = Database(folder / "db", **({"fsync": "off"} if args.minutes < 2 else {}))
        self.database.start()
        self.feed = Feed(folder, self.database.proxy_url, **SETTINGS)
        self.feed.start()
        self.faults = Faults(args.seed, self.database, self.feed)
        self.dealers = [Dealer(name, args.seed, self.faults, args.gap_seconds) for name in DECKS]
        self.ledger = Ledger(self.database.url)
        self.crowd = Crowd(self.feed.port)
        self.pace = Pace(args.rate)
        self.totals: Counter[str] = Counter()
        self.seconds = 0.0
        self._systems: dict[tuple[int, float], dict[str, Any]] = {}

    def run(self) -> None:
        """All rounds.

        Raises:
            Violation: the first promise that was broken.
        """
        self._populate()
        begun = time.monotonic()
        deadline = begun + self.args.minutes * 60
        for thread in (self.crowd, *self.dealers):
            thread.start()
        self._come_to_rest()  # everybody has a cursor before anything can go wrong
        while time.monotonic() < deadline:
            self.crowd.round += 1
            self._let_loose(min(self.args.round_seconds, deadline - time.monotonic()))
            over = time.monotonic()
            self._come_to_rest()
            rested = time.monotonic() - over
            self._compare()
            self.seconds = time.monotonic() - begun
            self._report_progress(rested)
        self.pace.stop()
        self.crowd.stop()

    def stop(self) -> None:
        self.pace.stop()
        self.crowd.stop()
        self.feed.stop()
        self.database.stop()

    def _populate(self) -> None:
        with closing(psycopg2.connect(self.database.url)) as connection, connection, connection.cursor() as cursor:
            insert_lasting_sessions(cursor)
        choice = random.Random(f"{self.args.seed}/clients")
        for number in range(self.args.clients):
            kind = KINDS[number % len(KINDS)]
            self.crowd.clients.append(
                Client(
                    f"client {number}",
                    kind,
                    wanted_by(number, choice),
                    str(self.args.seed),
                    self.crowd,
                    builds=choice.random() < 0.4,
                    version="1.0" if choice.random() < 0.15 else "1.1",
                )
            )
        for number in range(self.args.writers):
            Writer(number, self.args.seed, self.database.url, self.pace).start()

    def _let_loose(self, seconds: float) -> None:
        self.crowd.is_calm = False
        self.pace.go_on()
        for dealer in self.dealers:
            dealer.let()
        until = time.monotonic() + seconds
        while time.monotonic() < until and not (self.crowd.violation or any(dealer.error for dealer in self.dealers)):
            time.sleep(0.1)
        for dealer in self.dealers:
            dealer.rest()

    def _come_to_rest(self) -> None:
        self.pace.pause()
        self.crowd.is_calm = True
        self.ledger.read()
        with self.crowd.held():
            for client in self.crowd.clients:
                if client.is_asleep and client.sleeps_until_round <= self.crowd.round:
                    client.wake()
        awake = [client for client in self.crowd.clients if not client.is_asleep]
        deadline = time.monotonic() + REST_SECONDS
        while late := [client for client in awake if not client.is_at(self.ledger.newest)]:
            if self.crowd.violation:
                raise self.crowd.violation
            if time.monotonic() > deadline:
                described = "\n  ".join(client.describe() for client in late[:10])
                raise Violation(f"{len(late)} clients do not come to {self.ledger.newest}:\n  {described}")
            time.sleep(0.02)
        if self.crowd.violation:
            raise self.crowd.violation

    def _compare(self) -> None:
        """Everyone who is awake has come to the end of the log: now it must all agree."""
        with self.crowd.held():
            for reset in self.crowd.resets:
                if reset.asked >= self.faults.floor:
                    raise Violation(f"{reset} though the log reaches back to {self.faults.floor}")
                self.totals["resets after pruning"] += 1
            self.crowd.resets.clear()
            tables = self._tables()
            lowest = self.ledger.newest
            for client in self.crowd.clients:
                self._compare_changes(client)
                if client.is_asleep:
                    lowest = min(lowest, client.cursor or 0)
                elif client.builds:
                    self._compare_rows(client, tables)
            self.crowd.book.clear()
            # Who sleeps may find the log pruned; who is awake may not.
            self.faults.may_prune_upto = self.ledger.newest - 1
            self.ledger.forget(lowest)
        self._look_at_workers()

    def _compare_changes(self, client: Client) -> None:
        for number, segment in enumerate(client.segments):
            is_last = number == len(client.segments) - 1
            upto = client.cursor if is_last else max([segment.start, *segment.seen])
            told = self.ledger.between(segment.start, upto or 0)
            expected = [change for change in told if client.wanted.concerns(change)]
            if [change.id for change in expected] != segment.seen:
                raise Violation(self._difference(client, segment, expected))
            for change in expected:
                self._compare_change(client, segment, change)
            self.totals["deliveries compared"] += len(expected)
            self.totals["resets by TRUNCATE"] += len(segment.truncates)
        if client.segments and client.cursor is not None:
            client.segments = [Segment(client.cursor)]

    def _compare_change(self, client: Client, segment: Segment, change: LoggedChange) -> None:
        if (change.action == "TRUNCATE") != (change.id in segment.truncates):
            raise Violation(f"{client.name} was {'' if change.id in segment.truncates else 'not '}reset by {change}")
        sent = self.crowd.book.get(change.id)
        if sent and sent.payload != change.payload:
            raise Violation(f"the log has {change.payload!r}\nbut {client.name} got {sent.payload!r}")

    def _difference(self, client: Client, segment: Segment, expected: list[LoggedChange]) -> str:
        ids = {change.id for change in expected}
        lost, extra = sorted(ids - set(segment.seen)), sorted(set(segment.seen) - ids)
        shown = [f"{change.id} {change.action} {change.topic}" for change in expected if change.id in set(lost[:10])]
        return (
            f"{client.describe()}\n  after {segment.start}: {len(lost)} lost {shown},"
            f" {len(extra)} unexpected {extra[:10]}, {len(segment.seen)} seen, {len(expected)} expected"
        )

    def _tables(self) -> dict[str, dict[str, dict[str, Any]]]:
        tables = {}
        with closing(psycopg2.connect(self.database.url, options="-c timezone=UTC")) as connection:
            for topic, table in TABLE_OF_TOPIC.items():
                with connection.cursor() as cursor:
                    cursor.execute(f"select row_to_json({table})::text from {table}")
                    rows = [json.loads(text) for (text,) in cursor]
                tables[topic] = {row["id"]: row for row in rows}
        return tables

    def _compare_rows(self, client: Client, tables: dict[str, dict[str, dict[str, Any]]]) -> None:
        for topic, rows in client.rows.items():
            expected = {key: row for key, row in tables[topic].items() if client.wanted.has(topic, row)}
            if rows != expected:
                keys = [key for key in {*rows, *expected} if rows.get(key) != expected.get(key)]
                shown = "\n  ".join(f"has {rows.get(key)}\n  not {expected.get(key)}" for key in keys[:3])
                raise Violation(f"{len(keys)} rows of {topic} differ, {client.describe()}:\n  {shown}")
            self.totals["rows compared"] += len(rows)

    def _look_at_workers(self) -> None:
        """Sum up the counters of the workers that live; those of the killed are lost."""
        for _ in range(6):
            with urllib.request.urlopen(f"http://127.0.0.1:{self.feed.port}/api/system", timeout=10) as response:
                system = json.load(response)
            self._systems[system["worker"], system["started_at"]] = system

    def _report_progress(self, rested: float) -> None:
        print(
            f"round {self.crowd.round:3d}  {self.seconds:6.0f} s  {self.ledger.count:8d} changes"
            f" ({self.ledger.count / self.seconds:.0f}/s)  {self.crowd.deliveries:9d} deliveries"
            f"  {self.crowd.counts['connects']:6d} connects  {sum(self.faults.counts.values()):4d} faults"
            f"  at rest after {rested:.1f} s",
            flush=True,
        )

    def report(self) -> None:
        """Print all figures."""
        print(f"\nseed {self.args.seed}: {self.seconds / 60:.1f} minutes, {self.crowd.round} rounds")
        rate = self.ledger.count / self.seconds if self.seconds else 0
        _print_table(
            "Changes and clients",
            {
                "changes in the log": self.ledger.count,
                "changes per second": round(rate),
                "clients": self.args.clients,
                "frames of changes received": self.crowd.deliveries,
                **self.totals,
            },
        )
        _print_table("Faults", dict(self.faults.counts))
        longest = {title: round(seconds, 1) for title, seconds in self.faults.seconds.items()}
        _print_table("The longest fault of a kind, in seconds", longest)
        _print_table("What clients met", dict(self.crowd.counts))
        _print_table("What writers did", dict(self.pace.counts))
        keys = ("opened", "replays", "log_reads", "overflows", "resets", "reconnects", "unannounced", "errors")
        _print_table(
            "Counters of workers that lived to the end of a round",
            {"workers": len(self._systems), **{key: sum(one[key] for one in self._systems.values()) for key in keys}},
        )
        logs = "".join(log.read_text("utf-8", "replace") for log in self.feed.logs)
        _print_table("gunicorn's log", {"lines": logs.count("\n"), "tracebacks": logs.count("Traceback")})


def _print_table(title: str, figures: dict[str, Any]) -> None:
    print(f"\n{title}")
    for name, figure in sorted(figures.items()):
        print(f"  {name:42s} {figure:>12,}")


def arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="oracle", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--rate", type=float, default=220.0, help="changes a second, on average")
    parser.add_argument("--writers", type=int, default=6)
    parser.add_argument("--gap-seconds", type=float, default=2.5, help="between two faults of a deck, on average")
    parser.add_argument("--round-seconds", type=float, default=25.0)
    parser.add_argument("--keep", action="store_true", help="keep the folder with the logs, whatever happens")
    return parser.parse_args(argv)


def main(argv: list[str]) -> int:
    args = arguments(argv)
    folder = Path(tempfile.mkdtemp(prefix="oracle-", dir="/tmp"))
    folder.chmod(0o755)
    oracle = Oracle(folder, args)
    violation: Violation | AssertionError | None = None
    try:
        oracle.run()
    except (Violation, AssertionError) as error:
        violation = error
    finally:
        try:
            oracle.stop()
        finally:
            oracle.report()
    if violation:
        print("\nThe last faults:", *oracle.faults.story[-12:], sep="\n  ")
        print(f"\nVIOLATION with seed {args.seed}, logs in {folder}:\n{violation}")
        return 1
    print("\n0 lost, 0 twice, 0 out of order, 0 rows that differ.")
    if not args.keep:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
