"""Alerts that raise themselves."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from app.feed.counts import Counts
from app.postgres.connections import connect
from app.postgres.tables import db


@pytest.fixture(autouse=True)
def context(app):
    with app.app_context():
        yield


@pytest.fixture
def session_id(client):
    return client.post("/api/sessions", json={"session_name": "door"}).json["id"]


@pytest.fixture
def writer(database_url):
    with closing(connect(database_url, application_name="writer")) as connection:
        yield connection.cursor()


@pytest.fixture
def keep(database_url):
    """Let the bookkeeper do its work once."""

    def work():
        keeper = Counts(lambda: connect(database_url, application_name="keeper"), silence_seconds=3600)
        with closing(connect(database_url, application_name="keeper")) as connection:
            keeper.update(connection)

    return work


def threshold(client, **fields):
    response = client.post("/api/thresholds", json={"threshold_name": "crowd", "threshold_value": 10} | fields)
    assert response.status_code == 201, response.json
    return response.json


def count(client, session_id, *values, field="current_people_count"):
    for value in values:
        assert client.post("/api/metrics", json={"session_id": session_id, field: value}).status_code == 201


def alerts(client):
    """Values and states, once what was committed has been evaluated, as a worker does within moments."""
    with db.engine.begin() as connection:
        connection.execute(text("select number_changes(); select evaluate_alerts()"))
    rows = client.get("/api/alerts?order=triggered_at").json["items"]
    return [(row["current_value"], row["is_resolved"]) for row in rows]


def test_an_alert_opens_once_follows_the_value_and_resolves_itself_below_the_margin(client, session_id):
    limit = threshold(client, resolve_margin=2, alert_message="Too many")
    count(client, session_id, 9)
    assert alerts(client) == []
    count(client, session_id, 10, 15, 12)
    assert alerts(client) == [(12, False)]
    count(client, session_id, 9, 8)
    assert alerts(client) == [(8, False)]
    count(client, session_id, 7)
    assert alerts(client) == [(7, True)]
    [alert] = client.get("/api/alerts").json["items"]
    assert alert["resolved_at"] >= alert["triggered_at"]
    assert (alert["alert_message"], alert["threshold_value"]) == ("Too many", 10)
    assert (alert["threshold_id"], alert["session_id"]) == (limit["id"], session_id)
    count(client, session_id, 11)
    assert alerts(client) == [(7, True), (11, False)]


def test_resolving_by_hand_is_respected_until_the_value_has_fallen(client, session_id):
    threshold(client)
    count(client, session_id, 12)
    assert alerts(client) == [(12, False)]
    [alert] = client.get("/api/alerts").json["items"]
    resolved = client.post(f"/api/alerts/{alert['id']}/resolve").json
    assert (resolved["is_resolved"], resolved["resolved_at"] is None) == (True, False)
    assert client.post(f"/api/alerts/{alert['id']}/resolve").json == resolved
    count(client, session_id, 13, 14)
    assert alerts(client) == [(12, True)]
    count(client, session_id, 1, 12)
    assert alerts(client) == [(12, True), (12, False)]


def test_a_peak_within_a_batch_is_seen(client, session_id):
    threshold(client)
    rows = [
        {
            "session_id": session_id,
            "current_people_count": n,
            "timestamp": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S}.{i}Z",
        }
        for i, n in enumerate([1, 30, 2])
    ]
    client.post("/api/metrics", json=rows)
    assert alerts(client) == [(2, True)]


@pytest.mark.parametrize(
    ("alert_type", "field"),
    [
        ("entered_per_minute", "people_entered_last_minute"),
        ("exited_per_minute", "people_exited_last_minute"),
        ("processing_latency_ms", "processing_latency_ms"),
    ],
)
def test_every_kind_looks_at_its_own_number(client, session_id, alert_type, field):
    threshold(client, alert_type=alert_type)
    count(client, session_id, 99)
    assert alerts(client) == []
    count(client, session_id, 99, field=field)
    assert alerts(client) == [(99, False)]


def test_thresholds_of_other_sessions_and_inactive_ones_are_quiet(client, session_id):
    other = client.post("/api/sessions", json={"session_name": "other"}).json["id"]
    threshold(client, session_id=other)
    inactive = threshold(client, is_active=False)
    count(client, session_id, 99)
    assert alerts(client) == []
    client.patch(f"/api/thresholds/{inactive['id']}", json={"is_active": True})
    count(client, session_id, 98)
    assert alerts(client) == [(98, False)]


def test_a_value_that_no_integer_holds_does_not_fail_the_writer(client, session_id):
    threshold(client, alert_type="processing_latency_ms")
    count(client, session_id, 1e300, field="processing_latency_ms")
    assert alerts(client) == [(2**31 - 1, False)]


def test_a_role_that_may_only_write_metrics_raises_alerts_too(client, session_id, admin_url):
    threshold(client)
    with closing(connect(admin_url, application_name="camera")) as connection, connection.cursor() as camera:
        camera.execute("begin; create role camera_of_alerts; grant insert on realtime_metrics to camera_of_alerts")
        camera.execute("set local role camera_of_alerts")
        camera.execute("insert into realtime_metrics (session_id, current_people_count) values (%s, 50)", [session_id])
        camera.execute("reset role; drop owned by camera_of_alerts; drop role camera_of_alerts; commit")
    assert alerts(client) == [(50, False)]


def test_a_silent_session_raises_an_alert_until_it_reports_again(client, session_id, writer, keep):
    threshold(client, alert_type="no_signal_seconds", threshold_value=60)
    count(client, session_id, 1)
    keep()
    assert alerts(client) == []
    writer.execute("update session_reports set reported_at = reported_at - interval '90 seconds'")
    keep()
    assert [is_resolved for _, is_resolved in alerts(client)] == [False]
    count(client, session_id, 1)
    keep()
    assert [is_resolved for _, is_resolved in alerts(client)] == [True]


def test_alerts_end_with_their_session(client, session_id, keep):
    threshold(client)
    count(client, session_id, 20)
    assert alerts(client) == [(20, False)]
    client.post(f"/api/sessions/{session_id}/stop")
    keep()
    assert alerts(client) == [(20, True)]


def test_alerts_end_with_what_their_threshold_watches(client, session_id):
    other = client.post("/api/sessions", json={"session_name": "other"}).json["id"]
    for change in ({"is_active": False}, {"session_id": other}, {"alert_type": "exited_per_minute"}, None):
        path = f"/api/thresholds/{threshold(client)['id']}"
        count(client, session_id, 12)
        assert alerts(client)[-1] == (12, False)
        response = client.delete(path) if change is None else client.patch(path, json=change)
        assert response.status_code in (200, 204)
        assert alerts(client)[-1] == (12, True), change
    assert client.delete(f"/api/sessions/{session_id}").status_code == 204
