"""Acting on many: one request, by the database's clock; it says what it did, and can be undone."""

from __future__ import annotations

from contextlib import closing

import pytest

from app.postgres.connections import connect


@pytest.fixture(autouse=True)
def context(app):
    with app.app_context():
        yield


@pytest.fixture
def sql(database_url):
    with closing(connect(database_url, application_name="test")) as connection:
        yield connection.cursor()


def door(client):
    return client.post("/api/sessions", json={"session_name": "door"}).json["id"]


def alert(client, **fields):
    return client.post("/api/alerts", json={"alert_type": "count"} | fields).json["id"]


def is_open(client):
    return {row["id"] for row in client.get("/api/alerts?resolved=false").json["items"]}


def status(client, *ids):
    return [client.get(f"/api/sessions/{one}").json["status"] for one in ids]


def test_many_alerts_are_resolved_at_once_and_opened_again(client, sql):
    earlier, *ids = [alert(client) for _ in range(4)]
    client.post(f"/api/alerts/{earlier}/resolve")
    done = client.post("/api/alerts/resolve", json={"ids": [earlier, *ids]}).json
    assert done["resolved"] == 3
    sql.execute("select count(*) from alert_logs where resolved_at = %s", (done["resolved_at"],))
    assert sql.fetchone() == (3,)
    assert client.post("/api/alerts/resolve", json={"ids": ids}).json["resolved"] == 0
    assert client.post("/api/alerts/reopen", json={"resolved_at": done["resolved_at"]}).json == {"reopened": 3}
    assert is_open(client) == set(ids)
    assert client.post("/api/alerts/reopen", json={"resolved_at": done["resolved_at"]}).json == {"reopened": 0}


def test_all_open_alerts_are_resolved_by_one_request(client, sql):
    here, there = door(client), door(client)
    for session_id in (here, there, None):
        sql.execute(
            "insert into alert_logs (session_id, alert_type) select %s, 'count' from generate_series(1, 900)",
            (session_id,),
        )
    assert client.get("/api/stats").json["now"]["open_alerts"] == 2700
    assert client.post("/api/alerts/resolve", json={"all": True, "session_id": here}).json["resolved"] == 900
    done = client.post("/api/alerts/resolve", json={"all": True}).json
    assert done["resolved"] == 1800
    assert client.get("/api/stats").json["now"]["open_alerts"] == 0
    assert client.post("/api/alerts/reopen", json={"resolved_at": done["resolved_at"]}).json == {"reopened": 1800}
    assert client.get("/api/stats").json["now"]["open_alerts"] == 1800


@pytest.mark.parametrize("is_over", [False, True])
def test_an_alert_whose_condition_is_over_stays_resolved(client, sql, is_over):
    session_id = door(client)
    client.post("/api/thresholds", json={"threshold_name": "crowd", "threshold_value": 5})
    client.post("/api/metrics", json={"session_id": session_id, "current_people_count": 9})
    sql.execute("select number_changes(); select evaluate_alerts()")
    done = client.post("/api/alerts/resolve", json={"all": True}).json
    assert done["resolved"] == 1
    if is_over:
        for people in (0, 7):
            client.post("/api/metrics", json={"session_id": session_id, "current_people_count": people})
        sql.execute("select number_changes(); select evaluate_alerts()")
    answer = client.post("/api/alerts/reopen", json={"resolved_at": done["resolved_at"]}).json
    assert answer == {"reopened": 0 if is_over else 1}
    assert len(is_open(client)) == 1  # the alert of 7, or the one of 9


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"all": False},
        {"all": None},
        {"all": True, "session_id": None},
        {"ids": None},
        {"ids": [], "all": True},
        {"ids": [], "session_id": "00000000-0000-4000-8000-000000000001"},
    ],
)
def test_resolving_takes_ids_or_all(client, body):
    before = alert(client)
    response = client.post("/api/alerts/resolve", json=body)
    assert response.status_code == 422, response.json
    assert response.json["errors"]
    assert is_open(client) == {before}
    assert client.post("/api/alerts/resolve", json={"ids": ["x"]}).json["errors"][0]["field"] == "ids.0"


def test_many_sessions_are_stopped_resumed_and_deleted(client, sql):
    ended, *ids = [door(client) for _ in range(4)]
    client.post(f"/api/sessions/{ended}/stop")
    done = client.post("/api/sessions/stop", json={"ids": [ended, *ids]}).json
    assert done["stopped"] == 3
    assert status(client, *ids) == ["completed"] * 3
    # Whoever changed one meanwhile is not overruled.
    client.patch(f"/api/sessions/{ids[0]}", json={"session_name": "another"})
    assert client.post("/api/sessions/resume", json={"stopped_at": done["stopped_at"]}).json == {"resumed": 2}
    assert status(client, ended, *ids) == ["completed", "completed", "active", "active"]
    row = client.get(f"/api/sessions/{ids[1]}").json
    assert (row["end_time"], row["duration_seconds"]) == (None, None)
    assert client.post("/api/sessions/delete", json={"ids": ids}).json == {"deleted": 3}
    assert client.post("/api/sessions/delete", json={"ids": ids}).json == {"deleted": 0}
    assert client.get("/api/sessions?count=true").json["total"] == 1
