"""Rights in the database: what each role may do, and that nobody else may do anything."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path

import pytest
from psycopg2.errors import InsufficientPrivilege

from app.config import CHECKOUT
from app.postgres.connections import connect
from app.postgres.embedded import Server
from app.postgres.migrate import migrate
from tests.serving import environment

SESSION = "00000000-0000-4000-8000-000000000001"


def run(url, statement, values=None, *, role=None):
    """What a statement answers, executed as a role."""
    connection = connect(url, application_name="test")
    try:
        with connection.cursor() as cursor:
            if role:
                cursor.execute(f"set role {role}")
            cursor.execute(statement, values)
            return cursor.fetchall() if cursor.description else None
    finally:
        connection.close()


@pytest.fixture
def role(admin_url):
    """A new role that may connect, and nothing else."""
    name = f"role_{uuid.uuid4().hex}"
    run(admin_url, f"create role {name}")
    yield name
    run(admin_url, f"drop owned by {name}; drop role {name}")


@pytest.fixture
def grant(app):
    runner = app.test_cli_runner()

    def run_command(*words):
        with app.app_context():
            return runner.invoke(args=["grant", *words])

    return run_command


@pytest.fixture
def session(database_url):
    run(database_url, f"insert into sessions (id, session_name) values ('{SESSION}', 'door')")


def test_no_function_may_be_executed_by_everyone(database_url):
    functions = run(
        database_url,
        "select oid::regprocedure::text, has_function_privilege('public', oid, 'execute') from pg_proc"
        " where pronamespace = 'public'::regnamespace",
    )
    assert len(functions) > 20
    assert [name for name, may in functions if may] == []


def test_no_table_and_no_sequence_is_open_to_everyone(database_url):
    relations = run(
        database_url,
        "select relname, relkind::text, relacl::text from pg_class"
        " where relnamespace = 'public'::regnamespace and relkind in ('r', 'S', 'v', 'm', 'p', 'f')",
    )
    assert {"sessions", "change_log", "change_inbox", "change_sequencer", "change_awake"} <= {
        name for name, *_ in relations
    }
    assert [name for name, _, granted in relations if granted] == []  # nobody but the owner


@pytest.mark.parametrize("kind", ["session", "movement", "alert", "metrics"])
def test_a_role_that_may_only_connect_cannot_forge_changes(admin_url, role, kind):
    with pytest.raises(InsufficientPrivilege):
        run(
            admin_url,
            "create temp table forged (id uuid, session_id uuid);"
            f"create trigger t after insert on forged for each row execute function notify_{kind}_change()",
            role=role,
        )


@pytest.mark.parametrize(
    "statement",
    [
        "select number_changes()",
        "call sequence_changes(null, '1 second', '1 second')",
        "select from change_sequencer for update",
        "begin; lock table change_inbox in access share mode",
        "insert into change_inbox (seq) values (1)",
        "select setval('change_awake', 9999999999999)",
        "select nextval('change_inbox_seq')",
        "select fold_movements()",
        "select end_silent_sessions('1 second')",
        "select evaluate_alerts_of_now('UTC', '2 minutes', '1 hour')",
        "select evaluate_alerts()",
        "select 1 from alert_cursor for update",
        "select recount_movements()",
        "select fold_readings()",
        "select fill_readings()",
        "select prune_readings(now())",
        "select prune_reading_minutes(now())",
        "select recognize_database()",
        "select test_sse_triggers()",
        "create temp table t (id int); create trigger t after insert on t execute function keep_resolved_at()",
        "create temp table t (id int); create trigger t after insert on t execute function inherit_mute()",
        "create temp table t (id int); create trigger t after insert on t execute function keep_floor()",
        "create temp table t (id int);"
        " create trigger t after insert on t execute function resolve_alerts_of_threshold()",
        "select * from sessions",
        "select * from change_log",
        "insert into sessions (session_name) values ('x')",
        "create table public.mine (id int)",
        "begin; lock table sessions in access share mode",
    ],
)
def test_a_role_that_may_only_connect_may_do_nothing(admin_url, role, statement):
    with pytest.raises(InsufficientPrivilege):
        run(admin_url, statement, role=role)


def test_a_producer_writes_what_cameras_write_and_each_change_is_recorded(admin_url, database_url, role, grant):
    assert grant("producer", role).exit_code == 0
    for statement in (
        f"insert into sessions (id, session_name) values ('{SESSION}', 'door') returning id",
        f"insert into people_movements (session_id, person_id, movement_direction) values ('{SESSION}', 1, 'in')",
        f"insert into realtime_metrics (session_id, current_people_count) values ('{SESSION}', 1)",
        f"insert into alert_logs (session_id, alert_type) values ('{SESSION}', 'door_blocked')",
        f"update sessions set status = 'completed' where id = '{SESSION}'",
    ):
        run(admin_url, statement, role=role)
    run(database_url, "select number_changes()")
    assert run(database_url, "select table_name from change_log order by id") == [
        ("sessions",), ("people_movements",), ("realtime_metrics",), ("alert_logs",), ("sessions",),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "statement",
    [
        "select * from people_movements",
        "delete from sessions",
        "truncate people_movements",
        "select * from change_log",
        "delete from change_log",
        "insert into alert_thresholds (threshold_name, threshold_value) values ('x', 1)",
        "alter table sessions disable trigger all",
    ],
)
def test_a_producer_may_do_no_more(admin_url, role, grant, session, statement):
    assert grant("producer", role).exit_code == 0
    with pytest.raises(InsufficientPrivilege):
        run(admin_url, statement, role=role)


def test_a_reader_reads_rows_and_no_log(admin_url, role, grant, session):
    granted = grant("reader", role)
    assert granted.stdout.splitlines()[1] == f'grant usage on schema public to "{role}";'
    assert run(admin_url, "select session_name from sessions", role=role) == [("door",)]
    for statement in ("select * from change_log", "update sessions set fps = 1"):
        with pytest.raises(InsufficientPrivilege):
            run(admin_url, statement, role=role)


def test_a_role_of_the_feed_prunes_and_recognizes(admin_url, role):
    """As the command grants it, but by a superuser: an owner that is no administrator may not give itself away."""
    run(admin_url, f"grant feed to {role}")
    for statement in ("vacuum change_log", "select recognize_database()", "delete from change_log"):
        run(admin_url, statement, role=role)


def test_a_database_of_our_own_lets_no_stranger_in():
    folder = Path(tempfile.mkdtemp(prefix="feed-rights-", dir="/tmp"))
    server = Server(folder)
    server.start()
    try:
        asked = (
            "select has_database_privilege('stranger', 'feed', privilege)"
            " from unnest('{connect,temporary,create}'::text[]) as privilege"
        )
        run(server.url("postgres"), "create role stranger")
        assert run(server.url("postgres"), asked) == [(False,), (False,), (False,)]
        migrate(server.url())
        command = [sys.executable, "-m", "flask", "--app", "app.cli:create_app", "grant", "producer", "stranger"]
        subprocess.run(command, cwd=CHECKOUT, env=environment(DATABASE_URL=server.url("postgres")), check=True)
        assert run(server.url("postgres"), asked) == [(True,), (False,), (False,)]
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def test_a_role_that_does_not_exist_is_said(grant):
    refused = grant("producer", "nobody here")
    assert refused.exit_code == 1
    assert "There is no role nobody here: create role \"nobody here\" login password '…'" in refused.stderr


def test_one_session_with_an_infinite_time_keeps_none_from_being_ended(database_url):
    run(
        database_url,
        "insert into sessions (session_name, start_time)"
        " values ('broken', '-infinity'), ('good', now() - interval '2 hours')",
    )
    run(database_url, "insert into realtime_metrics (session_id) select id from sessions")
    run(database_url, "select number_changes()")
    run(database_url, "select fold_movements()")
    run(database_url, "update session_reports set reported_at = now() - interval '1 hour'")
    run(database_url, "alter table sessions disable trigger user")
    run(database_url, "update sessions set updated_at = now() - interval '1 hour'")
    run(database_url, "alter table sessions enable trigger user")
    assert run(database_url, "select end_silent_sessions('1 minute')") == [(2,)]
    ended = run(database_url, "select session_name, status::text, duration_seconds from sessions order by 1")
    assert [row[:2] for row in ended] == [("broken", "error"), ("good", "error")]
    assert ended[0][2] is None
    assert ended[1][2] == pytest.approx(3600, abs=60)
