"""Reading well: chosen columns, tags, compression, exports."""

from __future__ import annotations

import csv
import gzip
import io
import json

import pytest


@pytest.fixture
def session(client):
    return client.post("/api/sessions", json={"session_name": 'door "A", left'}).json


@pytest.fixture
def movements(client, session):
    """More than two pages of an export, many of them at the same time."""
    rows = [
        {
            "session_id": session["id"],
            "person_id": number,
            "movement_direction": "in" if number % 3 else "out",
            "movement_time": f"2026-01-31T12:{number // 100:02}:00Z",
        }
        for number in range(2100)
    ]
    assert client.post("/api/movements", json=rows).json["inserted"] == len(rows)
    return rows


def test_fields_chooses_columns(client, session):
    page = client.get("/api/sessions?fields=session_name,id").json
    assert page["items"] == [{"session_name": session["session_name"], "id": session["id"]}]
    refused = client.get("/api/sessions?fields=id,password")
    assert (refused.status_code, refused.json["errors"][0]["field"]) == (400, "fields")


def test_an_unchanged_list_is_304(client, session):
    tag = client.get("/api/sessions").headers["ETag"]
    assert client.get("/api/sessions", headers={"If-None-Match": tag}).status_code == 304
    client.patch(f"/api/sessions/{session['id']}", json={"fps": 1})
    assert client.get("/api/sessions", headers={"If-None-Match": tag}).status_code == 200


def test_of_two_that_change_the_same_version_one_gets_412(client, session):
    path = f"/api/sessions/{session['id']}"
    version = {"If-Match": client.get(path).headers["ETag"]}
    first = client.patch(path, json={"fps": 1}, headers=version)
    assert first.status_code == 200
    for refused in (
        client.patch(path, json={"fps": 2}, headers=version),
        client.patch(path, json={}, headers=version),
        client.put(path, json={"session_name": "x"}, headers=version),
        client.delete(path, headers=version),
    ):
        assert (refused.status_code, refused.content_type) == (412, "application/problem+json")
    assert client.get(path).json == first.json
    assert client.delete(path, headers={"If-Match": first.headers["ETag"]}).status_code == 204
    assert client.delete(path, headers={"If-Match": "*"}).status_code == 404


def test_if_match_takes_a_star_lists_and_tags_that_compression_made_weak(client):
    path = client.post("/api/sessions", json={"session_name": "x" * 4000, "output_path": "y" * 4000}).headers[
        "Location"
    ]
    packed = client.get(path, headers={"Accept-Encoding": "gzip"})
    assert packed.headers["ETag"].startswith("W/")
    for accepted in ("*", packed.headers["ETag"], f'"other", {packed.headers["ETag"].removeprefix("W/")}'):
        assert client.patch(path, json={}, headers={"If-Match": accepted}).status_code == 200
    for refused in ('"other"', 'W/"other"'):
        assert client.patch(path, json={}, headers={"If-Match": refused}).status_code == 412


def test_large_answers_are_compressed_for_those_who_ask(client, movements):
    plain = client.get("/api/movements")
    packed = client.get("/api/movements", headers={"Accept-Encoding": "gzip"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert "Content-Encoding" not in plain.headers
    assert "Accept-Encoding" in plain.headers["Vary"]
    assert gzip.decompress(packed.data) == plain.data
    tag = {"If-None-Match": packed.headers["ETag"], "Accept-Encoding": "gzip"}
    assert client.get("/api/movements", headers=tag).status_code == 304
    assert "Content-Encoding" not in client.get("/api/sessions", headers={"Accept-Encoding": "gzip"}).headers


def test_an_export_holds_every_row_once_oldest_first(client, movements):
    response = client.get("/api/movements/export")
    assert response.mimetype == "application/x-ndjson"
    rows = [json.loads(line) for line in response.text.splitlines()]
    assert sorted(row["person_id"] for row in rows) == list(range(2100))
    times = [row["movement_time"] for row in rows]
    assert times == sorted(times)
    assert client.get(f"/api/movements/{rows[7]['id']}").json == rows[7]


def test_an_export_filters_as_the_list_does(client, movements):
    lines = client.get("/api/movements/export?direction=out&from=2026-01-31T12:20:00Z").text.splitlines()
    wanted = [row["person_id"] for row in movements[2000:] if row["movement_direction"] == "out"]
    assert sorted(json.loads(line)["person_id"] for line in lines) == wanted
    assert client.get("/api/movements/export?limit=1").status_code == 400


def test_csv_says_what_json_says(client, session):
    response = client.get("/api/sessions/export?format=csv")
    assert response.mimetype == "text/csv"
    assert 'filename="sessions.csv"' in response.headers["Content-Disposition"]
    [row] = csv.DictReader(io.StringIO(response.text))
    assert row == {name: "" if value is None else str(value) for name, value in session.items()}


def test_csv_holds_no_formulas(client):
    client.post("/api/sessions", json={"session_name": "=1+1", "input_source": "a=b", "output_path": "-cmd"})
    [row] = csv.DictReader(io.StringIO(client.get("/api/sessions/export?format=csv").text))
    assert (row["session_name"], row["input_source"], row["output_path"]) == ("'=1+1", "a=b", "'-cmd")


def test_an_empty_export_is_empty(client):
    assert client.get("/api/alerts/export").text == ""
    assert len(client.get("/api/alerts/export?format=csv").text.splitlines()) == 1
