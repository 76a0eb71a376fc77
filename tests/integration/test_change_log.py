"""The change log and its triggers on real PostgreSQL: what is recorded, in which order, and that writers stay free."""

from __future__ import annotations

import json
import uuid
from contextlib import closing

import psycopg2
import pytest

from app.postgres.connections import connect
from app.postgres.embedded import Server
from app.postgres.migrate import migrate

CHANNELS = ["session_changes", "movement_changes", "alert_changes", "metrics_changes"]


@pytest.fixture
def writer(database_url):
    """Open connections that are closed after the test; a writer that had to wait for a lock would fail."""
    opened = []

    def open_one(url=database_url, **settings):
        opened.append(connect(url, application_name="writer", **{"lock_timeout": 5000} | settings))
        return opened[-1]

    yield open_one
    for connection in opened:
        connection.close()


@pytest.fixture
def session(writer):
    """A session, and a connection to write with."""
    connection = writer()
    [(session_id,)] = run(connection, "insert into sessions (session_name) values ('one') returning id")
    number(connection)
    return connection, session_id


def run(connection, statement, parameters=None):
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return cursor.fetchall() if cursor.description else None


def number(connection):
    """Give ids to what is committed, as the sequencer of a feed does all the time."""
    while run(connection, "select number_changes()") != [(0,)]:
        pass


def log(connection, after=0):
    number(connection)
    return run(connection, "select table_name, action from change_log where id > %s order by id", (after,))


def newest(connection):
    number(connection)
    return run(connection, "select coalesce(max(id), 0) from change_log")[0][0]


def payloads(connection, after=0):
    number(connection)
    return [
        json.loads(payload)
        for (payload,) in run(connection, "select payload from change_log where id > %s order by id", (after,))
    ]


def listening(connection):
    for channel in CHANNELS:
        run(connection, f"listen {channel}")
    return connection


def heard(connection):
    """What was announced up to now: a round trip brings it."""
    number(connection)
    connection.poll()
    announced = [(notify.channel, notify.payload) for notify in connection.notifies]
    connection.notifies.clear()
    return announced


def add_movement(connection, session_id, direction="in"):
    run(
        connection,
        "insert into people_movements (session_id, person_id, movement_direction) values (%s, 1, %s)",
        (session_id, direction),
    )


# What is recorded


def test_the_four_triggers_have_their_names(writer):
    names = run(
        writer(),
        "select distinct trigger_name, event_object_table from information_schema.triggers"
        " where trigger_name like '%change_trigger' order by 1",
    )
    assert names == [
        ("alert_change_trigger", "alert_logs"),
        ("metrics_change_trigger", "realtime_metrics"),
        ("movement_change_trigger", "people_movements"),
        ("session_change_trigger", "sessions"),
    ]


def test_the_announced_payload_is_the_logged_one_and_holds_the_row(session, writer):
    connection, session_id = session
    listener, start = listening(writer()), newest(connection)
    run(connection, "update sessions set fps = 29.97 where id = %s", (session_id,))
    [(channel, payload)] = heard(listener)
    assert channel == "session_changes"
    assert len(payload) - len(payload.rstrip()) == 96  # the seal, which no reader of JSON sees
    assert [(payload.rstrip(),)] == run(connection, "select payload from change_log where id > %s", (start,))
    change = json.loads(payload)
    row = json.loads(run(connection, "set timezone = 'UTC'; select row_to_json(s)::text from sessions s")[0][0])
    assert change["data"] == row
    assert change["old_data"] | {"fps": 29.97, "updated_at": row["updated_at"]} == row
    assert set(change) == {"id", "table", "action", "data", "old_data", "timestamp"}


def test_a_delete_has_the_row_that_went_in_data_and_in_old_data(session):
    connection, session_id = session
    run(connection, "delete from sessions")
    change = payloads(connection)[-1]
    assert (change["action"], change["data"], change["data"]["id"]) == ("DELETE", change["old_data"], session_id)


