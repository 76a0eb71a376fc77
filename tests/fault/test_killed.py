"""kill -9 of anything; what was committed stays, and the feed comes back."""

import os
import signal

import pytest

from app.postgres.connections import connect
from app.postgres.embedded import Server
from tests.serving import status
from tests.waiting import until


@pytest.fixture
def database(data_dir):
    return Server(data_dir).url()


def postmaster(data_dir):
    return int((data_dir / "postgres/data/postmaster.pid").read_text().splitlines()[0])


def insert(url, name):
    connection = connect(url, application_name="test")
    connection.cursor().execute("insert into sessions (session_name) values (%s)", (name,))
    connection.close()


def logged_and_stored(url):
    """The sessions by the log, and by the table."""
    connection = connect(url, application_name="test")
    try:
        with connection.cursor() as cursor:
            cursor.execute("select number_changes()")
            cursor.execute("select payload::json->'data'->>'session_name' from change_log order by id")
            logged = [name for (name,) in cursor.fetchall()]
            cursor.execute("select session_name from sessions order by created_at")
            return logged, [name for (name,) in cursor.fetchall()]
    finally:
        connection.close()


def test_a_killed_postgres_is_started_again_while_the_feed_runs(embedded, data_dir, database):
    gunicorn = embedded()
    until(lambda: status(f"{gunicorn.url}/api/ready") == 200)
    insert(database, "before")
    old = postmaster(data_dir)
    os.kill(old, signal.SIGKILL)
    until(lambda: "is running again" in gunicorn.log)
    assert postmaster(data_dir) != old
    until(lambda: status(f"{gunicorn.url}/api/ready") == 200)
    insert(database, "after")
    assert logged_and_stored(database) == (["before", "after"], ["before", "after"])


def test_postgres_is_watched_after_a_reload_too(embedded, data_dir):
    gunicorn = embedded()
    old = until(gunicorn.workers)
    gunicorn.process.send_signal(signal.SIGHUP)
    until(lambda: gunicorn.workers() and not set(old) & set(gunicorn.workers()))
    os.kill(postmaster(data_dir), signal.SIGKILL)
    until(lambda: "is running again" in gunicorn.log)
    until(lambda: status(f"{gunicorn.url}/api/ready") == 200)


def test_after_kill_9_of_everything_the_next_start_has_all_that_was_committed(embedded, data_dir, database):
    gunicorn = embedded(WEB_CONCURRENCY=2)
    until(lambda: status(f"{gunicorn.url}/api/ready") == 200)
    for n in range(50):
        insert(database, f"{n}")
    os.killpg(gunicorn.pid, signal.SIGKILL)
    os.kill(postmaster(data_dir), signal.SIGKILL)
    gunicorn.process.wait()
    again = embedded()
    until(lambda: status(f"{again.url}/api/ready") == 200)
    names = [f"{n}" for n in range(50)]
    assert logged_and_stored(database) == (names, names)


def test_a_postgres_that_outlives_gunicorn_is_adopted(embedded, data_dir, database):
    gunicorn = embedded()
    insert(database, "before")
    old = postmaster(data_dir)
    os.killpg(gunicorn.pid, signal.SIGKILL)
    gunicorn.process.wait()
    again = embedded()
    assert postmaster(data_dir) == old
    assert again.stop() == 0
    assert not (data_dir / "postgres/data/postmaster.pid").exists()


def test_the_feed_starts_before_its_database_and_becomes_ready_later(gunicorn, data_dir):
    server = Server(data_dir)
    server.start()
    url = server.url()
    server.stop()
    feed = gunicorn(DATABASE_URL=url)
    until(lambda: status(f"{feed.url}/api/health") == 200)
    assert status(f"{feed.url}/api/ready") == 503
    assert "does not answer yet" in feed.log
    server.start()
    until(lambda: status(f"{feed.url}/api/ready") == 200)
    assert feed.stop() == 0
    server.stop()


def test_a_reload_while_the_database_is_away_migrates_when_it_is_back(gunicorn, data_dir):
    server = Server(data_dir)
    server.start()
    feed = gunicorn(DATABASE_URL=server.url())
    until(lambda: status(f"{feed.url}/api/ready") == 200)
    server.stop()
    for _ in range(2):
        old = until(feed.workers)
        feed.process.send_signal(signal.SIGHUP)
        until(lambda old=old: feed.workers() and not set(old) & set(feed.workers()))
    assert feed.log.count("does not answer yet") == 2
    server.start()
    until(lambda: status(f"{feed.url}/api/ready") == 200)
    until(lambda: "The database answers." in feed.log)
    assert feed.log.count("The database answers.") == 1
    assert "Traceback" not in feed.log
    assert feed.stop() == 0
    server.stop()
