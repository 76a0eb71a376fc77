"""Rows of the log that cannot be read, and programs that notify on our channels: nobody else is stopped by them."""

from __future__ import annotations

import json
import urllib.request

import pytest

from app.postgres.connections import connect
from tests.event_stream import open_stream, wait_until_ready
from tests.making import payload
from tests.waiting import until

NESTED = '{"a":' * 300 + "1" + "}" * 300


@pytest.fixture
def server(gunicorn):
    server = gunicorn(HEARTBEAT_SECONDS=0.5, LISTENER_CHECK_SECONDS=0.5)
    wait_until_ready(server)
    return server


@pytest.fixture
def sql(database_url):
    connection = connect(database_url, application_name="test")
    yield connection.cursor()
    connection.close()


def poison(sql, text, table="sessions"):
    """Put a row into the log that a writer should not be able to write; returns its id."""
    sql.execute(
        "insert into change_log select coalesce(max(id), 0) + 1, %s, 'INSERT', null, null, %s, now() from change_log"
        " returning id",
        (table, text),
    )
    return sql.fetchone()[0]


def new_session(sql, name):
    sql.execute("insert into sessions (session_name) values (%s)", (name,))


def system(server):
    with urllib.request.urlopen(f"{server.url}/api/system", timeout=30) as response:
        return json.load(response)


@pytest.mark.parametrize("text", ["", "null", "not json", NESTED, payload(1), payload(9, table="pg_class"), "{}"])
def test_a_row_that_cannot_be_read_resets_its_topic_and_stops_nobody(server, sql, text):
    with open_stream(server.url, "/api/sse/sessions") as stream, open_stream(server.url, "/api/sse/alerts") as other:
        new_session(sql, "before")
        [before] = stream.changes(1)
        bad = poison(sql, text)
        new_session(sql, "after")
        sql.execute("insert into alert_logs (alert_type) values ('x')")
        reset = stream.next_of("connection")["data"]
        assert (reset["status"], reset["topics"]) == ("reset", ["sessions"])
        assert stream.changes(1)[0]["data"]["session_name"] == "after"
        assert other.changes(1)[0]["data"]["alert_type"] == "x"  # and no reset before it
    # Who resumes before it is told the same, and goes on.
    with open_stream(server.url, "/api/sse/sessions", before["id"]) as resumed:
        assert resumed.place["status"] == "resumed"
        assert resumed.next_of("connection")["data"] == {"topics": ["sessions"], "cursor": str(bad), "status": "reset"}
        assert resumed.changes(1)[0]["data"]["session_name"] == "after"
    assert system(server)["unreadable"] == 1
    assert server.log.count("cannot be read") == 1
    assert system(server)["listener"]["state"] == "live"


def test_the_long_poll_gets_past_a_row_that_cannot_be_read(server, sql):
    poison(sql, "not json")
    new_session(sql, "after")
    until(lambda: system(server)["listener"]["cursor"] == "2")
    with urllib.request.urlopen(f"{server.url}/api/changes?after=0&topics=sessions", timeout=30) as response:
        first, second = json.load(response)["items"]
    assert (first["data"]["status"], second["data"]["data"]["session_name"]) == ("reset", "after")


def test_garbage_on_the_channels_is_ignored(server, sql):
    with open_stream(server.url, "/api/sse/sessions") as stream:
        for text in ("", "not json", NESTED, "{}", '{"id": 1}', '{"id": "x", "data": 1}', "\u0007"):
            sql.execute("select pg_notify('session_changes', %s)", (text,))
        new_session(sql, "real")
        assert stream.changes(1)[0]["data"]["session_name"] == "real"


def test_a_forged_change_with_the_very_next_id_reaches_nobody(server, sql):
    with open_stream(server.url, "/api/sse/sessions") as stream:
        for text in (payload(1, data={"id": "forged"}), payload(1) + "\n\n" + payload(2)):
            sql.execute("select pg_notify('session_changes', %s)", (text,))
        new_session(sql, "real")
        [change] = stream.changes(1)
        assert (change["id"], change["data"]["session_name"]) == (1, "real")


def test_text_of_several_lines_stays_in_its_frame(server, sql, admin_url):
    sql.execute("""alter table sessions add column settings json""")
    sql.execute("""insert into sessions (session_name, settings) values ('a', '{"x":\n\n1,\r"y": "\\n"}')""")
    with open_stream(server.url, "/api/sse/sessions", 0) as stream:
        [change] = stream.changes(1)
        assert change["data"]["settings"] == {"x": 1, "y": "\n"}


def test_counts_and_alerts_get_past_a_row_that_cannot_be_read(sql):
    new_session(sql, "door")
    sql.execute("select id from sessions")
    [(door,)] = sql.fetchall()
    sql.execute("insert into alert_thresholds (threshold_name, threshold_value) values ('full', 5)")
    bad = payload(0, table="people_movements", data={"session_id": door, "movement_time": "never"})
    for text, table in ((bad, "people_movements"), ("not json", "realtime_metrics"), (NESTED, "realtime_metrics")):
        poison(sql, text, table)
        sql.execute(
            "insert into people_movements (session_id, person_id, movement_direction) values (%s, 1, 'in')", [door]
        )
        sql.execute("insert into realtime_metrics (session_id, current_people_count) values (%s, 9)", [door])
    sql.execute("select number_changes(); select fold_movements()")
    for _ in range(20):
        sql.execute("select evaluate_alerts()")
    sql.execute("select entered from movement_counts")
    assert sql.fetchall() == [(3,)]
    sql.execute("select current_value from alert_logs")
    assert sql.fetchall() == [(9,)]
    assert len(sql.connection.notices) >= 2
    assert "cannot be read" in sql.connection.notices[0]
