"""Oracle: random writers, random faults, many clients; and nothing may be lost, come twice, or come out of order.

    python -m tests.fault.oracle --minutes 30 --seed 1 --clients 50 --rate 220

It goes in rounds. In each, writers write and faults strike; then everything is let come to rest and is compared: what
each client saw with what the change log holds for it, and the rows that it has, from a snapshot and the changes
after it, with what SELECT says. A reset is right only where the log no longer reaches back to the client.

Exit status 1 on the first violation.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import time
import urllib.request
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg2

from tests.fault.faults import ACCESS_DECK, DECKS, Dealer, Faults
from tests.fault.feed import Database, Feed
from tests.fault.judge import Judge
from tests.fault.keyring import Keyring
from tests.fault.streams import Client, Crowd, Violation, Wanted
from tests.fault.writers import LASTING, Pace, Writer, insert_lasting_sessions
from tests.scratch import make_folder

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


class Oracle:
    """The run: everything that moves, and the comparison."""

    def __init__(self, folder: Path, args: argparse.Namespace) -> None:
        self.args = args
        # Where transactions are prepared, the sequencer never sleeps: some seeds try that, the others the bell.
        self.prepares = args.seed % 3 == 0
        settings = {"fsync": "off"} if args.minutes < 2 else {}
        self.database = Database(
            folder / "db", **settings, **({"max_prepared_transactions": "50"} if self.prepares else {})
        )
        self.database.start()
        self.feed = Feed(folder, self.database.proxy_url, **SETTINGS)
        self.feed.start()
        self.keyring = Keyring(self.database, args.seed) if args.access else None
        self.faults = Faults(args.seed, self.database, self.feed, self.keyring)
        decks = DECKS | (ACCESS_DECK if args.access else {})
        self.dealers = [Dealer(name, args.seed, self.faults, args.gap_seconds) for name in decks]
        self.crowd = Crowd(self.feed.port, self.keyring)
        self.judge = Judge(self.database.url, self.crowd)
        self.pace = Pace(args.rate)
        self.seconds = 0.0
        self._systems: dict[tuple[int, float], dict[str, Any]] = {}

    def run(self) -> None:
        """All rounds.

        Raises:
            Violation: the first promise that was broken.
        """
        self._populate()
        self.database.execute("create role stranger")
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
            Writer(number, self.args.seed, self.database.url, self.pace, prepares=self.prepares).start()

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
        with self.crowd.held():
            for client in self.crowd.clients:
                if client.is_asleep and client.sleeps_until_round <= self.crowd.round:
                    client.wake()
        self.judge.wait_until_all_is_seen(REST_SECONDS)

    def _compare(self) -> None:
        self.judge.compare(self.faults.floor)
        # Who sleeps may find the log pruned; who is awake may not.
        self.faults.may_prune_upto = self.judge.ledger.newest - 1
        self._look_at_workers()

    def _look_at_workers(self) -> None:
        """Sum up the counters of the workers that live; those of the killed are lost."""
        for _ in range(6):
            headers = {"Authorization": self.keyring.value(0)} if self.keyring else {}
            asked = urllib.request.Request(f"http://127.0.0.1:{self.feed.port}/api/system", headers=headers)
            with urllib.request.urlopen(asked, timeout=10) as response:
                system = json.load(response)
            self._systems[system["worker"], system["started_at"]] = system

    def _report_progress(self, rested: float) -> None:
        print(
            f"round {self.crowd.round:3d}  {self.seconds:6.0f} s  {self.judge.ledger.count:8d} changes"
            f" ({self.judge.ledger.count / self.seconds:.0f}/s)  {self.crowd.deliveries:9d} deliveries"
            f"  {self.crowd.counts['connects']:6d} connects  {sum(self.faults.counts.values()):4d} faults"
            f"  at rest after {rested:.1f} s",
            flush=True,
        )

    def report(self) -> None:
        """Print all figures."""
        print(f"\nseed {self.args.seed}: {self.seconds / 60:.1f} minutes, {self.crowd.round} rounds")
        rate = self.judge.ledger.count / self.seconds if self.seconds else 0
        _print_table(
            "Changes and clients",
            {
                "changes in the log": self.judge.ledger.count,
                "changes per second": round(rate),
                "clients": self.args.clients,
                "frames of changes received": self.crowd.deliveries,
                **self.judge.totals,
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
    parser.add_argument("--access", action="store_true", help="let in by keys, some of which are revoked all the time")
    parser.add_argument("--keep", action="store_true", help="keep the folder with the logs, whatever happens")
    return parser.parse_args(argv)


def main(argv: list[str]) -> int:
    args = arguments(argv)
    folder = make_folder("oracle-", on_disk=args.minutes >= 2)
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
