"""The matrix: every endpoint × everyone who may ask × every state of the feed, as the endpoints declare it."""

from __future__ import annotations

import dataclasses
import re
from datetime import UTC, datetime, timedelta

import pytest

from app import create_app
from app.access import keys, logins, passwords, users
from app.access.scope import INCLUDED, SCOPES, Role
from app.config import Config
from app.postgres.tables import db
from app.rest.takes import taken_by

SOME_ID = "00000000-0000-4000-8000-000000000001"
ROLES: tuple[Role, ...] = ("viewer", "operator", "admin")
ANYONE = frozenset[str]()
READ, OPERATE, INGEST, ADMIN = ({scope} for scope in ("read", "operate", "ingest", "admin"))
# What each endpoint takes, written down a second time: to loosen one, change it here, too.
ROWS = ("sessions", "movements", "alerts", "metrics", "thresholds")
CHANGES = {
    "sessions": (INGEST | OPERATE, INGEST | OPERATE, ADMIN),
    "movements": (INGEST, ADMIN, ADMIN),
    "metrics": (INGEST, ADMIN, ADMIN),
    "alerts": (INGEST | OPERATE, OPERATE, ADMIN),
    "thresholds": (OPERATE, OPERATE, OPERATE),
}
TABLE = {
    **{f"GET /api/{name}": READ for name in ROWS},
    **{f"GET /api/{name}/export": READ for name in ROWS},
    **{f"GET /api/{name}/<id>": READ for name in ROWS},
    **{f"POST /api/{name}": create for name, (create, _, _) in CHANGES.items()},
    **{f"PUT /api/{name}/<id>": change for name, (_, change, _) in CHANGES.items()},
    **{f"PATCH /api/{name}/<id>": change for name, (_, change, _) in CHANGES.items()},
    **{f"DELETE /api/{name}/<id>": delete for name, (_, _, delete) in CHANGES.items()},
    "POST /api/sessions/<id>/stop": INGEST | OPERATE,
    "POST /api/sessions/stop": OPERATE,
    "POST /api/sessions/resume": OPERATE,
    "POST /api/sessions/delete": ADMIN,
    "POST /api/alerts/<id>/resolve": OPERATE,
    "POST /api/alerts/resolve": OPERATE,
    "POST /api/alerts/reopen": OPERATE,
    "POST /api/alerts/acknowledge": OPERATE,
    "POST /api/alerts/unacknowledge": OPERATE,
    "POST /api/alerts/mute": OPERATE,
    "POST /api/alerts/unmute": OPERATE,
    "GET /api/sessions/<id>/statistics": READ,
    "GET /api/sessions/figures": READ,
    "GET /api/metrics/series": READ,
    "GET /api/stats": READ,
    "GET /api/analytics/flow": READ,
    "GET /api/analytics/profile": READ,
    "GET /api/changes": READ,
    "GET /api/sse": READ,
    **{f"GET /api/sse/{name}": READ for name in ROWS[:4]},
    "GET /api/system": READ | {"metrics"},
    "GET /api/system/workers": READ | {"metrics"},
    "GET /api/system/history": READ | {"metrics"},
    "GET /metrics": {"metrics"},
    "GET /api/health": ANYONE,
    "GET /api/ready": ANYONE,
    "GET /api/me": ANYONE,
    "POST /api/login": ANYONE,
    "POST /api/logout": ANYONE,
    "GET /api/login/oidc": ANYONE,
    "GET /api/login/oidc/callback": ANYONE,
    "POST /api/setup": ANYONE,
    **{f"{name}": set(SCOPES) for name in ("POST /api/password", "GET /api/logins", "DELETE /api/logins/<id>")},
    "GET /api/users": ADMIN,
    "POST /api/users": ADMIN,
    "PATCH /api/users/<id>": ADMIN,
    "DELETE /api/users/<id>": ADMIN,
    "GET /api/keys": ADMIN,
    "POST /api/keys": ADMIN,
    "DELETE /api/keys/<id>": ADMIN,
    "GET /api/audit": ADMIN,
    "POST /api/tickets": READ,
    "GET /api/": READ,
    "GET /api/overview.css": READ,
    "GET /api/openapi.json": READ,
    "GET /api/swagger": READ,
    "GET /api/swagger/<path>": READ,
}  # fmt: skip
# Served to anyone, because nothing in them is anybody's: the page, its files, its icon.
FILES = {"/", "/live", "/sessions", "/sessions/<id>", "/alerts", "/system", "/login", "/setup", "/account", "/admin",
         "/kiosk", "/favicon.ico", "/favicon.svg", "/assets/<name>"}  # fmt: skip
