"""Pages of other sites, and names that are not ours: what they may not do through somebody's browser."""

from __future__ import annotations

import dataclasses

import pytest

from app import create_app
from app.config import Config

SESSION = {"session_name": "door"}


@pytest.fixture
def clients(database_url):
    """Clients of apps with these settings."""
    from app.postgres.tables import db

    made = []

    def client(**settings):
        app = create_app(dataclasses.replace(Config(), database_url=database_url, **settings))
        made.append(app)
        return app.test_client()

    yield client
    for app in made:
        with app.app_context():
            db.engine.dispose()


@pytest.mark.parametrize(
    "host",
    ["localhost", "127.0.0.1:8000", "[::1]:8000", "LOCALHOST:8000", "feed.localhost", "127.8.0.1"],
)
def test_a_feed_on_loopback_answers_to_the_names_of_its_machine(shared_client, host):
    assert shared_client.get("/api/sessions", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "localhost.evil.example", "10.0.0.1", "[::2]",
     "127.0.0.1evil", "[", "evil.example:x"],
)  # fmt: skip
@pytest.mark.parametrize(
    "path", ["/", "/api/sessions", "/api/sse/alerts", "/api/health", "/nowhere", "/api/openapi.json"]
)
def test_it_answers_to_no_other_name(shared_client, host, path):
    response = shared_client.get(path, headers={"Host": host})
    assert response.status_code in (400, 403)
    assert b"ALLOWED_HOSTS" in response.data or response.status_code == 400


def test_further_names_can_be_allowed(clients):
    client = clients(allowed_hosts=("feed.example", "10.0.0.5"))
    assert client.get("/api/health", headers={"Host": "Feed.Example:443"}).status_code == 200
    assert client.get("/api/health", headers={"Host": "10.0.0.5:8000"}).status_code == 200
    assert client.get("/api/health", headers={"Host": "other.example"}).status_code == 403


@pytest.mark.parametrize(("allowed", "status"), [((), 200), (("feed.example",), 403)])
def test_beyond_loopback_every_name_will_do_unless_some_are_named(clients, allowed, status):
    client = clients(host="0.0.0.0", allowed_hosts=allowed)
    assert client.get("/api/health", headers={"Host": "other.example"}).status_code == status


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({}, True),  # a program that is no browser
        ({"Sec-Fetch-Site": "same-origin", "Origin": "http://localhost"}, True),
        ({"Sec-Fetch-Site": "none"}, True),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}, False),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Sec-Fetch-Site": "same-site", "Origin": "http://localhost:3000"}, False),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "null"}, False),
        ({"Origin": "http://localhost"}, True),  # browsers that do not say Sec-Fetch-Site
        ({"Origin": "http://localhost:3000"}, False),
        ({"Origin": "https://evil.example"}, False),
        ({"Origin": "null"}, False),
        ({"Origin": ""}, False),
    ],
)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_only_our_pages_and_programs_may_change_something(shared_client, headers, allowed, method):
    made = shared_client.post("/api/sessions", json=SESSION).json["id"]
    path = "/api/sessions" if method == "POST" else f"/api/sessions/{made}"
    before = shared_client.get("/api/sessions").json["items"]
    response = shared_client.open(path, method=method, json=SESSION | {"fps": 30}, headers=headers)
    assert (response.status_code != 403) == allowed, response.json
    assert (shared_client.get("/api/sessions").json["items"] != before) == allowed
    # Reading changes nothing, and browsers withhold the answer.
    assert shared_client.get("/api/sessions", headers=headers).status_code == 200


def test_a_form_of_another_page_uploads_nothing(client):
    # What a form can send without asking first: text/plain that looks like JSON.
    response = client.post(
        "/api/sessions",
        data='{"session_name":"x"}',
        content_type="text/plain",
        headers={"Origin": "https://evil.example"},
    )
    assert response.status_code == 403
    assert client.get("/api/sessions").json["items"] == []


@pytest.mark.parametrize("origins", [("https://desk.example",), ("*",)])
def test_origins_that_are_named_may_change_something(clients, origins):
    client = clients(cors_origins=origins)
    headers = {"Sec-Fetch-Site": "cross-site", "Origin": "https://desk.example"}
    assert client.post("/api/sessions", json=SESSION, headers=headers).status_code == 201


@pytest.mark.parametrize("path", ["/", "/api/sessions", "/api/health", "/nowhere", "/api/sessions/x"])
def test_every_answer_says_what_browsers_may_not_do_with_it(shared_client, path):
    response = shared_client.get(path, buffered=False)
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["X-Frame-Options"] == "DENY"
    assert response.headers["Referrer-Policy"] == "same-origin"
    assert response.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    response.close()
