"""Starting the feed as a person does: what it says, and how it ends."""

import signal
import socket
import subprocess
import sys

import pytest

from app.config import CHECKOUT
from app.postgres.connections import connect
from tests.serving import environment, status
from tests.waiting import until


def start_and_fail(*options, **settings):
    """What gunicorn says as it gives up."""
    result = subprocess.run(
        [sys.executable, "-m", "gunicorn", *options],
        cwd=CHECKOUT,
        env=environment(**settings),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode != 0
    assert "Traceback" not in result.stderr
    return result.stdout + result.stderr


def execute(url, statement):
    connection = connect(url, application_name="test")
    connection.cursor().execute(statement)
    connection.close()


def test_an_empty_folder_becomes_a_feed_that_is_ready(embedded, data_dir):
    gunicorn = embedded()
    until(lambda: status(f"{gunicorn.url}/api/ready") == 200)
    assert gunicorn.log.splitlines() == [
        f"People counting feed: {gunicorn.url}",
        f"Database: embedded PostgreSQL in {data_dir}",
        "Access: open to programs of this machine, until there is a user (./run flask user add NAME --role admin).",
        "Stop it with Ctrl-C.",
    ]


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_it_stops_with_its_database_and_says_nothing(embedded, data_dir, by):
    gunicorn = embedded(WEB_CONCURRENCY=2)
    until(lambda: status(f"{gunicorn.url}/api/ready") == 200)
    assert gunicorn.stop(by) == 0
    assert not (data_dir / "postgres/data/postmaster.pid").exists()
    assert gunicorn.log.splitlines()[4:] == (["", "Stopping …"] if by == signal.SIGINT else [])


def test_the_database_survives_a_reload(embedded):
    gunicorn = embedded()
    old = until(gunicorn.workers)
    gunicorn.process.send_signal(signal.SIGHUP)
    until(lambda: gunicorn.workers() and not set(old) & set(gunicorn.workers()))
    until(lambda: status(f"{gunicorn.url}/api/ready") == 200)


def test_a_port_in_use_is_said_before_anything_is_started(data_dir):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = start_and_fail(PORT=port, DATA_DIR=data_dir)
    assert said.startswith(f"Cannot start: Port {port} of 127.0.0.1 is in use")
    assert list(data_dir.iterdir()) == []


def test_wrong_values_are_said_together(data_dir):
    said = start_and_fail(PORT="http", HEARTBEAT_SECONDS=0, DATA_DIR=data_dir)
    assert "PORT='http'" in said
    assert "HEARTBEAT_SECONDS='0'" in said


def test_data_of_another_version_are_said(embedded, data_dir):
    embedded().stop()
    (data_dir / "postgres/data/PG_VERSION").write_text("12\n")
    assert "of PostgreSQL 12" in start_and_fail(PORT=0, DATA_DIR=data_dir)


def test_a_refused_login_is_said(server_url):
    refused = server_url.replace("/postgres?", "/there_is_no_such_database?")
    assert "does not exist" in start_and_fail(PORT=0, DATABASE_URL=refused)


def test_a_host_that_does_not_exist_is_said():
    assert "host name" in start_and_fail(PORT=0, DATABASE_URL="postgresql://nowhere.invalid/x")


def test_a_changed_migration_is_said(database_url):
    execute(database_url, "update schema_migrations set sha256 = 'other'")
    assert "was changed after it was applied" in start_and_fail(PORT=0, DATABASE_URL=database_url)


def test_settings_are_checked_by_commands_too():
    result = subprocess.run(
        [sys.executable, "-m", "flask", "database-url"],
        cwd=CHECKOUT,
        env=environment(PORT="http"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode != 0
    assert "PORT='http'" in result.stderr
    assert "Traceback" not in result.stderr


def flask(*arguments, **settings):
    result = subprocess.run(
        [sys.executable, "-m", "flask", *arguments],
        cwd=CHECKOUT,
        env=environment(**settings),
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def test_commands_start_the_embedded_server_for_as_long_as_they_need_it(data_dir):
    assert flask("migrate", DATA_DIR=data_dir).startswith("Applied 0001_create_tables.sql.")
    assert not (data_dir / "postgres/data/postmaster.pid").exists()
    assert flask("migrate", DATA_DIR=data_dir) == "Nothing to apply."


def test_commands_use_the_embedded_server_that_runs_and_leave_it(embedded, data_dir):
    gunicorn = embedded()
    until(lambda: status(f"{gunicorn.url}/api/ready") == 200)
    execute(flask("database-url", DATA_DIR=data_dir), "insert into sessions (session_name) values ('by psql')")
    assert status(f"{gunicorn.url}/api/ready") == 200


def test_the_arbiter_imports_nothing_that_gevent_patches():
    script = (
        "import sys, app.arbiter; print(sorted({'flask', 'gevent', 'sqlalchemy', 'app.feed.hub'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", script], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
