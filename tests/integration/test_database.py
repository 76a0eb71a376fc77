"""Connections, in a plain process and among greenlets."""

import socket
import subprocess
import sys

import psycopg2
import pytest

from app.config import CHECKOUT
from app.postgres.connections import connect, sqlalchemy_url

# Connects to argv[1] in one greenlet, counts in another, and prints what came of both.
_AMONG_GREENLETS = """
from gevent import monkey
monkey.patch_all()
import sys
import gevent
import psycopg2
from app.postgres.connections import connect, use_gevent

use_gevent()
ticks = 0

def tick():
    global ticks
    while True:
        gevent.sleep(0.01)
        ticks += 1

gevent.spawn(tick)
try:
    connection = connect(sys.argv[1], application_name="test", connect_seconds=0.5)
    with connection.cursor() as cursor:
        cursor.execute("select pg_sleep(0.3), 'answered'")
        print(cursor.fetchone()[1], ticks >= 5)
except psycopg2.OperationalError as error:
    print(error, ticks >= 5)
"""


def among_greenlets(url):
    result = subprocess.run(
        [sys.executable, "-c", _AMONG_GREENLETS, url],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return result.stdout.strip()


@pytest.fixture
def silent():
    """A server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"postgresql://localhost:{listener.getsockname()[1]}/x"


def test_a_connection_commits_by_itself_and_has_its_settings(database_url):
    connection = connect(database_url, application_name="an app", statement_timeout=1234, search_path="public, pg_temp")
    with connection.cursor() as cursor:
        cursor.execute(
            "select current_setting('application_name'), current_setting('statement_timeout'),"
            " current_setting('search_path')"
        )
        assert cursor.fetchone() == ("an app", "1234ms", "public, pg_temp")
    assert connection.autocommit
    connection.close()


def test_options_of_the_url_are_kept(database_url):
    joint = "&" if "?" in database_url else "?"
    connection = connect(
        f"{database_url}{joint}options=-c%20lock_timeout%3D77", application_name="test", statement_timeout=5
    )
    with connection.cursor() as cursor:
        cursor.execute("select current_setting('lock_timeout'), current_setting('statement_timeout')")
        assert cursor.fetchone() == ("77ms", "5ms")
    connection.close()


def test_a_silent_server_is_given_up(silent):
    with pytest.raises(psycopg2.OperationalError):
        connect(silent, application_name="test", connect_seconds=2)


def test_greenlets_go_on_while_one_waits_for_an_answer(database_url):
    assert among_greenlets(database_url) == "answered True"


def test_greenlets_go_on_while_one_waits_for_a_silent_server(silent):
    assert among_greenlets(silent) == "no answer from the database within 0.5 seconds True"


def test_a_name_that_does_not_exist_is_an_operational_error_among_greenlets():
    assert "cannot look up nowhere.invalid" in among_greenlets("postgresql://nowhere.invalid/x")


def test_sqlalchemy_gets_its_driver_by_name():
    assert sqlalchemy_url("postgresql://u@h/d?host=/x") == "postgresql+psycopg2://u@h/d?host=/x"
