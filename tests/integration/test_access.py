"""Access: who is let in in each state of the feed, and what they may do there."""

from __future__ import annotations

import csv
import dataclasses
import io
import re
from base64 import b64encode
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from app import create_app
from app.access import keys, logins, passwords, users
from app.access.scope import Role
from app.config import Config
from app.postgres.connections import connect
from app.postgres.tables import db
from app.rest.takes import taken_by
from tests.waiting import until

PASSWORD = "violet tractor under seven lamps"
PEOPLE: tuple[tuple[str, Role], ...] = (("ada", "admin"), ("olga", "operator"), ("vic", "viewer"))
SESSION = {"session_name": "door", "input_source": "rtsp://ada:sesame@10.0.0.7/main"}


@pytest.fixture(scope="module")
def password_hash():
    return passwords.hashed(PASSWORD)


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
def people(app, password_hash):
    """One user of each role, by name."""
    with app.app_context(), db.engine.begin() as connection:
        for name, role in PEOPLE:
            users.create_user(connection, name, role, password_hash)
    return app


@pytest.fixture
def key(app):
    """Make a key."""

    def make(scope, session_ids=(), **values):
        with app.app_context(), db.engine.begin() as connection:
            made, row = keys.create_key(connection, scope, scope, session_ids=session_ids, **values)
        return {"Authorization": f"Bearer {made}"}, row["id"]

    return make


def signed_in(app, username):
    client = app.test_client()
    response = client.post("/api/login", json={"username": username, "password": PASSWORD})
    assert response.status_code == 200, response.json
    return client


def test_without_users_loopback_is_open(client):
    assert client.get("/api/me").json["access"] == "open"
    assert client.post("/api/sessions", json=SESSION).status_code == 201


def test_every_endpoint_says_what_it_takes(app):
    silent = [rule.rule for rule in app.url_map.iter_rules() if taken_by(app.view_functions[rule.endpoint]) is None]
    assert silent == []


def test_a_user_closes_the_feed_at_once(app, client, people):
    for path in ("/api/sessions", "/api/sse/alerts", "/api/changes", "/api/system", "/api/openapi.json", "/api/users"):
        response = client.get(path)
        assert response.status_code == 401, path
        assert response.json["reason"] == "login_required"
    assert client.get("/api/health").status_code == 200
    assert client.get("/").status_code == 200


def test_a_login_lasts_until_logout(people):
    client = signed_in(people, "Vic")
    me = client.get("/api/me").json
    assert (me["access"], me["name"], me["role"], me["scopes"]) == ("user", "vic", "viewer", ["read"])
    assert client.get("/api/sessions").status_code == 200
    assert client.post("/api/logout").status_code == 204
    assert client.get("/api/sessions").status_code == 401


def test_a_cookie_that_was_kept_is_worth_nothing_after_logout(people):
    client = signed_in(people, "vic")
    cookie = client.get_cookie("people_feed").value
    client.post("/api/logout")
    other = people.test_client()
    other.set_cookie("people_feed", cookie)
    assert other.get("/api/sessions").json["reason"] == "access_ended"


def test_what_roles_may_do(people):
    viewer, operator, admin = (signed_in(people, name) for name in ("vic", "olga", "ada"))
    assert viewer.post("/api/sessions", json=SESSION).json["scope"] in ("ingest", "operate")
    made = operator.post("/api/sessions", json=SESSION)
    assert made.status_code == 201
    path = f"/api/sessions/{made.json['id']}"
    assert viewer.post(f"{path}/stop").status_code == 403
    assert operator.delete(path).json["scope"] == "admin"
    assert operator.get("/api/users").status_code == 403
    assert operator.post(f"{path}/stop").status_code == 200
    assert admin.delete(path).status_code == 204


