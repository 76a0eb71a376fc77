"""Those who were not let in, or not that far: what they try, and that it gets them nothing."""

from __future__ import annotations

import dataclasses
import http.client
import json
import logging
import threading
from contextlib import closing
from ipaddress import ip_network
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DataError

from app import create_app
from app.access import audit, failures, keys, passwords, start, users
from app.access.credential import EVERYONE
from app.config import Config
from app.feed.change import Filter
from app.feed.subscription import Subscription
from app.postgres.addresses import masked
from app.postgres.connections import connect
from app.postgres.tables import db
from tests.event_stream import wait_until_ready
from tests.hostile.test_bodies import connection_to
from tests.waiting import until

PASSWORD = "violet tractor under seven lamps"
SECRET_ADDRESSES = (
    "rtsp://u:SECRET@h/x",
    "rtsp://u:SEC/RET@h/x",
    "rtsp://u:SEC?RET@h/x",
    "rtsp://u:SEC#RET@h/x",
    "rtsp://u:SE@CRET@h/x",
    "rtsp://u:SEC\nRET@h/x",
    'rtsp://u:SEC"RET@h/x',
    "rtsp://u:SEC\\RET@h/x",
    "rtsp://u:SEC%40RET@[::1]/x",
    "rtsp://a:b@h1 rtsp://u:SECRET@h2",
    "u:SECRET@h/x",
    "//u:SECRET@h/x",
    "rtsp:u:SECRET@h",
    "RTSP:\\\\u:SECRET@h",
    "http://h/video?user=u&PWD=SECRET&fps=5",
    "rtsp://h/user=u_password=SECRET_channel=1.sdp",
    "rtspsrc location=rtsp://h user-id=u user-pw=SECRET",
)


@pytest.fixture
def apps(database_url):
    """Apps with these settings on the test's database."""
    made = []

    def make(**settings):
        app = create_app(dataclasses.replace(Config(), database_url=database_url, **settings))
        made.append(app)
        return app

    yield make
    for app in made:
        with app.app_context():
            db.engine.dispose()


@pytest.fixture
def ada(app):
    """An administrator, who closes the feed; her id."""
    with app.app_context(), db.engine.begin() as connection:
        return users.create_user(connection, "ada.lisi", "admin", passwords.hashed(PASSWORD))["id"]


def key(app, scope, session_ids=()):
    with app.app_context(), db.engine.begin() as connection:
        made, _ = keys.create_key(connection, scope, scope, session_ids=session_ids)
    return {"Authorization": f"Bearer {made}"}


def login(client, username, password, **more):
    return client.post("/api/login", json={"username": username, "password": password}, **more)


@pytest.mark.parametrize("address", SECRET_ADDRESSES)
def test_no_form_of_an_address_shows_a_password(app, ada, client, address):
    admin, reader = key(app, "admin"), key(app, "read")
    row = {"session_name": "door", "input_source": address}
    path = f"/api/sessions/{client.post('/api/sessions', json=row, headers=admin).json['id']}"
    client.patch(path, json={"fps": 5}, headers=admin)
    seen = client.get(path, headers=reader).json["input_source"]
    assert "SE" not in seen
    assert "RET" not in seen
    assert seen == masked(address)
    assert client.get("/api/sessions?search=SEC", headers=reader).json["items"] == []
    for export in ("ndjson", "csv"):
        assert b"RET" not in client.get(f"/api/sessions/export?format={export}", headers=reader).data
    changes = client.get("/api/changes?after=0&topics=sessions", headers=reader)
    assert b"RET" not in changes.data
    assert [item["data"]["data"]["input_source"] for item in changes.json["items"]] == [seen] * 2
    # What was shown may be sent back, and changes nothing.
    client.patch(path, json={"input_source": seen}, headers=key(app, "operate"))
    assert client.get(path, headers=admin).json["input_source"] == address


@pytest.mark.parametrize("address", ["door@2.mp4", "rtsp://camera-1/stream@2", "rtsp://camera-1:554/main?fps=5", "0"])
def test_addresses_without_a_password_are_shown(app, ada, client, address):
    row = {"session_name": "door", "input_source": address}
    path = f"/api/sessions/{client.post('/api/sessions', json=row, headers=key(app, 'admin')).json['id']}"
    assert client.get(path, headers=key(app, "read")).json["input_source"] == masked(address) == address