def test_deleting_a_session_records_the_children_that_go_with_it(session):
    connection, session_id = session
    add_movement(connection, session_id)
    run(connection, "insert into realtime_metrics (session_id) values (%s)", (session_id,))
    run(connection, "insert into alert_logs (session_id, alert_type) values (%s, 'crowd')", (session_id,))
    start = newest(connection)
    run(connection, "delete from sessions")
    assert sorted(log(connection, start)) == [
        ("alert_logs", "DELETE"),
        ("people_movements", "DELETE"),
        ("realtime_metrics", "DELETE"),
        ("sessions", "DELETE"),
    ]


def test_updates_that_change_nothing_are_not_changes(session):
    connection, session_id = session
    add_movement(connection, session_id)
    start = newest(connection)
    run(connection, "update sessions set session_name = session_name; update people_movements set person_id = 1")
    assert log(connection, start) == []
    assert run(connection, "select created_at = updated_at from sessions") == [(True,)]


def test_a_row_that_moves_to_another_session_is_recorded_under_both(session):
    connection, before = session
    add_movement(connection, before)
    after = run(connection, "insert into sessions (session_name) values ('two') returning id")[0][0]
    run(connection, "update people_movements set session_id = %s", (after,))
    number(connection)
    assert run(connection, "select session_id, old_session_id from change_log order by id desc limit 1") == [
        (after, before)
    ]
    assert payloads(connection)[-1]["old_data"]["session_id"] == before


def test_a_new_id_of_a_session_is_recorded_under_both(session):
    connection, before = session
    after = str(uuid.uuid4())
    run(connection, "update sessions set id = %s", (after,))
    number(connection)
    assert run(connection, "select session_id, old_session_id from change_log order by id desc limit 1") == [
        (after, before)
    ]


def test_truncate_is_recorded_for_every_table_that_it_empties(session):
    connection, session_id = session
    add_movement(connection, session_id)
    start = newest(connection)
    run(connection, "truncate sessions cascade")
    assert sorted(log(connection, start)) == [
        (table, "TRUNCATE") for table in ("alert_logs", "people_movements", "realtime_metrics", "sessions")
    ]


def test_test_sse_triggers_reaches_every_channel_and_touches_no_row(writer, admin_url):
    listener, admin = listening(writer()), writer(admin_url)
    run(admin, "select test_sse_triggers()")
    announced = heard(listener)
    assert sorted(channel for channel, _ in announced) == sorted(CHANNELS)
    assert {json.loads(payload)["action"] for _, payload in announced} == {"TEST"}
    assert {json.dumps(json.loads(payload)["data"]) for _, payload in announced} == {'{"test": true}'}
    assert log(listener) == [
        (table, "TEST") for table in ("sessions", "people_movements", "alert_logs", "realtime_metrics")
    ]


def test_statements_sent_as_one_text_are_recorded_in_their_order(writer):
    connection = writer()
    run(
        connection,
        """
        begin; insert into sessions (id, session_name) values ('00000000-0000-0000-0000-000000000001', 'psql');
        update sessions set fps = 25; commit; delete from sessions
    """,
    )
    assert [action for _, action in log(connection)] == ["INSERT", "UPDATE", "DELETE"]


def test_a_transaction_of_several_statements_is_recorded_in_their_order_and_leaves_the_inbox_empty(session):
    connection, session_id = session
    start = newest(connection)
    run(connection, "begin")
    add_movement(connection, session_id)
    run(connection, "update sessions set fps = 1")
    run(connection, "commit")
    assert log(connection, start) == [("people_movements", "INSERT"), ("sessions", "UPDATE")]
    assert run(connection, "select count(*) from change_inbox") == [(0,)]