@pytest.mark.parametrize("name", ["vic", "ada"])
def test_an_address_is_no_formula_for_anyone_who_exports_it(people, name):
    admin = signed_in(people, "ada")
    address = "=rtsp://ada:sesame@10.0.0.7/main"
    admin.post("/api/sessions", json=SESSION | {"input_source": address})
    answer = signed_in(people, name).get("/api/sessions/export?format=csv-excel")
    [row] = csv.DictReader(io.StringIO(answer.data.decode("utf-8-sig")))
    assert row["input_source"] == "'" + (address if name == "ada" else "=rtsp://***@10.0.0.7/main")


def test_addresses_are_masked_for_all_but_admins(people):
    viewer, operator, admin = (signed_in(people, name) for name in ("vic", "olga", "ada"))
    path = f"/api/sessions/{admin.post('/api/sessions', json=SESSION).json['id']}"
    masked = "rtsp://***@10.0.0.7/main"
    assert viewer.get(path).json["input_source"] == masked
    assert [row["input_source"] for row in viewer.get("/api/sessions").json["items"]] == [masked]
    assert viewer.get("/api/sessions?fields=input_source").json["items"] == [{"input_source": masked}]
    assert viewer.get("/api/sessions?search=sesame").json["items"] == []
    assert b"sesame" not in viewer.get("/api/sessions/export").data + viewer.get("/api/sessions/export?format=csv").data
    assert b"sesame" not in viewer.get("/api/changes?after=0&topics=sessions").data
    assert admin.get(path).json["input_source"] == SESSION["input_source"]
    # What was shown comes back with a change, and is not taken for the address.
    changed = operator.get(path).json | {"fps": 30}
    answer = operator.put(path, json={name: value for name, value in changed.items() if name != "updated_at"})
    assert (answer.status_code, answer.json["input_source"], answer.json["fps"]) == (200, masked, 30)
    assert admin.get(path).json["input_source"] == SESSION["input_source"]
    operator.patch(path, json={"input_source": "rtsp://new:one@10.0.0.8/"})
    assert admin.get(path).json["input_source"] == "rtsp://new:one@10.0.0.8/"


def test_an_ingest_key_reaches_what_it_made(people, key, client):
    mine, _ = key("ingest")
    other = signed_in(people, "ada").post("/api/sessions", json=SESSION).json["id"]
    made = client.post("/api/sessions", json=SESSION, headers=mine)
    assert made.status_code == 201
    session_id = made.json["id"]
    movement = {"session_id": session_id, "person_id": 1, "movement_direction": "in"}
    assert client.post("/api/movements", json=movement, headers=mine).status_code == 201
    assert client.post("/api/movements", json=[movement, movement], headers=mine).status_code == 201
    foreign = movement | {"session_id": other}
    assert client.post("/api/movements", json=foreign, headers=mine).status_code == 409
    assert client.post("/api/movements", json=[movement, foreign], headers=mine).status_code == 409
    assert client.patch(f"/api/sessions/{other}", json={"fps": 1}, headers=mine).status_code == 404
    assert client.put(f"/api/sessions/{other}", json=SESSION, headers=mine).status_code == 404
    assert client.post(f"/api/sessions/{other}/stop", headers=mine).status_code == 404
    assert client.post(f"/api/sessions/{session_id}/stop", headers=mine).status_code == 200
    assert client.post("/api/sessions", json=SESSION | {"id": other}, headers=mine).status_code == 409
    assert client.get("/api/sessions", headers=mine).status_code == 403
    assert client.get("/api/sse", headers=mine).status_code == 403


def test_one_camera_cannot_use_up_the_idempotency_keys_of_another(people, key, client):
    (one, _), (two, _) = key("ingest"), key("ingest")
    for shown in (one, two):
        headers = shown | {"Idempotency-Key": "start"}
        made = [client.post("/api/sessions", json=SESSION, headers=headers) for _ in "12"]
        assert [response.status_code for response in made] == [201, 200]
        assert made[0].json["id"] == made[1].json["id"]