BEFORE_SETUP = {"GET /api/health", "GET /api/me", "POST /api/setup"}


def endpoints(app):
    """Method and path of each endpoint, and its view."""
    for rule in app.url_map.iter_rules():
        path = re.sub(r"<(?:\w+:)?(\w+)>", lambda match: f"<{re.sub('session_id', 'id', match[1])}>", rule.rule)
        for method in sorted(rule.methods - {"HEAD", "OPTIONS"}):
            yield method, path, app.view_functions[rule.endpoint]


@pytest.fixture
def make(database_url):
    made = []

    def app(**settings):
        made.append(create_app(dataclasses.replace(Config(), database_url=database_url, **settings)))
        return made[-1]

    yield app
    for one in made:
        with one.app_context():
            db.engine.dispose()


def asked(client, method, path, **options):
    """Whether the guard lets the request through, and the answer; what the view makes of it does not matter."""
    url = path.replace("<id>", "abcdefgh" if "/keys/" in path else SOME_ID).replace("<path>", "swagger-ui.css")
    response = client.open(url.replace("<name>", "x.js"), method=method, **options)
    reason = (response.json or {}).get("reason") if response.mimetype == "application/problem+json" else None
    response.close()
    refused = response.status_code in (401, 403) and reason not in ("wrong_credentials",)
    # These are about somebody who has signed in, which is not a matter of scopes.
    of_users = path in ("/api/password", "/api/logins", "/api/logins/<id>") and reason == "not_allowed"
    return not refused or of_users, (response.status_code, reason)


def headers_of(app, scope, session_ids=(), seconds=None, *, is_revoked=False):
    expires_at = None if seconds is None else datetime.now(UTC) + timedelta(seconds=seconds)
    with app.app_context(), db.engine.begin() as connection:
        key, row = keys.create_key(connection, scope, scope, session_ids=session_ids, expires_at=expires_at)
        if is_revoked:
            keys.revoke_key(connection, row["id"])
    return {"Authorization": f"Bearer {key}"}


def cookie_of(app, role):
    with app.app_context(), db.engine.begin() as connection:
        user = users.create_user(connection, role, role, passwords.hashed(role))
        token, _ = logins.create_login(connection, user_id=user["id"], address="127.0.0.1", user_agent="")
    return {"Cookie": f"people_feed={token}"}


def test_the_table_is_what_the_endpoints_declare(app):
    declared = {f"{method} {path}": taken_by(view).scopes for method, path, view in endpoints(app)}
    files = {name for name in declared if name.partition(" ")[2] in FILES}
    assert {name: declared[name] for name in files} == dict.fromkeys(files, ANYONE)
    assert {name: set(scopes) for name, scopes in declared.items() if name not in files} == {
        name: set(scopes) for name, scopes in TABLE.items()
    }


