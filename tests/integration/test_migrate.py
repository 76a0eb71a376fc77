import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from hashlib import sha256

import psycopg2
import pytest

from app.config import CHECKOUT
from app.postgres.connections import connect
from app.postgres.migrate import FOLDER, MigrationError, migrate
from app.postgres.schema import FILE, schema_of
from tests.serving import environment
from tests.waiting import until


@pytest.fixture
def folder(tmp_path):
    return shutil.copytree(FOLDER, tmp_path / "sql")


def query(url, statement):
    connection = connect(url, application_name="test")
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall()
    finally:
        connection.close()


def test_a_migrated_database_has_nothing_to_apply(database_url):
    assert migrate(database_url) == []


def test_no_file_has_changed_since_it_was_listed():
    # Databases of users have applied them: one that is changed, be it in a comment, stops every one of their feeds.
    listed = [line.split("  ") for line in (FOLDER / "landed.sha256").read_text().splitlines()]
    there = [[sha256(file.read_bytes()).hexdigest(), file.name] for file in sorted(FOLDER.glob("[0-9]*.sql"))]
    assert there == listed, "restore the file; a new one gets a line: cd sql && sha256sum [0-9]*.sql > landed.sha256"


def test_a_changed_file_is_refused(database_url, folder):
    (folder / "0001_create_tables.sql").write_text("select 1;")
    with pytest.raises(MigrationError, match=r"0001_create_tables\.sql was changed"):
        migrate(database_url, folder)


def test_a_missing_file_is_refused(database_url, folder):
    (folder / "0001_create_tables.sql").unlink()
    with pytest.raises(MigrationError, match="older than its database"):
        migrate(database_url, folder)


def test_a_file_that_comes_in_late_is_refused(database_url, folder):
    (folder / "0001_before.sql").write_text("select 1;")
    with pytest.raises(MigrationError, match="give it the next number"):
        migrate(database_url, folder)


def test_a_failing_file_leaves_nothing_behind_and_is_tried_again(database_url, folder):
    late = folder / "9998_fail.sql"
    late.write_text("create table half (n int); select 1/0;")
    with pytest.raises(MigrationError, match=r"9998_fail\.sql failed: division by zero"):
        migrate(database_url, folder)
    assert query(database_url, "select to_regclass('half')") == [(None,)]
    late.write_text("create table half (n int);")
    assert migrate(database_url, folder) == ["9998_fail.sql"]


def test_percent_signs_and_dollar_quotes_reach_the_server_untouched(database_url, folder):
    (folder / "9998_percent.sql").write_text("create table t as select '100%s %' as a, $$:x$$ as b;")
    migrate(database_url, folder)
    assert query(database_url, "select a, b from t") == [("100%s %", ":x")]


def test_runners_at_the_same_time_apply_each_file_once(database_url, folder):
    (folder / "9998_slow.sql").write_text("create table slow (n int); select pg_sleep(0.2);")
    results = []
    threads = [threading.Thread(target=lambda: results.append(migrate(database_url, folder))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [[], [], [], ["9998_slow.sql"]]


@pytest.fixture
def writer(database_url):
    """A connection amid a transaction; nothing it does may wait for longer than it says."""
    connection = psycopg2.connect(database_url, application_name="a writer", options="-c lock_timeout=20s")
    yield connection
    connection.close()


def run(connection, statement):
    with connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.fixture
def migrating(database_url, folder):
    """Applies a file that changes tables, in a thread."""
    with ThreadPoolExecutor() as pool:

        def start():
            (folder / "9998_change_tables.sql").write_text(
                "alter table sessions add seen int; alter table people_movements add seen int;"
            )
            return pool.submit(migrate, database_url, folder)

        yield start


def waits_for(url, table):
    """Whether the migration waits for this table."""
    return query(
        url,
        "select count(*) from pg_locks join pg_stat_activity using (pid) where application_name = 'migrate'"
        f" and not granted and relation = '{table}'::regclass",
    ) == [(1,)]


def test_a_writer_that_refers_to_another_table_is_let_through(database_url, writer, migrating):
    run(writer, "insert into sessions (session_name) values ('door')")
    writer.commit()
    run(writer, "lock table people_movements in row exclusive mode")  # as an INSERT does before it looks at sessions
    migration = migrating()
    until(lambda: waits_for(database_url, "people_movements"), 30, "the migration to wait for the writer")
    run(writer, "set lock_timeout = '1ms'")
    run(
        writer,
        "insert into people_movements (session_id, person_id, movement_direction) select id, 1, 'in' from sessions",
    )
    writer.commit()
    assert migration.result(timeout=30) == ["9998_change_tables.sql"]


def test_a_transaction_that_stays_open_holds_up_the_migration_and_nobody_else(database_url, writer, migrating, caplog):
    run(writer, "insert into sessions (session_name) values ('door')")
    migration = migrating()
    until(lambda: "a writer" in caplog.text, 30, "the migration to give way")
    assert "and gives way meanwhile. Process" in caplog.text
    query(database_url, "update alert_thresholds set is_active = is_active returning 1")
    assert not migration.done()
    writer.commit()
    assert migration.result(timeout=30) == ["9998_change_tables.sql"]


def test_a_holder_of_whom_one_may_know_little_is_named_all_the_same(migrating, admin_url, caplog):
    with closing(psycopg2.connect(admin_url, application_name="an administrator")) as holder:
        run(holder, "lock table sessions in row exclusive mode")
        migration = migrating()
        until(lambda: "(an administrator) has had a transaction open\n" in caplog.text, 30, "the holder's name")
    assert migration.result(timeout=30) == ["9998_change_tables.sql"]


def test_a_migration_does_not_wait_for_ever(database_url, writer, migrating, monkeypatch):
    monkeypatch.setattr("app.postgres.migrate._PATIENCE", 0.1)
    run(writer, "insert into sessions (session_name) values ('door')")
    migration = migrating()
    with pytest.raises(MigrationError, match=r"9998_change_tables\.sql waited .* Process \d+ \(a writer\)"):
        migration.result(timeout=30)
    writer.rollback()
    assert query(database_url, "select count(*) from schema_migrations where name like '9998%'") == [(0,)]


def test_an_unreachable_database_is_an_operational_error():
    with pytest.raises(psycopg2.OperationalError):
        migrate("postgresql://127.0.0.1:1/nowhere")


def test_the_schema_for_readers_is_what_the_migrations_make(admin_url):
    assert schema_of(admin_url) == FILE.read_text(), "run ./run flask schema and commit sql/schema.sql"


def test_a_command_creates_nothing_in_a_database_of_somebody_elses(admin_url):
    server, _, options = admin_url.partition("?")
    base = server.rpartition("/")[0]
    connection = connect(admin_url, application_name="test")
    with connection.cursor() as cursor:
        cursor.execute("create database somebody_elses")
    url = f"{base}/somebody_elses?{options}"
    try:
        command = [sys.executable, "-m", "flask", "--app", "app.cli:create_app", "stats"]
        environ = environment(DATABASE_URL=url)
        refused = subprocess.run(command, cwd=CHECKOUT, env=environ, capture_output=True, text=True, check=False)
        assert refused.returncode == 1
        assert "from 0001_create_tables.sql on: run ./run flask migrate." in refused.stderr
        assert query(url, "select count(*) from pg_class where relnamespace = 'public'::regnamespace") == [(0,)]
    finally:
        with connection.cursor() as cursor:
            cursor.execute("drop database somebody_elses")
        connection.close()