def test_a_restricted_key_reads_its_session_alone(people, key, client):
    admin = signed_in(people, "ada")
    one, two = (admin.post("/api/sessions", json=SESSION).json["id"] for _ in "12")
    mine, _ = key("read", [one])
    for session_id in (one, two):
        admin.post("/api/movements", json={"session_id": session_id, "person_id": 1, "movement_direction": "in"})
    assert [row["id"] for row in client.get("/api/sessions", headers=mine).json["items"]] == [one]
    assert {row["session_id"] for row in client.get("/api/movements", headers=mine).json["items"]} == {one}
    assert client.get(f"/api/movements?session_id={two}", headers=mine).json["items"] == []
    assert two.encode() not in client.get("/api/movements/export", headers=mine).data
    assert client.get(f"/api/sessions/{two}", headers=mine).status_code == 404
    for path in ("/api/changes", "/api/sse/movements", "/api/analytics/flow", "/api/sessions/figures"):
        assert client.get(path, headers=mine).status_code == 403, path
        assert client.get(f"{path}?session_id={two}", headers=mine).status_code == 403, path
        response = client.get(f"{path}?session_id={one}", headers=mine)
        assert response.status_code == 200, (path, response.json)
        response.close()
    assert client.get(f"/api/sessions/{two}/statistics", headers=mine).status_code == 403
    assert client.get(f"/api/sessions/{one}/statistics", headers=mine).status_code == 200
    assert client.get("/api/stats", headers=mine).status_code == 403


def test_a_key_by_basic_as_cameras_send_it(people, key, client):
    headers, _ = key("read")
    secret = headers["Authorization"].partition(" ")[2]
    basic = b64encode(f"camera:{secret}".encode()).decode()
    assert client.get("/api/sessions", headers={"Authorization": f"Basic {basic}"}).status_code == 200
    assert client.get("/api/sessions", headers={"Authorization": "Basic ???"}).status_code == 401
    asked = client.get("/api/sessions").headers["WWW-Authenticate"]
    assert "Basic" in asked
    in_a_browser = client.get("/api/sessions", headers={"Sec-Fetch-Mode": "cors"})
    assert "Basic" not in in_a_browser.headers["WWW-Authenticate"]


def test_a_revoked_key_and_an_expired_one(people, key, client):
    admin = signed_in(people, "ada")
    headers, key_id = key("read")
    assert client.get("/api/sessions", headers=headers).status_code == 200
    assert admin.delete(f"/api/keys/{key_id}").status_code == 204
    assert client.get("/api/sessions", headers=headers).json["reason"] == "access_ended"
    assert admin.delete(f"/api/keys/{key_id}").status_code == 404


def test_unknown_keys_are_slowed_and_known_ones_are_not(people, key, client):
    headers, _ = key("read")
    wrong = {"Authorization": "Bearer pf_00000000_wrong"}
    seen = [client.get("/api/sessions", headers=wrong).status_code for _ in range(6)]
    assert seen[:4] == [401] * 4
    assert 429 in seen
    assert client.get("/api/sessions", headers=headers).status_code == 200


def test_wrong_passwords_are_slowed_and_nobody_is_locked_out(people):
    guesser = people.test_client()

    def guess(address, username="vic"):
        return guesser.post(
            "/api/login",
            json={"username": username, "password": "wrong horse"},
            environ_overrides={"REMOTE_ADDR": address},
        )

    assert signed_in(people, "vic").get("/api/me").status_code == 200  # from 127.0.0.1
    seen = [guess(f"10.0.0.{number}") for number in range(8)]
    assert [response.status_code for response in seen[:3]] == [401] * 3
    assert seen[-1].status_code == 429
    assert 0 < int(seen[-1].headers["Retry-After"]) <= 5
    # From where they are signed in, the user still gets in.
    assert signed_in(people, "vic").get("/api/me").status_code == 200
    # One address on many accounts.
    seen = [guess("10.1.0.1", f"user{number}").status_code for number in range(8)]
    assert seen[:3] == [401] * 3
    assert seen[-1] == 429