def test_whoever_guesses_a_hidden_password_is_not_told(app, ada, client):
    """A request that is repeated gets its row; it used to say so only if the password was right."""
    row = {"id": str(uuid4()), "session_name": "door", "input_source": "rtsp://u:1234@h/x"}
    assert client.post("/api/sessions", json=row, headers=key(app, "admin")).status_code == 201
    guesser = key(app, "operate") | {"Idempotency-Key": "guess"}
    answers = [
        client.post("/api/sessions", json=row | {"input_source": f"rtsp://u:{guess}@h/x"}, headers=guesser)
        for guess in ("0000", "1234")
    ]
    assert answers[0].status_code == answers[1].status_code == 200
    assert answers[0].data == answers[1].data
    assert b"1234" not in answers[1].data
    other = client.post("/api/sessions", json=row | {"input_source": "rtsp://u:1234@other/"}, headers=guesser)
    assert other.status_code == 409


def test_many_guesses_at_once_are_no_way_around(app):
    with app.app_context():
        with db.engine.begin() as connection:
            for _ in range(8):
                failures.count(connection, "account", "ada")
            connection.exec_driver_sql("update access_failures set next_at = now()")
        seen = []

        def guess():
            with app.app_context(), db.engine.begin() as connection:
                seen.append(failures.seconds_to_wait(connection, "account", "ada"))

        other = threading.Thread(target=guess)
        with db.engine.begin() as connection:
            assert failures.seconds_to_wait(connection, "account", "ada") == 0
            other.start()
            other.join(0.3)
            assert not seen  # it waits for its turn
            failures.count(connection, "account", "ada")
        other.join(10)
    assert seen[0] > 0


def test_all_addresses_of_a_network_are_one_guesser(ada, client):
    seen = [
        login(client, f"user{number}", "wrong horse", environ_overrides={"REMOTE_ADDR": f"2001:db8::{number:x}"})
        for number in range(8)
    ]
    assert [answer.status_code for answer in seen[:3]] == [401] * 3
    assert seen[-1].status_code == 429
    other = login(client, "user9", "wrong horse", environ_overrides={"REMOTE_ADDR": "2001:db8:0:1::1"})
    assert other.status_code == 401


@pytest.mark.parametrize("written", ["203.0.113.7:{port}", "[2001:db8::7]:{port}", "[2001:db8::7]"])
def test_ports_that_a_proxy_writes_make_no_other_guesser(apps, ada, written):
    client = apps(trusted_proxies=(ip_network("127.0.0.1"),)).test_client()
    seen = [
        login(client, f"user{port}", "wrong horse", headers={"X-Forwarded-For": written.format(port=port)}).status_code
        for port in range(50000, 50008)
    ]
    assert seen[:3] == [401] * 3
    assert seen[-1] == 429


def test_each_spelling_of_a_name_is_the_same_account(app, ada, client):
    # PostgreSQL makes i of U+0130, Python an i with a dot above.
    names = ("ada.lisi", "ADA.LISI", "ada.lİsi", "ada.lisİ", "ada.lİsİ", "Ada.Lisi")
    seen = [
        login(client, name, "wrong horse", environ_overrides={"REMOTE_ADDR": f"10.0.0.{number}"}).status_code
        for number, name in enumerate(names)
    ]
    assert seen[:3] == [401] * 3
    assert seen[-1] == 429


