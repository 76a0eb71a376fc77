"""Pruning the change log: what goes, what stays, and that nobody waits for it."""

from __future__ import annotations

import threading
from functools import partial

import pytest

from app.feed.periodic import Periodic
from app.feed.pruner import Pruner, extent, prune
from app.postgres.connections import connect
from tests.waiting import until

_PLENTY = 1024**4


@pytest.fixture
def connection(database_url):
    opened = connect(database_url, application_name="test")
    yield opened
    opened.close()


def _run(connection, statement, parameters=None):
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return cursor.fetchall() if cursor.description else None


def _fill(connection, ages_in_hours, after=0):
    """Changes of these ages, oldest id first, with ids that follow the newest, or ``after``."""
    _run(
        connection,
        """
        insert into change_log
        select greatest(%s, (select max(id) from change_log)) + n, 'sessions', 'INSERT', null, null, repeat('x', 300),
               now() - age * interval '1 hour' from unnest(%s::float8[]) with ordinality as t (age, n) order by n
    """,
        (after, list(ages_in_hours)),
    )


def _ids(connection):
    return [row[0] for row in _run(connection, "select id from change_log order by id")]


def test_changes_beyond_the_age_go_and_the_others_stay(connection):
    _fill(connection, [100, 80, 73, 71, 10, 0])
    assert sum(prune(connection, hours=72, most_bytes=_PLENTY)) == 3
    assert _ids(connection) == [4, 5, 6]


def test_the_newest_change_stays_whatever_its_age(connection):
    _fill(connection, [300, 200, 100])
    assert sum(prune(connection, hours=1, most_bytes=0)) == 2
    assert _ids(connection) == [3]
    assert sum(prune(connection, hours=1, most_bytes=0)) == 0


def test_an_empty_log_is_left_alone(connection):
    assert list(prune(connection, hours=1, most_bytes=1)) == []
    assert str(extent(connection)) == "The log is empty."


def test_changes_beyond_the_size_go_though_they_are_young(connection):
    _fill(connection, [1] * 20_000)
    size = extent(connection).bytes
    assert size == 20_000 * 404
    prune_all = prune(connection, hours=72, most_bytes=size // 4)
    assert sum(prune_all) == 15_000
    assert extent(connection).bytes == size // 4


def test_a_clock_that_was_set_back_lets_nothing_go_too_soon(connection):
    _fill(connection, [100, 99, 1, 100, 99, 0])
    assert sum(prune(connection, hours=72, most_bytes=_PLENTY)) == 2
    assert _ids(connection) == [3, 4, 5, 6]


def test_changes_that_grow_old_meanwhile_wait_for_the_next_time(connection):
    """Else it would go on without end where changes come all the time."""
    _fill(connection, [100] * 6000 + [1] * 100 + [0])
    steps = prune(connection, hours=72, most_bytes=_PLENTY)
    assert next(steps) == 5000
    _run(connection, "update change_log set recorded_at = statement_timestamp() - interval '72 hours' where id > 6000")
    assert list(steps) == [1000]
    assert next(prune(connection, hours=72, most_bytes=_PLENTY)) == 100


def test_gaps_between_the_ids_do_not_stop_it(connection):
    _fill(connection, [100] * 10)
    _fill(connection, [100] * 10, after=1_000_000)
    assert sum(prune(connection, hours=72, most_bytes=_PLENTY)) == 19


def test_many_changes_go_in_small_steps(connection):
    _fill(connection, [100] * 12_000)
    assert list(prune(connection, hours=72, most_bytes=_PLENTY)) == [5000, 5000, 1999]


def test_writers_do_not_wait_for_a_step(connection, database_url):
    _fill(connection, [100] * 12_000)
    pruner = connect(database_url, application_name="pruner")
    _run(pruner, "begin")
    [step, *_] = _one_step(pruner)
    writer = connect(database_url, application_name="writer", lock_timeout=500, statement_timeout=2000)
    _run(writer, "insert into sessions (session_name) values ('not blocked')")
    _run(pruner, "commit")
    assert step == 5000
    for opened in (pruner, writer):
        opened.close()


def _one_step(connection):
    return [next(prune(connection, hours=72, most_bytes=_PLENTY))]


def test_writers_and_the_pruner_side_by_side_lose_nothing(connection, database_url):
    _fill(connection, [100] * 30_000)
    writer = connect(database_url, application_name="writer")

    def write():
        for _ in range(300):
            _run(writer, "insert into sessions (session_name) values ('while pruning')")

    thread = threading.Thread(target=write)
    thread.start()
    deleted = sum(prune(connection, hours=72, most_bytes=_PLENTY))
    thread.join(timeout=60)
    writer.close()
    assert deleted >= 29_999
    assert _run(connection, "select number_changes()") == [(300,)]
    assert _run(connection, "select count(*) from change_log where recorded_at > now() - interval '1 hour'") == [(300,)]


def test_the_pruner_prunes_by_itself_and_stops_twice(connection, database_url):
    _fill(connection, [100] * 6000)
    pruner = Pruner(
        partial(connect, database_url, application_name="pruner"), hours=72, most_bytes=_PLENTY, interval_seconds=0.01
    )
    loop = Periodic("pruning", pruner.work)
    loop.stop()
    loop.start()
    _until_pruned(pruner)
    loop.stop()
    loop.stop()
    assert _ids(connection) == [6000]


def _until_pruned(pruner):
    import gevent

    with gevent.Timeout(30):
        while pruner.totals["pruned"] < 5999:
            gevent.sleep(0.01)


def test_two_do_not_prune_at_once(connection, app):
    runner = app.test_cli_runner()
    _fill(connection, [100] * 3)
    _run(connection, "begin")
    _run(connection, "select from change_log_home for update")
    with app.app_context():
        refused = runner.invoke(args=["prune"])
    assert (refused.exit_code, refused.stderr) == (1, "Error: Another process is pruning the log right now.\n")
    _run(connection, "rollback")
    with app.app_context():
        pruned = until(lambda: (got := runner.invoke(args=["prune"])).exit_code == 0 and got)
    assert pruned.stdout == (
        "The log has the changes 1 to 3, about 0.0 MB.\n"
        "To keep: 72 hours, at most 4096 MB.\n"
        "Deleted 2 changes. The log has the changes 3 to 3, about 0.0 MB.\n"
    )