def test_a_new_password_ends_the_other_logins(people):
    here, there = signed_in(people, "vic"), signed_in(people, "vic")
    body = {"old_password": PASSWORD, "new_password": "short"}
    assert here.post("/api/password", json=body).json["errors"][0]["field"] == "new_password"
    assert here.post("/api/password", json=body | {"new_password": "password12345"}).status_code == 422
    body["new_password"] = "nine yellow submarines waited"
    assert here.post("/api/password", json=body | {"old_password": "wrong"}).status_code == 403
    assert here.post("/api/password", json=body).status_code == 204
    assert here.get("/api/me").status_code == 200
    assert there.get("/api/me").json["reason"] == "access_ended"


def test_ones_own_logins(people):
    here, there, other = signed_in(people, "vic"), signed_in(people, "vic"), signed_in(people, "olga")
    items = here.get("/api/logins").json["items"]
    assert [item["is_current"] for item in items].count(True) == 1
    [that] = [item["id"] for item in items if not item["is_current"]]
    assert other.delete(f"/api/logins/{that}").status_code == 404
    assert here.delete(f"/api/logins/{that}").status_code == 204
    assert there.get("/api/me").status_code == 401


def test_admins_manage_users_and_one_stays(people):
    admin = signed_in(people, "ada")
    new = {"username": "New.One", "role": "viewer", "password": PASSWORD + "!"}
    made = admin.post("/api/users", json=new)
    assert made.status_code == 201
    assert admin.post("/api/users", json=new | {"username": "new.one"}).status_code == 409
    assert admin.post("/api/users", json=new | {"username": "x", "password": "new.one12345"}).status_code == 422
    path = f"/api/users/{made.json['id']}"
    assert admin.patch(path, json={"role": "operator"}).json["role"] == "operator"
    assert admin.patch(path, json={"role": None}).status_code == 422
    [me] = [row["id"] for row in admin.get("/api/users").json["items"] if row["username"] == "ada"]
    for change in ({"role": "viewer"}, {"is_disabled": True}):
        assert admin.patch(f"/api/users/{me}", json=change).status_code == 409
    assert admin.delete(f"/api/users/{me}").status_code == 409
    assert admin.delete(path).status_code == 204
    assert admin.delete(path).status_code == 404


def test_a_disabled_user_is_out(people):
    admin, viewer = signed_in(people, "ada"), signed_in(people, "vic")
    [vic] = [row["id"] for row in admin.get("/api/users").json["items"] if row["username"] == "vic"]
    assert admin.patch(f"/api/users/{vic}", json={"is_disabled": True}).status_code == 200
    assert viewer.get("/api/me").status_code == 401
    refused = people.test_client().post("/api/login", json={"username": "vic", "password": PASSWORD})
    assert refused.status_code == 401


def test_keys_by_the_api(people, client):
    admin = signed_in(people, "ada")
    made = admin.post("/api/keys", json={"name": "Wall", "scope": "read", "expires_at": "2999-01-01T00:00:00Z"})
    assert made.status_code == 201
    assert re.fullmatch(r"pf_[a-z0-9]{8}_[\w-]{43}", made.json["key"])
    [row] = admin.get("/api/keys").json["items"]
    assert (row["name"], row["scope"], row["is_restricted"], row["created_by"]) == ("Wall", "read", False, "ada")
    assert "key" not in row
    past = {"name": "Wall", "scope": "read", "expires_at": "2020-01-01T00:00:00Z"}
    assert admin.post("/api/keys", json=past).status_code == 422
    unknown = {"name": "Wall", "scope": "read", "session_ids": ["00000000-0000-4000-8000-000000000009"]}
    assert admin.post("/api/keys", json=unknown).status_code == 409
    # A screen that nobody signs in at: a login by the key, which ends with the key.
    screen = people.test_client()
    assert screen.post("/api/login", json={"key": made.json["key"]}).json["access"] == "key"
    assert screen.get("/api/sessions").status_code == 200
    assert screen.post("/api/sessions", json=SESSION).status_code == 403
    assert screen.get("/api/logins").status_code == 403
    admin.delete(f"/api/keys/{row['id']}")
    assert screen.get("/api/sessions").status_code == 401
    assert screen.post("/api/login", json={"key": made.json["key"]}).status_code == 401


