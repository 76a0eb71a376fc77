"""Streams end when what let them in does, in every worker; the others lose nothing."""

from __future__ import annotations

import json
import socket
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from functools import partial
from urllib.parse import parse_qs, urlsplit

import pytest
from sqlalchemy import create_engine

from app.access import keys, logins, passwords, users
from app.postgres.connections import connect, sqlalchemy_url
from tests.event_stream import EventStream, open_stream, wait_until_ready
from tests.fault.proxy import Proxy
from tests.waiting import until

WORKERS = 2
STREAMS = 12  # so that each worker has some


@pytest.fixture
def engine(database_url):
    engine = create_engine(sqlalchemy_url(database_url), creator=lambda: _plain(database_url))
    yield engine
    engine.dispose()


def _plain(url):
    connection = connect(url, application_name="test")
    connection.autocommit = False
    return connection


@pytest.fixture
def feed(gunicorn, engine):
    """A feed of two workers with an administrator."""
    with engine.begin() as connection:
        users.create_user(connection, "ada", "admin", passwords.hashed("ada"))
    server = gunicorn(WEB_CONCURRENCY=WORKERS, HEARTBEAT_SECONDS=0.5)
    wait_until_ready(server)
    return server


def _socket_of(folder, host, port):
    """A connection to PostgreSQL, whichever way it listens."""
    if folder is None or not folder.startswith("/"):
        return socket.create_connection((host or "127.0.0.1", port or 5432))
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(f"{folder}/.s.PGSQL.{port or 5432}")
    return connection


def new_key(engine, scope="read", **values):
    with engine.begin() as connection:
        key, row = keys.create_key(connection, scope, scope, **values)
    return {"Authorization": f"Bearer {key}"}, row["id"]


def new_login(engine, username="vic", role="viewer"):
    with engine.begin() as connection:
        user = users.create_user(connection, username, role, passwords.hashed(username))
        token, login_id = logins.create_login(connection, user_id=user["id"], address="10.0.0.1", user_agent="")
    return {"Cookie": f"people_feed={token}"}, user["id"], login_id


def record(engine, name):
    with engine.begin() as connection:
        connection.exec_driver_sql("insert into sessions (session_name) values (%s)", (name,))


def last_words(stream):
    """The last message of a stream that ends."""
    last = None
    while (message := stream.next()) is not None:
        last = message
    return last


def ways_to_end(engine):
    """Each way in which a credential ends: the headers to come with, and what ends it."""

    def by(statement, **named):
        def end():
            with engine.begin() as connection:
                statement(connection, **named)

        return end

    headers, key_id = new_key(engine)
    yield "revoked", headers, by(keys.revoke_key, key_id=key_id), 401
    headers, user_id, login_id = new_login(engine, "one")
    yield "login ended", headers, by(logins.end_login, login_id=str(login_id)), 401
    headers, user_id, _ = new_login(engine, "two")
    yield "new password", headers, by(users.change_user, user_id=user_id, password_hash="x"), 401
    headers, user_id, _ = new_login(engine, "three")
    yield "disabled", headers, by(users.change_user, user_id=user_id, is_disabled=True), 401
    headers, user_id, _ = new_login(engine, "four")
    yield "removed", headers, by(users.end_user, user_id=user_id), 401
    headers, user_id, _ = new_login(engine, "five", "operator")
    yield "other role", headers, by(users.change_user, user_id=user_id, role="viewer"), 200


def test_streams_end_with_what_let_them_in_and_others_go_on(feed, engine):
    others, _ = new_key(engine)
    with ExitStack() as stack:
        staying = [stack.enter_context(open_stream(feed.url, headers=others)) for _ in range(STREAMS)]
        recorded = []
        for why, headers, end, after in ways_to_end(engine):
            ending = [stack.enter_context(open_stream(feed.url, headers=headers)) for _ in range(STREAMS)]
            record(engine, f"before {why}")
            end()
            began = time.monotonic()
            for stream in ending:
                assert last_words(stream)["error"] == "access_ended", why
            assert time.monotonic() - began < 5, why
            record(engine, f"after {why}")
            recorded += [f"before {why}", f"after {why}"]
            with EventStream(feed.url, headers=headers) as again:
                assert again.head.status == after, why
        for stream in staying:
            changes = stream.changes(len(recorded))
            assert [change["data"]["session_name"] for change in changes] == recorded
    assert "Traceback" not in feed.log


def test_streams_end_at_the_moment_of_expiry(feed, engine):
    with engine.begin() as connection:
        expires_at = connection.exec_driver_sql("select now() + interval '3 seconds'").scalar_one()
    headers, _ = new_key(engine, expires_at=expires_at)
    with ExitStack() as stack:
        streams = [stack.enter_context(open_stream(feed.url, headers=headers)) for _ in range(STREAMS)]
        for stream in streams:
            assert last_words(stream)["error"] == "access_ended"
        with engine.begin() as connection:
            now = connection.exec_driver_sql("select clock_timestamp()").scalar_one()
        assert now >= expires_at


