"""The Listener, on a real database: what it makes of each kind of news, and of none."""

from __future__ import annotations

import json
import os
import resource
from contextlib import ExitStack
from functools import partial

import gevent
import pytest

from app.feed.feed import raise_file_limit
from app.feed.listener import Listener
from app.feed.log import read_after
from app.postgres.connections import connect
from tests.making import payload

CHANNEL = "session_changes"


class Audience:
    """Remembers what it is told: the ids that were published since each start, and the states of the log."""

    def __init__(self):
        self.starts = []
        self.available = []
        self.names = []
        self.sizes = []

    def publish(self, changes):
        self.sizes.append(len(changes))
        for change in changes:
            message = json.loads(change.frame.removeprefix(b"data: ").partition(b"\n")[0])
            self.names.append(message["data"].get("data", {}).get("session_name"))
        self.starts[-1][1].extend(change.id for change in changes)

    def start_at(self, cursor):
        self.starts.append((cursor, []))

    def set_available(self, is_available):
        self.available.append(is_available)


@pytest.fixture
def sql(database_url):
    """Runs a statement, in a transaction of its own."""
    connection = connect(database_url, application_name="test")

    def run(statement, *values):
        with connection.cursor() as cursor:
            cursor.execute(statement, values)
            rows = cursor.fetchall() if cursor.description else []
            # As the sequencer of a feed does at once.
            cursor.execute("select number_changes()")
            return rows

    yield run
    connection.close()


@pytest.fixture
def heard():
    return Audience()


@pytest.fixture
def listener(database_url, heard):
    """A Listener that is live; its regular check comes late unless a test asks for another one."""
    started = []

    def start(check_seconds=60.0):
        one = Listener(
            partial(connect, database_url, application_name="people-feed listener"), heard, check_seconds=check_seconds
        )
        started.append(one)
        one.start()
        until(lambda: one.state == "live", one)
        return one

    yield start
    for one in started:
        one.stop()


def until(condition, listener):
    with gevent.Timeout(20, AssertionError(f"{listener.state} at {listener.cursor}, {listener.counts}")):
        while not condition():
            gevent.sleep(0.005)


def record(sql, *ids):
    """Put changes into the log without a NOTIFY."""
    for change_id in ids:
        sql(
            "insert into change_log values (%s, 'sessions', 'INSERT', null, null, %s, now())",
            change_id, payload(change_id),
        )  # fmt: skip


def notify(sql, text):
    sql("select pg_notify(%s, %s)", CHANNEL, text)


def test_changes_that_are_announced_are_published_in_order(listener, heard, sql):
    one = listener()
    for number in range(5):
        sql("insert into sessions (session_name) values (%s)", f"door {number}")
    until(lambda: one.cursor == 5, one)
    assert heard.starts == [(0, [1, 2, 3, 4, 5])]
    assert len(one.delays_ms) == 5


def test_it_starts_where_the_log_ends(listener, heard, sql):
    record(sql, 1, 2, 3)
    one = listener()
    assert (one.cursor, heard.starts, heard.available) == (3, [(3, [])], [True])


def test_an_id_further_on_makes_it_read_the_log(listener, heard, sql):
    one = listener()
    record(sql, 1, 2, 3)
    notify(sql, payload(3))
    until(lambda: one.cursor == 3, one)
    assert heard.starts == [(0, [1, 2, 3])]


def test_a_reference_makes_it_read_the_log(listener, heard, sql):
    one = listener()
    sql("insert into sessions (session_name) values (%s)", "x" * 9000)  # too long for a NOTIFY
    until(lambda: one.cursor == 1, one)
    assert heard.starts == [(0, [1])]


def test_all_of_a_small_batch_of_large_changes_is_read_at_once(listener, heard, sql):
    one = listener()
    # More than goes out in full, by so few changes that they are sealed.
    sql("insert into sessions (session_name) select repeat('x', 7300) from generate_series(1, 16)")
    until(lambda: one.cursor == 16, one)
    assert heard.starts == [(0, list(range(1, 17)))]


def test_a_change_that_is_announced_twice_is_published_once(listener, heard, sql):
    one = listener()
    record(sql, 1, 2)
    for change_id in (1, 1, 2, 1, 2):
        notify(sql, payload(change_id))
    record(sql, 3)
    notify(sql, payload(3))
    until(lambda: one.cursor == 3, one)
    assert heard.starts == [(0, [1, 2, 3])]