def test_tickets_are_for_one_stream(people, key, client):
    headers, key_id = key("read")
    ticket = client.post("/api/tickets", json={"topics": "alerts"}, headers=headers).json["ticket"]
    assert client.get(f"/api/sse?topics=alerts&ticket={ticket}").status_code == 200
    assert client.get(f"/api/sse/alerts?ticket={ticket}").status_code == 200
    assert client.get(f"/api/sse?topics=alerts,sessions&ticket={ticket}").status_code == 401
    assert client.get(f"/api/sse/sessions?ticket={ticket}").status_code == 401
    assert client.get(f"/api/sse?ticket={ticket}").status_code == 401
    assert client.get(f"/api/sessions?ticket={ticket}").status_code == 401
    assert client.get(f"/api/sse/alerts?ticket={ticket[:-1]}").status_code == 401
    assert signed_in(people, "ada").delete(f"/api/keys/{key_id}").status_code == 204
    assert client.get(f"/api/sse/alerts?ticket={ticket}").status_code == 401


def test_the_set_up_makes_one_administrator(apps, database_url):
    from app.access import start

    app = apps(host="0.0.0.0")
    client = app.test_client()
    for path in ("/api/sessions", "/api/ready", "/api/sse"):
        assert client.get(path).json["reason"] == "setup_required", path
    assert client.post("/api/login", json={"username": "a", "password": "b"}).json["reason"] == "setup_required"
    assert client.get("/api/health").status_code == 200
    with closing(connect(database_url, application_name="start")) as connection:
        token = start.offer_setup(connection)
    body = {"token": token, "username": "ada", "password": PASSWORD}
    assert client.post("/api/setup", json=body | {"token": token[:-1]}).status_code == 403
    assert client.post("/api/setup", json=body | {"password": "short"}).status_code == 422
    made = client.post("/api/setup", json=body)
    assert (made.status_code, made.json["role"]) == (201, "admin")
    assert client.get("/api/sessions").status_code == 200
    assert app.test_client().post("/api/setup", json=body).status_code == 409


@pytest.mark.parametrize("header", ["Forwarded", "X-Forwarded-For", "Via", "X-Forwarded-Proto", "X-Real-IP"])
def test_without_users_a_proxy_lets_nobody_in(client, header):
    response = client.get("/api/sessions", headers={header: "1.2.3.4"})
    assert (response.status_code, response.json["reason"]) == (403, "forwarded")


def test_open_is_open(apps, people):
    client = apps(host="0.0.0.0", access="open").test_client()
    assert client.post("/api/sessions", json=SESSION, headers={"Via": "x"}).status_code == 201


@pytest.mark.parametrize(("local", "reads", "writes"), [("none", 401, 401), ("read", 200, 403), ("admin", 200, 201)])
def test_programs_of_this_machine_may_be_excepted(apps, people, local, reads, writes):
    client = apps(local_access=local).test_client()
    assert client.get("/api/sessions").status_code == reads
    assert client.post("/api/sessions", json=SESSION).status_code == writes
    assert client.get("/api/sessions", headers={"X-Forwarded-For": "127.0.0.1"}).status_code == 401
    assert client.get("/api/sessions", environ_overrides={"REMOTE_ADDR": "10.0.0.1"}).status_code == 401


def test_a_trusted_proxy_names_users(apps, people):
    from ipaddress import ip_network

    app = apps(trusted_proxies=(ip_network("10.0.0.0/8"),), user_header="X-Remote-User", allowed_hosts=("feed.test",))
    client, proxy = app.test_client(), {"REMOTE_ADDR": "10.9.9.9"}
    headers = {"X-Remote-User": "Vic", "X-Forwarded-For": "203.0.113.9", "Host": "feed.test"}
    me = client.get("/api/me", headers=headers, environ_overrides=proxy)
    assert (me.json["name"], me.json["role"]) == ("vic", "viewer")
    assert client.get("/api/me", headers=headers, environ_overrides={"REMOTE_ADDR": "192.168.0.1"}).status_code == 401
    stranger = headers | {"X-Remote-User": "nobody"}
    assert client.get("/api/me", headers=stranger, environ_overrides=proxy).status_code == 401


