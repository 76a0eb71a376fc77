"""The change log in pages, from a real server."""

from __future__ import annotations

import json
import threading
import urllib.request

import pytest

from tests.waiting import until


def get(server, path):
    with urllib.request.urlopen(server.url + path, timeout=30) as response:
        assert response.headers["Last-Event-ID"]
        return json.load(response)


def post(server, path, **fields):
    request = urllib.request.Request(
        server.url + path, json.dumps(fields).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.load(response)


def test_pages_hold_every_change_once_and_a_waiting_client_gets_the_next_one(gunicorn):
    server = gunicorn()
    start = get(server, "/api/changes")
    assert (start["items"], start["reset"]) == ([], False)
    session = post(server, "/api/sessions", session_name="door")
    rows = [post(server, "/api/metrics", session_id=session["id"], current_people_count=n) for n in range(3)]
    page = get(server, f"/api/changes?after={start['cursor']}")
    assert [item["data"]["data"] for item in page["items"]] == [session, *rows]
    assert get(server, f"/api/changes?after={page['cursor']}")["items"] == []
    other_topic = get(server, f"/api/changes?after={start['cursor']}&topics=alerts&wait=0.01")
    assert other_topic == {"items": [], "cursor": page["cursor"], "reset": False}

    answers = []
    waiting = threading.Thread(
        target=lambda: answers.append(get(server, f"/api/changes?after={page['cursor']}&topics=alerts&wait=25"))
    )
    waiting.start()
    until(lambda: streams(server) == 1, what="the waiting client")
    post(server, "/api/metrics", session_id=session["id"])
    alert = post(server, "/api/alerts", alert_type="count")
    waiting.join()
    assert [item["data"]["data"] for item in answers[0]["items"]] == [alert]
    assert until(lambda: streams(server) == 0, what="the place given back")


def test_a_page_leaves_out_what_a_snapshot_saw_beyond_its_cursor(gunicorn):
    server = gunicorn()
    rows = [post(server, "/api/sessions", session_name=f"door {number}") for number in range(5)]
    get(server, "/api/sessions")
    answer = get(server, "/api/changes?after=1,3")
    assert [item["data"]["data"] for item in answer["items"]] == [rows[1], rows[3], rows[4]]
    assert answer["cursor"] == "5"
    nothing = get(server, "/api/changes?after=1,3&topics=alerts")
    assert (nothing["items"], nothing["cursor"]) == ([], "5")


@pytest.mark.parametrize("cursor", ["4711", "nonsense", "-5", "9" * 30, "4711,4713"])
def test_a_cursor_that_means_nothing_here_gets_reset(gunicorn, cursor):
    server = gunicorn()
    answer = get(server, f"/api/changes?after={cursor}&wait=25")
    assert answer["reset"]
    assert get(server, f"/api/changes?after={answer['cursor']}") == {
        "items": [],
        "cursor": answer["cursor"],
        "reset": False,
    }


def streams(server):
    with urllib.request.urlopen(server.url + "/api/system", timeout=30) as response:
        return json.load(response)["streams"]
