"""Judge: what every client saw against the change log, and the rows that it has against SELECT.

Invariant: it asks the database itself, past the app, and shares no code with it. The ids that a client saw after its
start are those of the log that concern it, once and in order; a reset is right only where the log no longer reaches
back to the client.
"""

from __future__ import annotations

import json
import time
from bisect import bisect_right
from collections import Counter
from contextlib import closing
from typing import Any

import psycopg2

from tests.fault.streams import TABLE_OF_TOPIC, Client, Crowd, LoggedChange, Segment, Violation


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

    def without_id(self) -> int:
        """How many changes are committed and have no id."""
        with (
            closing(psycopg2.connect(self._url, application_name="oracle")) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute("select count(*) from change_inbox")
            [(number,)] = cursor.fetchall()
            return int(number)

    def between(self, after: int, upto: int) -> list[LoggedChange]:
        places = slice(bisect_right(self._ids, after), bisect_right(self._ids, upto))
        return [self._changes[number] for number in self._ids[places]]

    def forget(self, upto: int) -> None:
        place = bisect_right(self._ids, upto)
        for number in self._ids[:place]:
            del self._changes[number]
        del self._ids[:place]


class Judge:
    """Judges a crowd by the change log of the database at ``url``."""

    def __init__(self, url: str, crowd: Crowd) -> None:
        self.ledger = Ledger(url)
        self.totals: Counter[str] = Counter()
        self._url = url
        self._crowd = crowd

    def wait_until_all_is_seen(self, seconds: float) -> None:
        """Wait until everyone who is awake has come to the end of the log. Nobody may write meanwhile.

        Raises:
            Violation: somebody does not come, or was wronged on the way.
        """
        self._crowd.is_calm = True
        deadline = time.monotonic() + seconds
        while waiting := self.ledger.without_id():
            if time.monotonic() > deadline:
                raise Violation(f"nobody gives ids to {waiting} changes")
            time.sleep(0.02)
        self.ledger.read()
        awake = [client for client in self._crowd.clients if not client.is_asleep]
        while late := [client for client in awake if not client.is_at(self.ledger.newest)]:
            if self._crowd.violation:
                raise self._crowd.violation
            if time.monotonic() > deadline:
                described = "\n  ".join(client.describe() for client in late[:10])
                raise Violation(f"{len(late)} clients do not come to {self.ledger.newest}:\n  {described}")
            time.sleep(0.02)
        if self._crowd.violation:
            raise self._crowd.violation

    def compare(self, floor: int) -> None:
        """Everyone who is awake has come to the end of the log: now it must all agree.

        Args:
            floor: what the log has been pruned up to.
        """
        with self._crowd.held():
            for reset in self._crowd.resets:
                if reset.asked.upto >= floor:
                    raise Violation(f"{reset} though the log reaches back to {floor}")
                self.totals["resets after pruning"] += 1
            self._crowd.resets.clear()
            tables = self._tables()
            lowest = self.ledger.newest
            for client in self._crowd.clients:
                self._compare_changes(client)
                if client.is_asleep:
                    lowest = min(lowest, client.cursor.upto if client.cursor else 0)
                elif client.builds:
                    self._compare_rows(client, tables)
            self._crowd.book.clear()
            self.ledger.forget(lowest)

    def _compare_changes(self, client: Client) -> None:
        for number, segment in enumerate(client.segments):
            is_last = number == len(client.segments) - 1
            last = client.cursor.upto if client.cursor else 0
            upto = last if is_last else max([segment.start.upto, *segment.seen])
            told = [one for one in self.ledger.between(segment.start.upto, upto) if not segment.start.has(one.id)]
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
        sent = self._crowd.book.get(change.id)
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
        with closing(psycopg2.connect(self._url, options="-c timezone=UTC")) as connection:
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