def test_with_users_everyone_may_what_their_scope_says_and_no_more(make):
    app = make()
    client = app.test_client(use_cookies=False)
    people = {"nobody": ({}, set())}
    people |= {role: (cookie_of(app, role), INCLUDED[{"viewer": "read", "operator": "operate", "admin": "admin"}[role]])
               for role in ROLES}  # fmt: skip
    people |= {f"key {scope}": (headers_of(app, scope), INCLUDED[scope]) for scope in SCOPES}
    people |= {
        "expired key": (headers_of(app, "admin", seconds=-1), set()),
        "revoked key": (headers_of(app, "admin", is_revoked=True), set()),
        "unknown cookie": ({"Cookie": "people_feed=abc"}, set()),
    }
    wrong, tried = [], 0
    for method, path, view in sorted(endpoints(app), key=lambda one: one[1] == "/api/logout"):
        takes = taken_by(view)
        for name, (headers, scopes) in people.items():
            # Unknown keys from one address are slowed: each comes from one of its own.
            address = {"REMOTE_ADDR": f"127.0.{tried % 200}.{tried // 200 + 1}"}
            tried += 1
            if path == "/api/logout" and "Cookie" in headers:
                continue  # it would end the login of the rest
            due = not takes.scopes or bool(takes.scopes & set(scopes))
            if path == "/api/me":
                due = bool(scopes)  # says itself that nobody is signed in
            allowed, answer = asked(client, method, path, headers=headers, environ_overrides=address)
            reason = "not_allowed" if scopes else "access_ended" if headers else "login_required"
            status = 403 if scopes else 401
            if allowed != due or (not allowed and path != "/api/setup" and answer != (status, reason)):
                wrong.append((name, method, path, answer))
    assert wrong == []
    assert tried > 700


def test_a_key_of_another_session_gets_nothing_of_this_one(make):
    app = make()
    cookie_of(app, "admin")
    client = app.test_client(use_cookies=False)
    with app.app_context(), db.engine.begin() as connection:
        other = connection.exec_driver_sql("insert into sessions (session_name) values ('x') returning id").scalar_one()
        connection.exec_driver_sql(f"insert into sessions (id, session_name) values ('{SOME_ID}', 'y')")
    for scope in ("read", "operate", "admin"):
        headers = headers_of(app, scope, [other])
        for method, path, view in endpoints(app):
            takes = taken_by(view)
            if not takes.scopes or takes.scopes.isdisjoint(INCLUDED[scope]):
                continue
            for query in ("", f"?session_id={SOME_ID}"):
                url = path.replace("<id>", SOME_ID).replace("<path>", "x")
                response = client.open(url + query, method=method, headers=headers)
                body = response.get_data() if response.status_code != 200 or takes.within == "rows" else b"given out"
                response.close()
                if takes.within != "rows":
                    assert response.status_code == 403, (scope, method, path, query, response.status_code)
                assert b'"y"' not in body, (scope, method, path, query)
    with app.app_context(), db.engine.connect() as connection:
        assert (
            connection.exec_driver_sql("select status from sessions where session_name = 'y'").scalar_one() == "active"
        )


@pytest.mark.parametrize(
    ("settings", "headers", "reason"),
    [
        ({}, {"Host": "evil.example"}, "host"),
        ({}, {"X-Forwarded-For": "10.0.0.1"}, "forwarded"),
        ({"host": "0.0.0.0"}, {}, "setup_required"),
    ],
)
def test_in_the_other_states_nobody_is_let_in_who_should_not(make, settings, headers, reason):
    app = make(**settings)
    client = app.test_client()
    for method, path, view in endpoints(app):
        if reason != "host" and (path in FILES or f"{method} {path}" in BEFORE_SETUP):
            continue
        if reason == "forwarded" and not taken_by(view).scopes:
            continue
        allowed, answer = asked(client, method, path, headers=headers)
        assert not allowed, (method, path)
        assert answer[1] == (None if reason == "host" else reason), (method, path, answer)


def test_pages_of_other_sites_change_nothing_in_the_name_of_an_admin(make):
    app = make()
    client = app.test_client(use_cookies=False)
    headers = cookie_of(app, "admin") | {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    for method, path, _ in endpoints(app):
        if method != "GET":
            assert asked(client, method, path, headers=headers) == (False, (403, None)), (method, path)


def test_open_and_local_let_everyone_in(make):
    for settings in ({}, {"host": "0.0.0.0", "access": "open"}):
        app = make(**settings)
        client = app.test_client()
        for method, path, _ in endpoints(app):
            if path != "/api/setup":
                assert asked(client, method, path)[0], (method, path)
