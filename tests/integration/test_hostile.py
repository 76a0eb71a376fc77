"""Whatever is sent, the answer is a row or a problem document, and never 500."""

from __future__ import annotations

import json

import pytest

VALUES = [
    *["\0", "\ud800", "x" * 100_000, "", "NaN", "2026-13-01T00:00:00Z", "0000-01-01T00:00:00Z"],
    *["9999-12-31T23:59:59-23:59", 10**400, -(10**30), 1e308, -1, 1.5, float("nan"), float("inf")],
    *[True, None, [], {}],
]
QUERY_VALUES = ["%00", "%ED%A0%80", "9" * 400, "-1", "nan", "[]", "x" * 8000, "%F0%9F%98%80"]
QUERY = ["limit", "after", "before", "order", "session_id", "direction", "from", "to", "fields", "count", "tz", "wait"]


@pytest.fixture
def session_id(client):
    return client.post("/api/sessions", json={"session_name": "door"}).json["id"]


def row(name, session_id):
    return {
        "sessions": {"session_name": "x"},
        "movements": {"session_id": session_id, "person_id": 1, "movement_direction": "in"},
        "metrics": {"session_id": session_id},
        "alerts": {"alert_type": "x"},
        "thresholds": {"threshold_name": "x", "threshold_value": 1},
    }[name]


def check(response, *statuses):
    assert response.status_code in statuses, response.get_data(as_text=True)[:500]
    if response.status_code >= 400:
        assert response.content_type == "application/problem+json"


@pytest.mark.parametrize(
    ("name", "schema"),
    [
        ("sessions", "NewSession"),
        ("movements", "NewMovement"),
        ("metrics", "NewMetric"),
        ("alerts", "NewAlert"),
        ("thresholds", "NewThreshold"),
    ],
)
def test_any_value_in_any_field_is_taken_or_named(client, session_id, name, schema):
    fields = client.get("/api/openapi.json").json["components"]["schemas"][schema]["properties"]
    for field in fields:
        for value in VALUES:
            body = json.dumps(row(name, session_id) | {field: value})
            check(client.post(f"/api/{name}", data=body, content_type="application/json"), 200, 201, 400, 409, 422)


@pytest.mark.parametrize("path", ["movements", "sessions", "analytics/flow", "changes", "stats"])
@pytest.mark.parametrize("name", QUERY)
def test_any_value_in_a_query_is_taken_or_named(shared_client, path, name):
    for value in QUERY_VALUES:
        check(shared_client.get(f"/api/{path}?{name}={value}"), 200, 400, 404)


@pytest.mark.parametrize("path", ["/api/sessions", "/api/movements"])
@pytest.mark.parametrize(
    "body",
    [b"[" * 200_000, b'{"a":' * 100_000, b"\xef\xbb\xbf{}", '{"session_name":"x"}'.encode("utf-16"), b'{"id":"\xff"}'],
    ids=["deep lists", "deep objects", "byte order mark", "UTF-16", "not UTF-8"],
)
def test_what_is_no_json_is_refused(shared_client, path, body):
    check(shared_client.post(path, data=body, content_type="application/json"), 400, 422)


def test_deep_lines_are_refused(client):
    body = b"[" * 100_000 + b"\n{}"
    check(client.post("/api/movements", data=body, content_type="application/x-ndjson"), 422)
