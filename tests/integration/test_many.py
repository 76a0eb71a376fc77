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


def test_alerts_are_taken_in_hand_and_given_back(client, sql):
    earlier, *ids = [alert(client) for _ in range(3)]
    done = client.post("/api/alerts/acknowledge", json={"ids": [earlier], "note": "the lift's service comes"}).json
    row = client.get(f"/api/alerts/{earlier}").json
    assert (done["acknowledged"], row["acknowledged_at"]) == (1, done["acknowledged_at"])
    assert (row["note"], row["acknowledged_by"], row["is_resolved"]) == ("the lift's service comes", None, False)
    # Who has it in hand is not changed by somebody who takes them all.
    rest = client.post("/api/alerts/acknowledge", json={"all": True, "note": "mine"}).json
    assert rest["acknowledged"] == 2
    assert client.get(f"/api/alerts/{earlier}").json == row
    answer = client.post("/api/alerts/unacknowledge", json={"acknowledged_at": rest["acknowledged_at"]}).json
    assert answer == {"unacknowledged": 2}
    for one in ids:
        assert client.get(f"/api/alerts/{one}").json["acknowledged_at"] is None
        assert client.get(f"/api/alerts/{one}").json["note"] is None
    assert client.patch(f"/api/alerts/{earlier}", json={"note": "they were here"}).json["note"] == "they were here"
    # What the database sets cannot be sent.
    sent = {"acknowledged_by": "somebody else", "acknowledged_at": None, "muted_until": "9999-01-01T00:00:00Z"}
    changed = client.patch(f"/api/alerts/{earlier}", json=sent).json
    assert (changed["acknowledged_at"], changed["acknowledged_by"]) == (row["acknowledged_at"], None)
    assert changed["muted_until"] is None
    client.post(f"/api/alerts/{ids[0]}/resolve")
    assert client.post("/api/alerts/acknowledge", json={"ids": ids}).json["acknowledged"] == 1


def test_a_kind_of_alert_is_muted_with_those_that_open_meanwhile(client, sql):
    here, there = door(client), door(client)

    def raised(session_id, kind="crowd"):
        body = {"session_id": session_id, "alert_type": kind}
        return client.post("/api/alerts", json=body).json

    old, same, other, elsewhere, of_all = (
        raised(here)["id"], raised(here)["id"], raised(here, "fps")["id"], raised(there)["id"], raised(None)["id"]
    )  # fmt: skip
    client.post(f"/api/alerts/{old}/resolve")

    def muted():
        items = client.get("/api/alerts").json["items"]
        return {row["id"] for row in items if row["muted_until"]}

    assert client.post("/api/alerts/mute", json={"ids": [same], "minutes": 30.0}).json["muted"] == 1
    assert muted() == {same}
    sql.execute(
        "select muted_until - now() between '29 minutes' and '30 minutes' from alert_logs where id = %s", [same]
    )
    assert sql.fetchone() == (True,)
    client.post(f"/api/alerts/{same}/resolve")
    born = raised(here)
    assert born["muted_until"] == client.get(f"/api/alerts/{same}").json["muted_until"]
    assert raised(here, "fps")["muted_until"] is None
    assert raised(there)["muted_until"] is None
    assert raised(None)["muted_until"] is None
    assert client.post("/api/alerts/unmute", json={"ids": [born["id"]]}).json == {"unmuted": 2}
    assert muted() == set()
    assert raised(here)["muted_until"] is None
    # Of all sessions together: its kind is that of no session.
    assert client.post("/api/alerts/mute", json={"ids": [of_all], "minutes": 1}).json["muted"] == 2
    assert muted().isdisjoint({other, elsewhere})
    assert raised(None)["muted_until"] is not None
    # What is over is over.
    sql.execute("update alert_logs set muted_until = now() - interval '1 second' where muted_until is not null")
    assert raised(None)["muted_until"] is None


@pytest.mark.parametrize(
    "body", [{"all": True}, {"all": True, "minutes": 0}, {"ids": [], "minutes": 10_081}, {"minutes": 5}]
)
def test_muting_takes_alerts_and_a_time(client, body):
    alert(client)
    response = client.post("/api/alerts/mute", json=body)
    assert response.status_code == 422, response.json
    assert client.get("/api/alerts").json["items"][0]["muted_until"] is None