def test_a_narrower_key_ends_streams_of_what_it_lost(feed, engine):
    with engine.begin() as connection:
        one, two = connection.exec_driver_sql(
            "insert into sessions (session_name) values ('one'), ('two') returning id"
        ).scalars()
    headers, _ = new_key(engine, session_ids=[one, two])
    with open_stream(feed.url, f"/api/sse?session_id={one}", headers=headers) as stream:
        with engine.begin() as connection:
            connection.exec_driver_sql("delete from access_key_sessions where session_id = %s", (one,))
        assert last_words(stream)["error"] == "access_ended"
    with EventStream(feed.url, f"/api/sse?session_id={one}", headers=headers) as refused:
        assert refused.head.status == 403


def test_the_first_user_ends_the_streams_of_everyone(gunicorn, engine):
    server = gunicorn(WEB_CONCURRENCY=WORKERS)
    wait_until_ready(server)
    with ExitStack() as stack:
        streams = [stack.enter_context(open_stream(server.url)) for _ in range(STREAMS)]
        with engine.begin() as connection:
            users.create_user(connection, "ada", "admin", passwords.hashed("ada"))
        for stream in streams:
            assert last_words(stream)["error"] == "access_ended"
        with EventStream(server.url) as refused:
            assert refused.head.status == 401


def test_a_waiting_long_poll_of_a_revoked_key_is_401(feed, engine):
    headers, key_id = new_key(engine)
    request = urllib.request.Request(f"{feed.url}/api/changes?wait=30", headers=headers)
    # The first tells that the key is known; the second one waits.
    urllib.request.urlopen(urllib.request.Request(f"{feed.url}/api/changes", headers=headers), timeout=10).close()
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(urllib.request.urlopen, request, timeout=40)
        until(lambda: _streams(feed, engine) >= 1, what="the poll to wait")
        with engine.begin() as connection:
            keys.revoke_key(connection, key_id)
        error = waiting.exception(timeout=20)
    assert isinstance(error, urllib.error.HTTPError)
    assert (error.code, json.load(error)["reason"]) == (401, "access_ended")
    error.close()


def _streams(feed, engine):
    headers, _ = new_key(engine, "metrics")
    found = 0
    for _ in range(6):  # each time another worker may answer
        with urllib.request.urlopen(
            urllib.request.Request(f"{feed.url}/api/system", headers=headers), timeout=10
        ) as answer:
            found = max(found, json.load(answer)["streams"])
    return found


def test_a_revocation_whose_notify_is_lost_is_found_by_the_next_check(gunicorn, engine, admin_url):
    with engine.begin() as connection:
        users.create_user(connection, "ada", "admin", passwords.hashed("ada"))
    server = gunicorn(LISTENER_CHECK_SECONDS=0.5)
    wait_until_ready(server)
    headers, key_id = new_key(engine)
    with open_stream(server.url, headers=headers) as stream:
        with closing(connect(admin_url, application_name="silent")) as connection, connection.cursor() as cursor:
            cursor.execute("set session_replication_role = replica")  # no trigger, hence no NOTIFY
            cursor.execute("update access_home set version = version + 1")
            cursor.execute(
                "update access_keys set ended_at = now(), version = (select version from access_home) where id = %s",
                (key_id,),
            )
        assert last_words(stream)["error"] == "access_ended"


def test_a_stream_that_came_before_the_database_did_is_judged_once_it_is_there(gunicorn, engine, database_url):
    """It waits as it would without users, and nobody gets anything before it is known who may."""
    with engine.begin() as connection:
        users.create_user(connection, "ada", "admin", passwords.hashed("ada"))
    headers, _ = new_key(engine)
    parts = urlsplit(database_url)
    reach = partial(_socket_of, parse_qs(parts.query).get("host", [None])[0], parts.hostname, parts.port)
    proxy = Proxy(reach)
    proxy.start()
    proxy.stop()  # the port is known, and nothing answers
    server = gunicorn(DATABASE_URL=f"postgresql://{parts.username}@127.0.0.1:{proxy.port}{parts.path}")
    try:
        with EventStream(server.url, headers=headers) as known, EventStream(server.url) as unknown:
            assert known.head.status == unknown.head.status == 200
            with pytest.raises(urllib.error.HTTPError, match="503"):
                urllib.request.urlopen(f"{server.url}/api/sessions", timeout=30)
            proxy.start()
            assert last_words(unknown)["error"] == "access_ended"
            while known.next_of("connection")["data"]["status"] != "live":
                pass
            record(engine, "door")
            assert known.changes(1)[0]["data"]["session_name"] == "door"
    finally:
        server.stop()
        proxy.stop()