@pytest.mark.parametrize("text", ["", "hello", "{}", payload(1), payload(2), payload(1) + "\n\n" + payload(2)])
def test_what_a_notification_says_is_not_believed(listener, heard, sql, text):
    one = listener()
    notify(sql, text)
    sql("insert into sessions (session_name) values ('door')")
    until(lambda: one.cursor == 1, one)
    assert heard.starts == [(0, [1])]
    assert heard.names == ["door"]
    assert one.state == "live"


def test_a_sealed_notification_of_the_next_change_is_believed(listener, heard, sql, monkeypatch):
    one = listener()
    monkeypatch.setattr("app.feed.listener.read_after", None)  # the log is not read
    for number in range(3):
        sql("insert into sessions (session_name) select 'Tür ' || n from generate_series(1, 8) as n")
        until(lambda number=number: one.cursor == 8 * (number + 1), one)
    assert heard.starts == [(0, [*range(1, 25)])]
    assert heard.names == [f"Tür {n}" for n in range(1, 9)] * 3
    assert one.counts["failures"] == 0


def test_a_batch_of_many_is_not_sealed_but_read_from_the_log_once(listener, heard, sql, monkeypatch, sent):
    reads = []

    def read(*arguments):
        reads.append(arguments)
        return read_after(*arguments)

    one = listener()
    monkeypatch.setattr("app.feed.listener.read_after", read)
    sql("insert into sessions (session_name) select 'door ' || n from generate_series(1, 100) as n")
    until(lambda: one.cursor == 100, one)
    text = sent()
    assert text.startswith('{"id":')
    assert text == text.rstrip()
    # The rest of its notifications, which may come in pieces, say nothing new.
    sql("insert into sessions (session_name) values ('gate')")
    until(lambda: one.cursor == 101, one)
    assert heard.names == [*(f"door {n}" for n in range(1, 101)), "gate"]
    assert len(reads) == 1


@pytest.fixture
def sent(database_url):
    """What the triggers send, as any role hears it."""
    connection = connect(database_url, application_name="stranger")
    with connection.cursor() as cursor:
        cursor.execute(f"listen {CHANNEL}")

    def newest():
        connection.poll()
        return connection.notifies[-1].payload

    yield newest
    connection.close()


@pytest.mark.parametrize(
    "forge",
    [
        lambda text: text,
        lambda text: text.replace('"id":1,', '"id":2,'),
        lambda text: text.replace("door", "roof").replace('"id":1,', '"id":2,'),
        lambda text: text[:-1] + (" " if text[-1] == "\t" else "\t"),
        lambda text: text[:-1] + "\u00a0",
        lambda text: payload(2) + text[-96:],
        lambda text: payload(2) + " " * 96,
        lambda text: " " * 96,
    ],
)
def test_a_seal_that_was_heard_opens_nothing_else(listener, heard, sql, sent, forge):
    one = listener()
    sql("insert into sessions (session_name) values ('door')")
    until(lambda: one.cursor == 1, one)
    notify(sql, forge(sent()))
    sql("insert into sessions (session_name) values ('gate')")
    until(lambda: one.cursor == 2, one)
    assert heard.starts == [(0, [1, 2])]
    assert heard.names == ["door", "gate"]
    assert one.counts["failures"] == 0


def test_a_sealed_change_that_cannot_be_read_is_left_to_the_reader_of_the_log(listener, heard, sql, monkeypatch):
    one = listener()
    with monkeypatch.context() as patch:
        patch.setattr("app.feed.listener.Change.from_payload", lambda text: int("no change"))
        sql("insert into sessions (session_name) values ('door')")
        until(lambda: one.cursor == 1, one)
    assert heard.starts[-1][1] == [1]
    assert one.counts["failures"] == 0


def test_a_copied_database_seals_with_a_secret_of_its_own(listener, heard, sql):
    [(before,)] = sql("select secret from change_log_home")
    sql("update change_log_home set database_identity = 'another'")
    one = listener()
    assert sql("select secret = %s, length(secret) from change_log_home", before) == [(False, 32)]
    sql("insert into sessions (session_name) values ('door')")
    until(lambda: heard.names == ["door"], one)