def test_a_trusted_proxy_says_who_and_where(apps, people):
    from ipaddress import ip_network

    app = apps(trusted_proxies=(ip_network("10.0.0.0/8"),), allowed_hosts=("feed.test",))
    client, proxy = app.test_client(), {"REMOTE_ADDR": "10.9.9.9"}
    headers = {
        "X-Forwarded-For": "6.6.6.6, 203.0.113.9, 10.1.1.1",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "feed.test",
        "X-Forwarded-Prefix": "/people",
    }
    made = client.post(
        "/api/login", json={"username": "ada", "password": PASSWORD}, headers=headers, environ_overrides=proxy
    )
    assert made.status_code == 200
    cookie = made.headers["Set-Cookie"]
    assert cookie.startswith("__Host-people_feed=")
    assert "Secure" in cookie
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert "Path=/;" in cookie + ";"
    with app.app_context(), db.engine.connect() as connection:
        assert connection.exec_driver_sql("select address from access_logins").scalars().all() == ["203.0.113.9"]


def test_the_audit_log_says_who_did_what(people, app):
    from app.access import audit

    operator, admin = signed_in(people, "olga"), signed_in(people, "ada")
    session = operator.post("/api/sessions", json=SESSION).json["id"]
    operator.post(f"/api/sessions/{session}/stop")
    admin.post("/api/sessions/delete", json={"ids": [session]})
    admin.get("/api/sessions")
    entries = admin.get("/api/audit").json["items"]
    assert [(entry["actor"], entry["action"], entry["subject"]) for entry in entries[:3]] == [
        ("user ada", "POST /api/sessions/delete", ""),
        ("user olga", "POST /api/sessions/{id}/stop", session),
        ("user olga", "POST /api/sessions", session),
    ]
    assert entries[0]["details"]["answer"] == '{"deleted" : 1}'
    page = admin.get("/api/audit?limit=2").json
    assert admin.get(f"/api/audit?limit=100&before={page['next']}").json["items"] == entries[2:]
    with app.app_context(), db.engine.connect() as connection:
        assert audit.first_break(connection) is None
        assert audit.head(connection)[0] == len(entries)


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("update access_audit set actor = 'nobody' where id = 2", 2),
        ("update access_audit set details = '{}' where id = 3", 3),
        ("delete from access_audit where id = 2", 3),
        ("delete from access_audit where id = (select max(id) from access_audit)", 5),
        ("delete from access_audit", 5),
    ],
)
def test_what_is_altered_in_the_audit_log_is_found(app, admin_url, statement, found):
    from app.access import audit

    with app.app_context(), db.engine.begin() as connection:
        for number in range(5):
            audit.add_entry(connection, "user ada", "10.0.0.1", "do", str(number), number=number)
        assert audit.first_break(connection) is None
    forger = connect(admin_url, application_name="forger")
    with forger.cursor() as cursor:
        with pytest.raises(Exception, match="only ever added to"):
            cursor.execute(statement)
        cursor.execute("set session_replication_role = replica")
        cursor.execute(statement)
    forger.close()
    with app.app_context(), db.engine.connect() as connection:
        assert audit.first_break(connection) == found


def test_two_first_administrators_at_once_are_one(app, password_hash):
    from sqlalchemy.exc import IntegrityError

    with app.app_context(), db.engine.begin() as connection:
        users.create_user(connection, "one", "admin", password_hash, is_first=True)
    with app.app_context(), pytest.raises(IntegrityError), db.engine.begin() as connection:
        users.create_user(connection, "two", "admin", password_hash, is_first=True)


