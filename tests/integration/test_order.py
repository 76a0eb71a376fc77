"""The promise as a model: whatever writers, numberers and readers do, in any order, each reader's view is exact.

Writers of all isolation levels insert, update and delete a few rows, with savepoints and rollbacks, one step at a time;
changes get ids a few at a time, by anyone; readers take snapshots, and between a snapshot and its cursor others go on.
In the end, from every snapshot, what the log has beyond its cursor leads to the rows that are there, and every UPDATE
and DELETE on the way meets exactly the row that it names as the old one. So the order respects what writers saw.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any
from uuid import UUID

import psycopg2
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test
from sqlalchemy import text

from app.postgres.connections import connect
from app.postgres.cursor import Cursor
from app.postgres.snapshot import read_exactly

WRITERS = st.integers(0, 2)
KEYS = st.integers(1, 3)
LEVELS = st.sampled_from(["read committed", "repeatable read", "serializable"])
ROWS = "select id::text, total_frames from sessions"
STATEMENTS = {
    "insert": "insert into sessions (id, session_name, total_frames)"
    " values (%(row)s, 'door', 0) on conflict do nothing",
    "update": "update sessions set total_frames = total_frames + 1 where id = %(row)s",
    "update all": "update sessions set total_frames = total_frames + 1",
    "delete": "delete from sessions where id = %(row)s",
    "delete and insert": "delete from sessions where id = %(row)s;"
    " insert into sessions (id, session_name, total_frames) values (%(row)s, 'door', 100) on conflict do nothing",
}
# What others do between a snapshot and its cursor.
MEANWHILE = st.lists(st.tuples(st.sampled_from(["commit", "number"]), st.integers(0, 2)), max_size=5)


class Order(RuleBasedStateMachine):
    """Steps of writers, numberers and readers on one database."""

    def __init__(self, app, url):
        super().__init__()
        self.app, self.url = app, url
        self.numberer = connect(url, application_name="numberer", lock_timeout=20)
        self.writers: list[Any] = [None] * 3
        self.has_savepoint = [False] * 3
        self.snapshots = []

    @initialize()
    def remember_the_beginning(self):
        self.number_all()
        [(upto,)] = self.run(
            self.numberer, "select greatest(floor, (select max(id) from change_log)) from change_log_home"
        )
        self.start = upto
        self.snapshots.append((dict(self.run(self.numberer, ROWS)), Cursor(upto)))

    @rule(writer=WRITERS, level=LEVELS)
    def begin(self, writer, level):
        if self.writers[writer] is None:
            self.writers[writer] = connection = connect(self.url, application_name="writer", lock_timeout=20)
            self.run(connection, f"begin isolation level {level}")
            self.has_savepoint[writer] = False

    @rule(writer=WRITERS, key=KEYS, statement=st.sampled_from(sorted(STATEMENTS)))
    def write(self, writer, key, statement):
        connection = self.writers[writer] or self.numberer
        try:
            self.run(connection, STATEMENTS[statement], {"row": str(UUID(int=key))})
        except psycopg2.Error:  # it would have to wait for another writer, or may not go on
            self.end(writer, "rollback")

    @rule(writer=WRITERS)
    def save(self, writer):
        self.try_to(writer, "savepoint here")
        self.has_savepoint[writer] = True

    @precondition(lambda self: any(self.has_savepoint))
    @rule(writer=WRITERS)
    def roll_back_to_savepoint(self, writer):
        if self.has_savepoint[writer]:
            self.try_to(writer, "rollback to savepoint here")

    @rule(writer=WRITERS)
    def commit(self, writer):
        self.end(writer, "commit")

    @rule(writer=WRITERS)
    def roll_back(self, writer):
        self.end(writer, "rollback")

    @rule(first=KEYS, second=KEYS)
    def write_what_another_has_just_committed(self, first, second):
        """The transaction that began first makes the later change."""
        for writer in (0, 1):
            self.end(writer, "commit")
            self.begin(writer, "read committed")
        self.write(0, first, "update")
        self.write(1, second, "update")
        self.commit(1)
        self.write(0, second, "update")

    @rule(most=st.integers(1, 4))
    def number(self, most):
        self.run(self.numberer, "select number_changes(%s)", (most,))

    @rule(meanwhile=MEANWHILE)
    def read(self, meanwhile):
        def rows_of(connection):
            rows = dict(tuple(row) for row in connection.execute(text(ROWS)))
            for what, number in meanwhile:
                self.commit(number) if what == "commit" else self.number(number + 1)
            return rows

        with self.app.app_context():
            self.snapshots.append(read_exactly(rows_of))

    def teardown(self):
        for writer in range(3):
            self.end(writer, "commit")
        self.number_all()
        log = [
            (number, json.loads(payload))
            for number, payload in self.run(
                self.numberer, "select id, payload from change_log where id > %s order by id", (self.start,)
            )
        ]
        assert [number for number, _ in log] == list(range(self.start + 1, self.start + 1 + len(log)))
        there = dict(self.run(self.numberer, ROWS))
        for rows, cursor in self.snapshots:
            for number, change in log:
                if number > cursor.upto and number not in cursor.beyond:
                    self.apply(rows, change)
            assert rows == there, (cursor, log)
        self.numberer.close()

    def apply(self, rows, change):
        row, old = change["data"], change["old_data"]
        before = None if old is None else old["total_frames"]
        assert rows.pop(row["id"], None) == before, f"{change} does not follow"
        if change["action"] != "DELETE":
            rows[row["id"]] = row["total_frames"]

    def number_all(self):
        while self.run(self.numberer, "select number_changes()") != [(0,)]:
            pass

    def try_to(self, writer, statement):
        if self.writers[writer] is not None:
            try:
                self.run(self.writers[writer], statement)
            except psycopg2.Error:
                self.end(writer, "rollback")

    def end(self, writer, statement):
        connection, self.writers[writer], self.has_savepoint[writer] = self.writers[writer], None, False
        if connection is not None:
            with suppress(psycopg2.Error):  # a serializable one may fail to commit
                self.run(connection, statement)
            connection.close()

    def run(self, connection, statement, values=None):
        with connection.cursor() as cursor:
            cursor.execute(statement, values)
            return cursor.fetchall() if cursor.description else []


def test_every_snapshot_and_what_follows_it_lead_to_the_rows_that_are_there(app, database_url):
    run_state_machine_as_test(
        lambda: Order(app, database_url),  # type: ignore[arg-type]
        settings=settings(
            max_examples=50,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        ),
    )
