"""The sequencer on real PostgreSQL: who numbers, when, and that nothing waits for ever, whatever becomes of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from contextlib import closing
from functools import partial

import gevent
import pytest

from app.feed.periodic import Periodic
from app.feed.sequencer import Sequencer
from app.postgres.connections import connect
from tests.waiting import until

AWAKE = "select setval('change_awake', (extract(epoch from clock_timestamp()) * 1000)::bigint + %s)"
INSERT = "insert into sessions (session_name) values (%s)"


@pytest.fixture
def session(database_url):
    """Opens connections that are closed after the test."""
    opened = []

    def open_one():
        opened.append(connect(database_url, application_name="test"))
        return opened[-1]

    yield open_one
    for connection in opened:
        connection.close()


@pytest.fixture
def sql(session):
    connection = session()
    return lambda statement, *values: run(connection, statement, *values)


@pytest.fixture
def sequencer(database_url):
    """A Sequencer in its loop, in this process; it looks without a bell only when a test asks for that."""
    loops = []

    def start(check_seconds=3600.0):
        one = Sequencer(
            partial(connect, database_url, application_name="people-feed sequencer"), check_seconds=check_seconds
        )
        loops.append(Periodic("numbering", one.work, retry_seconds=0.05, grace_seconds=0.0, at_end=one.close))
        loops[-1].start()
        return one

    yield start
    for loop in loops:
        loop.stop()


@pytest.fixture
def program(database_url):
    """``flask sequence``, as many as one likes, each a process of its own."""
    started = []

    def start():
        environ = os.environ | {"DATABASE_URL": database_url, "LISTENER_CHECK_SECONDS": "60", "PYTHONUNBUFFERED": "1"}
        command = [sys.executable, "-m", "flask", "--app", "app.cli", "sequence"]
        process = subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        started.append(process)
        assert "Ctrl-C ends it" in process.stdout.readline()
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.send_signal(signal.SIGCONT)
            process.kill()
        process.communicate()


def run(connection, statement, *values):
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return cursor.fetchall() if cursor.description else []


def names(sql):
    return [name for (name,) in sql("select payload::json -> 'data' ->> 'session_name' from change_log order by id")]


def reach(condition, seconds=20):
    """As ``until``, in a process in which greenlets run."""
    with gevent.Timeout(seconds, AssertionError("not reached")):
        while not condition():
            gevent.sleep(0.005)


def test_a_change_that_is_committed_while_it_sleeps_wakes_it(sql, sequencer):
    one = sequencer()
    reach(lambda: one.totals["awake"] == 1 and one.state == "sleeping")
    assert sql("select pg_sequence_last_value('change_awake')") == [(0,)]
    for number in range(3):
        sql(INSERT, f"door {number}")
        reach(lambda number=number: len(names(sql)) == number + 1)
    assert names(sql) == ["door 0", "door 1", "door 2"]
    assert one.totals["unrung"] == 0


def test_at_rest_it_is_asleep_and_asks_nothing(sql, sequencer):
    one = sequencer()
    sql(INSERT, "door")
    reach(lambda: names(sql) == ["door"] and one.state == "sleeping")
    question = "select query_start from pg_stat_activity where application_name = 'people-feed sequencer'"
    before, awake = sql(question), one.totals["awake"]
    gevent.sleep(0.5)
    assert (sql(question), one.totals["awake"]) == (before, awake)


def test_the_inbox_does_not_grow_however_much_goes_through_it(sql, sequencer):
    """Without autovacuum, which comes too late at best."""
    one = sequencer()
    sql("alter table change_inbox set (autovacuum_enabled = off)")
    many = "insert into sessions (session_name) select 'door' from generate_series(1, 20000)"
    sizes = []
    for round_ in range(1, 4):
        sql(many)
        reach(lambda round_=round_: one.totals["numbered"] == round_ * 20000)
        one.tidy(lambda _seconds: False)
        sizes.append(sql("select pg_relation_size('change_inbox')")[0][0])
        one.tidy(lambda _seconds: False)  # nothing has come since
    assert sizes[2] < 1.5 * sizes[0]
    reach(lambda: sql("select vacuum_count from pg_stat_user_tables where relname = 'change_inbox'") == [(3,)])


def test_a_transaction_that_saw_it_awake_and_commits_when_it_sleeps_is_waited_for(sql, sequencer, session):
    """It does not ring: the sequencer has to remember."""
    late = session()
    one = sequencer()
    reach(lambda: one.state == "sleeping")
    sql(AWAKE, 900)
    run(late, "begin")
    run(late, INSERT, "late")
    sql("select setval('change_awake', 0)")
    sql(INSERT, "rings")
    reach(lambda: names(sql) == ["rings"] and one.state == "waiting for transactions")
    # Others ring as ever.
    sql(INSERT, "rings, too")
    reach(lambda: names(sql) == ["rings", "rings, too"])
    run(late, "commit")
    reach(lambda: names(sql) == ["rings", "rings, too", "late"])
    reach(lambda: one.state == "sleeping")
    assert one.totals["unrung"] == 0


def test_the_procedure_names_the_transactions_that_will_not_ring(sql, session):
    late = session()
    run(late, "begin")
    [(xid,)] = run(late, "select pg_current_xact_id()::text::bigint")
    [(numbered, awake, horizon)] = sql("call sequence_changes(null, '0', '1 s')")
    assert (numbered, awake) == (0, None)
    assert int(horizon) > xid
    run(late, "rollback")
    assert sql("select pg_snapshot_xmin(pg_current_snapshot()) >= %s::xid8", horizon) == [(True,)]
    assert sql("call sequence_changes(null, '0', '1 s')") == [(0, None, None)]


def test_only_one_is_awake_at_a_time(sql, session):
    awake, result = session(), []
    thread = threading.Thread(target=lambda: result.extend(run(awake, "call sequence_changes(null, '10 s', '1 s')")))
    thread.start()
    until(lambda: sql("select pg_sequence_last_value('change_awake')")[0][0] > 0)
    assert sql("call sequence_changes(null, '0', '1 s')") == [(None, None, None)]
    sql(INSERT, "door")
    thread.join(timeout=30)
    [(numbered, awake, horizon)] = result
    assert (numbered, awake > 0, horizon) == (1, True, None)
    # It goes on where it is known by what it was told, unless another has come.
    assert sql("call sequence_changes(%s, '0', '1 s')", awake) == [(0, None, None)]
    sql(AWAKE, 900)
    assert sql("call sequence_changes(%s, '0', '1 s')", awake) == [(None, None, None)]


def test_a_writer_that_sees_that_the_clock_was_set_back_rings(sql, session):
    """Else a sequencer that died before would keep everybody silent for as long as the clock went back."""
    listener = session()
    run(listener, "listen change_bell")
    sql(AWAKE, 3_600_000)
    sql(INSERT, "door")
    until(lambda: listener.poll() or listener.notifies)


def test_a_bell_that_is_lost_costs_only_time(sql, sequencer):
    one = sequencer(check_seconds=0.2)
    reach(lambda: one.state == "sleeping")
    sql(AWAKE, 3000)  # so nobody rings
    sql(INSERT, "unrung")
    reach(lambda: names(sql) == ["unrung"])
    assert one.totals["unrung"] == 1


def test_where_the_first_is_frozen_another_takes_over_and_each_change_has_one_id(sql, program):
    first = program()
    sql(INSERT, "one")
    until(lambda: names(sql) == ["one"])
    second = program()
    first.send_signal(signal.SIGSTOP)
    sql(INSERT, "two")
    until(lambda: names(sql) == ["one", "two"])
    first.send_signal(signal.SIGCONT)
    for number in range(50):
        sql(INSERT, f"door {number}")
    until(lambda: len(names(sql)) == 52)
    # What a call has numbered it says when it ends.
    until(lambda: sql("select pg_sequence_last_value('change_awake')") == [(0,)])
    assert sql(
        "select count(distinct id), count(distinct seq), max(id), (select count(*) from change_inbox) from change_log"
    ) == [(52, 52, 52, 0)]
    for process in (first, second):
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 0
    told = first.stdout.read() + second.stdout.read()
    assert sum(int(line.split()[1]) for line in told.splitlines() if line.startswith("Numbered")) == 52


def test_where_the_first_is_killed_with_its_backend_another_takes_over(sql, program, admin_url):
    first = program()
    sql(INSERT, "one")
    until(lambda: names(sql) == ["one"])
    program()
    first.kill()
    with closing(connect(admin_url, application_name="administrator")) as administrator:
        run(
            administrator,
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name like '%%sequencer'",
        )
    sql(INSERT, "two")
    until(lambda: names(sql) == ["one", "two"])


def test_two_at_once_number_everything_once(sql, session):
    connections = [session() for _ in range(3)]
    done = []

    def sequence(connection):
        while not done:
            run(connection, "call sequence_changes(pg_sequence_last_value('change_awake'), '0.05 s', '0.2 s')")

    threads = [threading.Thread(target=sequence, args=(connection,)) for connection in connections]
    for thread in threads:
        thread.start()
    for number in range(200):
        sql(INSERT, f"door {number}")
    until(lambda: len(names(sql)) == 200)
    done.append(True)
    for thread in threads:
        thread.join(timeout=30)
    assert names(sql) == [f"door {number}" for number in range(200)]
    assert sql("select min(id), max(id), count(*) from change_log") == [(1, 200, 200)]


@pytest.mark.parametrize("cut", ["before it commits", "after"])
def test_a_numbering_that_is_cut_leaves_a_change_in_the_inbox_or_in_the_log(sql, session, admin_url, cut):
    sql(INSERT, "door")
    with closing(connect(admin_url, application_name="cut")) as doomed:
        [(pid,)] = run(doomed, "select pg_backend_pid()")
        run(doomed, "begin")
        run(doomed, "select number_changes()")
        if cut == "after":
            run(doomed, "commit")
        with closing(connect(admin_url, application_name="administrator")) as administrator:
            run(administrator, "select pg_terminate_backend(%s)", pid)
            until(lambda: not run(administrator, "select from pg_stat_activity where pid = %s", pid))
    assert (len(names(sql)), sql("select count(*) from change_inbox")[0][0]) == ((1, 0) if cut == "after" else (0, 1))
    sql("select number_changes()")
    assert names(sql) == ["door"]


def test_a_commit_that_need_not_be_flushed_is_flushed_before_anyone_hears_of_it(session):
    connection = session()
    run(connection, "set synchronous_commit = off")
    run(connection, INSERT, "door")
    run(connection, "begin")
    run(connection, "select number_changes()")
    [(end,)] = run(connection, "select pg_current_wal_insert_lsn()")
    run(connection, "commit")
    assert run(connection, "select pg_current_wal_flush_lsn() >= %s::pg_lsn", end) == [(True,)]


def test_numbering_goes_on_whatever_a_stranger_holds(sql, session, sequencer, admin_url):
    one = sequencer()
    with closing(connect(admin_url, application_name="stranger")) as stranger:
        role = f"stranger_{os.getpid()}"
        run(stranger, f"create role {role}; set role {role}")
        try:
            run(stranger, "begin")
            run(stranger, "select pg_advisory_lock(n) from generate_series(0, 100) n")
            run(stranger, "notify change_bell; listen change_bell")
            sql(INSERT, "door")
            reach(lambda: names(sql) == ["door"])
        finally:
            run(stranger, f"rollback; reset role; drop role {role}")
    assert one.totals["numbered"] == 1