def test_a_large_change_is_read_alone(listener, heard, sql):
    one = listener()
    sql("insert into sessions (session_name) select repeat('x', 1500000) from generate_series(1, 9)")
    until(lambda: one.cursor == 9, one)
    assert heard.starts == [(0, [*range(1, 10)])]
    assert max(heard.sizes) == 1


def test_a_change_without_a_notification_is_published_at_the_check_and_counted_at_the_next(listener, heard, sql):
    one = listener(check_seconds=0.1)
    record(sql, 1)
    until(lambda: one.cursor == 1, one)
    until(lambda: one.counts["unannounced"] == 1, one)
    assert heard.starts == [(0, [1])]


def test_a_lost_connection_costs_no_change(listener, heard, sql, admin_url):
    one = listener()
    sql("insert into sessions (session_name) values ('before')")
    until(lambda: one.cursor == 1, one)
    administrator = connect(admin_url, application_name="administrator")
    with administrator.cursor() as cursor:
        cursor.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where application_name = 'people-feed listener' and datname = current_database()"
        )
    administrator.close()
    sql("insert into sessions (session_name) values ('meanwhile')")
    until(lambda: one.counts["reconnects"] == 1, one)
    until(lambda: one.cursor == 2, one)
    assert heard.starts == [(0, [1, 2])]
    assert heard.available == [True, False, True]


def test_it_hears_beside_more_streams_than_select_can_watch(listener, heard, sql):
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert raise_file_limit(2000) == 2000, f"the system allows {most} files"
    with ExitStack() as stack:
        for _ in range(1100):
            stack.enter_context(open(os.devnull))
        one = listener()
        sql("insert into sessions (session_name) values ('door')")
        until(lambda: one.cursor == 1, one)
        assert one.counts["failures"] == 0


def test_rows_of_tables_that_nobody_watches_are_passed_over(listener, heard, sql):
    one = listener()
    sql("insert into change_log select n, 'pg_class', 'INSERT', null, null, '{}', now() from generate_series(1, 450) n")
    record(sql, 451)
    notify(sql, "")
    until(lambda: one.cursor == 451, one)
    assert heard.starts == [(0, [451])]


def test_a_log_without_its_home_is_waited_for(listener, heard, sql):
    one = listener(check_seconds=0.1)
    [(identity,)] = sql("delete from change_log_home returning database_identity")
    until(lambda: one.counts["failures"] > 0, one)
    sql("insert into change_log_home (database_identity) values (%s)", identity)
    sql("insert into sessions (session_name) values ('door')")
    until(lambda: one.cursor == 1, one)
    assert heard.starts == [(0, [1])]


def test_a_log_that_ends_before_the_cursor_is_another_log(listener, heard, sql):
    record(sql, 7, 8)
    one = listener(check_seconds=0.1)
    sql("delete from change_log")
    sql("update change_log_home set floor = 0")
    until(lambda: one.counts["resets"] == 1, one)
    assert heard.starts == [(8, []), (0, [])]


def test_changes_that_were_pruned_before_they_were_read_start_the_log_again(listener, heard, sql):
    record(sql, 1)
    one = listener()
    record(sql, 2, 3, 4)
    sql("delete from change_log where id < 4")
    notify(sql, payload(4))
    until(lambda: one.cursor == 4, one)
    assert heard.starts == [(1, []), (4, [])]
    assert one.counts["resets"] == 1


def test_a_copied_database_restarts_the_log(listener, heard, sql):
    record(sql, 1)
    sql("update change_log_home set database_identity = 'another'")
    one = listener()
    assert one.cursor > 1_000_000_000
    assert len(heard.starts) == 1


def test_a_bug_in_the_audience_resets_all_streams_and_is_loud(listener, heard, sql, caplog):
    one = listener()
    publish, heard.publish = heard.publish, None
    sql("insert into sessions (session_name) values ('door')")
    until(lambda: not heard.available[-1], one)
    heard.publish = publish
    until(lambda: one.state == "live", one)
    assert "the Listener failed and restarts" in caplog.text
    assert heard.starts == [(0, []), (1, [])]


def test_it_may_be_stopped_before_it_starts_and_twice(database_url, heard):
    one = Listener(partial(connect, database_url, application_name="listener"), heard, check_seconds=1)
    one.stop()
    one.stop()
    one.start()
    assert (one.state, heard.starts) == ("stopped", [])