def test_a_procedure_that_commits_in_the_middle_records_each_part(writer, admin_url):
    connection = writer(admin_url)
    run(
        connection,
        """create procedure two_parts() language plpgsql as $$ begin
        insert into sessions (session_name) values ('first'); commit;
        insert into sessions (session_name) values ('second'); end $$""",
    )
    run(connection, "call two_parts()")
    assert [change["data"]["session_name"] for change in payloads(connection)] == ["first", "second"]


# Rollback


def test_what_is_rolled_back_is_not_recorded_and_the_rest_of_it_is(session):
    connection, session_id = session
    start = newest(connection)
    run(connection, "begin")
    add_movement(connection, session_id)
    run(connection, "savepoint s")
    run(connection, "update sessions set fps = 1")
    run(connection, "rollback to s")
    add_movement(connection, session_id)
    run(connection, "commit")
    run(connection, "begin")
    add_movement(connection, session_id)
    run(connection, "rollback")
    assert log(connection, start) == [("people_movements", "INSERT")] * 2


# Sizes


def _bytes_of_payload(connection, name):
    run(connection, "insert into sessions (session_name) values (%s)", (name,))
    number(connection)
    return run(connection, "select octet_length(payload) from change_log order by id desc limit 1")[0][0]


@pytest.mark.parametrize(("size", "whole"), [(7999, True), (8000, False)])
@pytest.mark.parametrize("letter", ["\N{ELEPHANT}", "ß", '"'])
def test_a_payload_of_7999_bytes_is_announced_whole_and_one_of_8000_as_a_reference(writer, size, whole, letter):
    connection, listener = writer(), listening(writer())
    in_payload = len(json.dumps(letter, ensure_ascii=False).encode()) - 2
    # Filled up to the byte with plain letters. The time stamps of two rows need not have equally many digits.
    for _ in range(50):
        missing = size - _bytes_of_payload(connection, "")
        name = letter * (missing // in_payload) + "x" * (missing % in_payload)
        heard(listener)
        if _bytes_of_payload(connection, name) == size:
            break
    [(_, announced)] = heard(listener)
    change = payloads(connection)[-1]
    assert change["data"]["session_name"] == name
    reference = {key: change[key] for key in ("id", "table", "action")} | {"session_id": change["data"]["id"]}
    assert json.loads(announced) == (change if whole else reference)


def test_a_row_of_100_kilobytes_is_logged_whole_and_announced_as_a_reference(session, writer):
    connection, session_id = session
    listener = listening(writer())
    run(
        connection,
        "insert into alert_logs (session_id, alert_type, alert_message) values (%s, 'long', %s)",
        (session_id, "\N{ELEPHANT}" * 25_000),
    )
    [(_, announced)] = heard(listener)
    assert "data" not in json.loads(announced)
    assert len(payloads(connection)[-1]["data"]["alert_message"]) == 25_000


# Writers stay free


def test_settings_of_the_writer_leave_no_trace_in_the_payload(session, writer):
    connection, session_id = session
    odd = writer(
        timezone="Asia/Kolkata",
        datestyle="German",
        intervalstyle="sql_standard",
        extra_float_digits="-10",
        search_path="pg_catalog",
        bytea_output="escape",
        standard_conforming_strings="off",
    )
    run(
        odd,
        "insert into public.people_movements (session_id, person_id, movement_direction, movement_time,"
        " centroid_x) values (%s, 1, 'in', '2026-01-31 12:00:00+00', 0.1::float8 + 0.2)",
        (session_id,),
    )
    row = payloads(connection)[-1]["data"]
    assert row["movement_time"] == "2026-01-31T12:00:00+00:00"
    assert row["centroid_x"] == 0.1 + 0.2


def test_a_writer_with_the_right_to_one_table_and_no_other_can_write_it(session, writer, admin_url):
    connection, session_id = session
    admin, role = writer(admin_url), f"camera_{uuid.uuid4().hex}"
    run(admin, f"create role {role}")
    try:
        run(admin, f"grant insert on people_movements to {role}")
        run(admin, f"set role {role}")
        add_movement(admin, session_id)
        for forbidden in (
            "select from change_log",
            "select from change_inbox",
            "insert into change_inbox (seq) values (1)",
            "select test_sse_triggers()",
            "select number_changes()",
        ):
            with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                run(admin, forbidden)
    finally:
        run(admin, f"reset role; drop owned by {role}; drop role {role}")
    assert log(connection)[-1] == ("people_movements", "INSERT")


def test_functions_of_the_same_name_in_the_writers_schema_are_not_called(session, writer, admin_url):
    _, session_id = session
    admin = writer(admin_url)
    run(
        admin,
        "create schema evil; create function evil.pg_notify(text, text) returns void language plpgsql"
        " as $$ begin raise 'called'; end $$; set search_path = evil, pg_catalog, public",
    )
    add_movement(admin, session_id)
    assert log(admin)[-1] == ("people_movements", "INSERT")


def test_nobody_waits_for_whoever_numbers(session, writer):
    connection, session_id = session
    numbering, listener = writer(), listening(writer())
    add_movement(connection, session_id)
    run(numbering, "begin; select from change_sequencer for update")
    other = writer(lock_timeout=500, statement_timeout=2000)
    add_movement(other, session_id)
    run(other, "begin; truncate people_movements; commit")
    run(numbering, "rollback")
    assert [json.loads(payload)["action"] for _, payload in heard(listener)] == ["INSERT", "INSERT", "TRUNCATE"]


def test_a_table_is_emptied_and_altered_in_the_transaction_that_has_changed_it(session):
    connection, session_id = session
    start = newest(connection)
    run(connection, "begin")
    add_movement(connection, session_id)
    run(connection, "truncate people_movements")
    run(connection, "alter table people_movements add column colour text")
    run(connection, "commit")
    assert log(connection, start) == [("people_movements", "INSERT"), ("people_movements", "TRUNCATE")]


def test_a_prepared_transaction_is_recorded_when_it_is_committed(data_dir):
    server = Server(data_dir, fsync="off", max_prepared_transactions="2")
    server.start()
    try:
        migrate(server.url())
        with closing(connect(server.url(), application_name="writer")) as connection:
            run(connection, "begin")
            run(connection, "insert into sessions (session_name) values ('prepared')")
            run(connection, "prepare transaction 'one'")
            run(connection, "insert into sessions (session_name) values ('meanwhile')")
            assert [change["data"]["session_name"] for change in payloads(connection)] == ["meanwhile"]
            run(connection, "commit prepared 'one'")
            # Nobody has rung.
            [(numbered, awake, horizon)] = run(connection, "call sequence_changes(null, '0', '0.1 s')")
            assert (numbered, awake > 0, horizon) == (1, True, None)
            assert [change["data"]["session_name"] for change in payloads(connection)] == ["meanwhile", "prepared"]
    finally:
        server.stop()


def test_a_statement_of_100_000_rows_is_recorded_in_full_with_a_doorbell_for_each_batch(session, writer):
    connection, session_id = session
    listener, start = listening(writer()), newest(connection)
    run(
        connection,
        "insert into people_movements (session_id, person_id, movement_direction)"
        " select %s, n, 'in' from generate_series(1, 100000) n",
        (session_id,),
    )
    assert run(listener, "select number_changes()") == [(10_000,)]
    announced = [json.loads(payload) for _, payload in heard(listener)]
    [(rows, first, last, in_order)] = run(
        connection,
        """
        select count(*), min(id), max(id), bool_and(id - %(start)s = (payload::json -> 'data' ->> 'person_id')::bigint)
        from change_log where id > %(start)s""",
        {"start": start},
    )
    assert (rows, first, last, in_order) == (100_000, start + 1, start + 100_000, True)
    batches = [[one for one in announced if (one["id"] - first) // 10_000 == place] for place in range(10)]
    for place, batch in enumerate(batches):
        begin = first + place * 10_000
        assert [change["id"] for change in batch] == list(range(begin, begin + len(batch)))
        assert 50 < len(batch) < 1000
        assert ["data" in change for change in batch] == [True] * (len(batch) - 1) + [False]


def test_a_nearly_full_notification_queue_fails_no_writer_and_no_sequencer(session, writer):
    connection, session_id = session
    stuck = listening(writer())
    run(stuck, "begin")
    run(stuck, "select")  # as long as it lasts, the queue keeps everything from here on
    if (
        int(run(stuck, "show server_version_num")[0][0]) < 170000
        or run(stuck, "select setting::int > 64 from pg_settings where name = 'max_notify_queue_pages'")[0][0]
    ):
        pytest.skip("the queue of this server takes gigabytes")
    start = newest(connection)
    for _ in range(20):  # 20 transactions, each of 25 pages if all were announced: 8 times the queue
        run(
            connection,
            "insert into alert_logs (session_id, alert_type, alert_message)"
            " select %s, 'crowd', repeat('x', 7000) from generate_series(1, 100)",
            (session_id,),
        )
        number(connection)
    assert len(log(connection, start)) == 2000
    assert run(connection, "select pg_notification_queue_usage() > 0.5") == [(True,)]
    run(stuck, "rollback")


# Order


def test_ids_follow_the_order_in_which_writers_saw_each_other_not_that_of_their_transactions(session, writer):
    connection, _ = session
    start = newest(connection)
    first, second = writer(), writer()
    run(first, "begin; select pg_current_xact_id()")
    run(second, "begin; update sessions set fps = 1; commit")
    run(first, "update sessions set fps = 2; commit")
    assert [change["data"]["fps"] for change in payloads(connection, start)] == [1, 2]


def test_what_is_committed_late_comes_late_however_early_it_was_written(session, writer):
    connection, session_id = session
    late = writer()
    run(late, "begin")
    add_movement(late, session_id, "out")
    add_movement(connection, session_id, "in")
    number(connection)
    run(late, "commit")
    assert [change["data"]["movement_direction"] for change in payloads(connection)[-2:]] == ["in", "out"]


@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
def test_a_writer_in_a_stricter_isolation_level_is_recorded_in_order(session, writer, level):
    connection, session_id = session
    strict = writer()
    run(strict, f"begin isolation level {level}")
    run(strict, "select count(*) from sessions")
    add_movement(strict, session_id, "out")
    add_movement(connection, session_id, "in")
    number(connection)
    run(strict, "commit")
    assert [change["data"]["movement_direction"] for change in payloads(connection)[-2:]] == ["in", "out"]


def test_changes_that_are_numbered_in_small_parts_keep_their_order_and_have_no_gaps(session, writer):
    connection, session_id = session
    start, late = newest(connection), writer()
    run(late, "begin; update sessions set fps = 1")
    for person in range(7):
        run(
            connection,
            "insert into people_movements (session_id, person_id, movement_direction) values (%s, %s, 'in')",
            (session_id, person),
        )
    assert run(connection, "select number_changes(3)") == [(3,)]
    run(late, "commit")
    assert [run(connection, "select number_changes(3)") for _ in range(3)] == [[(3,)], [(2,)], [(0,)]]
    # What was made first comes first among what is committed at the time.
    told = run(
        connection, "select id, action, payload::json -> 'data' ->> 'person_id' from change_log where id > %s", (start,)
    )
    assert [number - start for number, *_ in told] == list(range(1, 9))
    assert [person for *_, person in told] == ["0", "1", "2", None, "3", "4", "5", "6"]


def test_a_transaction_that_has_written_cannot_number(session):
    connection, session_id = session
    run(connection, "begin")
    add_movement(connection, session_id)
    with pytest.raises(psycopg2.errors.ActiveSqlTransaction, match="transaction of its own"):
        run(connection, "select number_changes()")
    run(connection, "rollback")