def test_logins_end_when_nobody_uses_them(people, app):
    client = signed_in(people, "vic")
    assert client.get("/api/me").status_code == 200
    with app.app_context(), db.engine.begin() as connection:
        # No use of it helps any more after 30 days.
        created = "created_at = now() - interval '30 days' + interval '1 second'"
        connection.exec_driver_sql(f"update access_logins set {created}, expires_at = now() + interval '1 second'")
    app.extensions["access"].register.refresh()
    assert client.get("/api/sessions").status_code == 200
    until(lambda: client.get("/api/sessions").status_code == 401, what="the end of the login")


def test_logins_go_on_while_somebody_uses_them(people, app):
    client = signed_in(people, "vic")
    with app.app_context(), db.engine.begin() as connection:
        connection.exec_driver_sql("update access_logins set expires_at = now() + interval '1 hour'")
    app.extensions["access"].register.refresh()
    client.get("/api/sse").close()  # a stream is open for days: it is no sign of somebody
    with app.app_context(), db.engine.begin() as connection:
        left = connection.exec_driver_sql("select expires_at - now() from access_logins").scalar_one()
        assert left <= timedelta(hours=1)
    client.get("/api/sessions")
    with app.app_context(), db.engine.begin() as connection:
        left = connection.exec_driver_sql("select expires_at - now() from access_logins").scalar_one()
        assert timedelta(hours=11) < left <= timedelta(hours=12)
        # 30 days are the most.
        connection.exec_driver_sql("update access_logins set created_at = now() - interval '29 days 22 hours'")
        logins.renew_login(connection, client.get("/api/me").json["login_id"])
        left = connection.exec_driver_sql("select expires_at - now() from access_logins").scalar_one()
        assert left <= timedelta(hours=2)


def test_what_is_personal_is_not_cached(people):
    client = signed_in(people, "ada")
    for path in ("/api/me", "/api/users", "/api/keys", "/api/audit", "/api/logins"):
        assert client.get(path).headers["Cache-Control"] == "no-store", path
    assert "Cookie" in client.get("/api/sessions").headers["Vary"]


def test_tickets_stay_out_of_access_logs():
    from app.gunicorn_log import _hidden

    line = "GET /api/sse?topics=alerts&ticket=abc.def HTTP/1.1"
    assert _hidden(line) == "GET /api/sse?topics=alerts&ticket=*** HTTP/1.1"
    assert _hidden("/api/sse?ticket=abc&topics=alerts") == "/api/sse?ticket=***&topics=alerts"


def test_an_older_state_of_the_database_is_read_whole(people, app):
    register = app.extensions["access"].register
    client = signed_in(people, "vic")
    assert client.get("/api/me").status_code == 200
    with app.app_context(), db.engine.begin() as connection:
        # As a backup from before the login.
        connection.exec_driver_sql("delete from access_logins")
        connection.exec_driver_sql("update access_home set version = version - 1")
    register.refresh()
    assert client.get("/api/me").status_code == 401


def test_a_key_without_end_and_one_of_the_far_future_are_read(people, app, client):
    """PostgreSQL before 17 cannot subtract from infinity."""
    with app.app_context(), db.engine.begin() as connection:
        for_good, row = keys.create_key(connection, "x", "read")
        connection.exec_driver_sql("update access_keys set expires_at = 'infinity' where id = %s", (row["id"],))
        later, _ = keys.create_key(connection, "x", "read", expires_at=datetime(9999, 12, 31, tzinfo=UTC))
    screen = people.test_client()
    assert screen.post("/api/login", json={"key": for_good}).json["expires_at"] is None
    for made in (for_good, later):
        assert client.get("/api/sessions", headers={"Authorization": f"Bearer {made}"}).status_code == 200
    assert screen.get("/api/sessions").status_code == 200


def test_wrong_keys_keep_no_screen_out_that_has_a_right_one(people, key, client):
    right, _ = key("read")
    there = {"REMOTE_ADDR": "10.0.0.9"}

    def enter(secret):
        return client.post("/api/login", json={"key": secret}, environ_overrides=there).status_code

    seen = [enter("pf_00000000_wrong") for _ in range(7)]
    assert seen[:3] == [401] * 3
    assert seen[-1] == 429
    assert enter(right["Authorization"].partition(" ")[2]) == 200