@pytest.mark.parametrize("settings", [{"cors_origins": ("*",)}, {"cors_origins": ("http://localhost:3000",)}])
def test_pages_of_other_origins_have_neither_the_cookie_nor_the_machine(apps, app, ada, settings):
    client = apps(local_access="admin", **settings).test_client()
    page = {"Origin": "http://localhost:3000"}
    fetching = {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"}
    posting = {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "navigate"}
    assert client.get("/api/users").status_code == 200  # a program of this machine
    assert login(client, "ada.lisi", PASSWORD).status_code == 200
    assert client.get("/api/me").json["access"] == "user"
    for headers in (page, fetching, page | fetching):
        assert client.get("/api/users", headers=headers).json["reason"] == "login_required", headers
    for headers in (page, page | fetching, page | posting):
        answer = client.post("/api/sessions", json={"session_name": "forged"}, headers=headers)
        assert answer.json["reason"] == "login_required", headers
    # With a key they get in, our own pages with the cookie, and who follows a link as well.
    assert client.get("/api/sessions", headers=page | fetching | key(app, "read")).status_code == 200
    assert client.get("/api/users", headers={"Sec-Fetch-Site": "same-origin"}).status_code == 200
    followed = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert client.get("/api/sessions/export", headers=followed).status_code == 200


def test_refusals_are_in_the_log_once_a_minute_and_on_one_line(app, ada, client, caplog):
    with caplog.at_level(logging.WARNING, logger="app.api.guard"):
        for _ in range(5):
            client.get("/api/sessions/a%0Aforged", environ_overrides={"REMOTE_ADDR": "10.9.8.7"})
            client.get("/api/users", headers=key(app, "read"), environ_overrides={"REMOTE_ADDR": "10.9.8.7"})
    lines = [record.getMessage() for record in caplog.records]
    assert sorted(line.rpartition(" from ")[2] for line in lines) == [
        "10.9.8.7: login_required",
        "10.9.8.7: not_allowed",
    ]
    assert not any("\n" in line for line in lines)


def test_users_end_no_stream_where_everyone_is_let_in(apps):
    app = apps(access="open")
    access, hub = app.extensions["access"], app.extensions["feed"].hub
    access.register.refresh()
    subscription = Subscription(Filter(frozenset({"alerts"})), owner=EVERYONE)
    hub.add(subscription)
    with app.app_context(), db.engine.begin() as connection:
        users.create_user(connection, "ada", "admin", None)
    access.register.refresh()
    assert access.register.has_users
    assert not subscription.is_expelled


def test_a_statement_that_fails_puts_no_value_into_the_log(app):
    with app.app_context(), db.engine.connect() as connection, pytest.raises(DataError) as failed:
        connection.execute(text("select 1 / 0 where :hash <> ''"), {"hash": "scrypt:SECRET"})
    assert "SECRET" not in str(failed.value)


@pytest.mark.parametrize("password", ["violet tractor\0 under seven lamps", "violet tractor \udcff seven lamps"])
def test_a_password_that_no_form_can_send_is_refused(password):
    assert "UTF-8" in (passwords.objection(password) or "")


def test_the_first_administrator_is_in_the_audit_log(app, database_url):
    with closing(connect(database_url, application_name="start")) as connection:
        assert start.add_admin(connection, PASSWORD)
        assert not start.add_admin(connection, PASSWORD)
    with app.app_context(), db.engine.connect() as connection:
        [entry] = audit.list_entries(connection, 10)
        assert (entry["action"], entry["details"]) == ("add user", {"username": "admin", "role": "admin"})
        assert audit.first_break(connection) is None


def test_names_forge_no_line_of_a_list(app, ada, client, database_url, monkeypatch):
    name = "x)\n     9 2026-01-01 00:00:00 user ada: remove user\x1b[2K"
    made = client.post("/api/keys", json={"name": name, "scope": "admin"}, headers=key(app, "admin"))
    forger = {"Authorization": f"Bearer {made.json['key']}"}
    assert client.delete(f"/api/keys/{made.json['id']}", headers=forger).status_code == 204
    monkeypatch.setenv("DATABASE_URL", database_url)
    for command in (["audit", "list"], ["key", "list"]):
        with app.app_context():
            output = app.test_cli_runner().invoke(args=command).output
        assert "remove user" in output
        assert "\x1b" not in output
        assert not any(line.startswith("     9 2026-01-01") for line in output.splitlines())


def test_no_stream_outlives_a_key_that_is_revoked_while_it_connects(gunicorn, app, ada):
    """On two workers, by many at once, while the Listener's connections are cut."""
    server = gunicorn(WEB_CONCURRENCY=2)
    wait_until_ready(server)
    admin = key(app, "admin")
    for _ in range(3):
        made = fetch(server, "POST", "/api/keys", admin, {"name": "brief", "scope": "read"})
        head = f"GET /api/sse/sessions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {made['key']}\r\n\r\n"
        sockets, is_over = [], threading.Event()

        def flood(head=head, sockets=sockets, is_over=is_over):
            while not is_over.is_set() and len(sockets) < 300:
                sockets.append(connection_to(server))
                sockets[-1].sendall(head.encode())

        flooding = threading.Thread(target=flood)
        flooding.start()
        until(lambda sockets=sockets: len(sockets) > 40, what="streams")
        with app.app_context(), db.engine.connect() as connection:
            connection.exec_driver_sql(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where application_name = 'people-feed listener' and datname = current_database()"
            )
        fetch(server, "DELETE", f"/api/keys/{made['id']}", admin)
        is_over.set()
        flooding.join()
        statuses = set()
        for sock in sockets:
            with sock, sock.makefile("rb") as answer:
                sock.settimeout(20)
                told = answer.read(65536) if b" 200 " in (line := answer.readline()) else b"access_ended"
                assert b"access_ended" in told
                statuses.add(int(line.split()[1]))
        assert 200 in statuses


def fetch(server, method, path, headers, body=None):
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=30)
    with closing(connection):
        sent = None if body is None else json.dumps(body)
        connection.request(method, path, sent, {**headers, "Content-Type": "application/json"})
        response = connection.getresponse()
        answer = response.read()
        assert response.status < 300, answer
        return json.loads(answer) if answer else None
