"""Bulk writing of movements and metrics."""

from __future__ import annotations

import json
import uuid

import pytest

from app.rest.ingest import MAX_ROWS

NOBODY = "00000000-0000-0000-0000-000000000000"


@pytest.fixture
def session_id(client):
    return client.post("/api/sessions", json={"session_name": "door"}).json["id"]


def movements(session_id, count, **fields):
    return [
        {"session_id": session_id, "person_id": number, "movement_direction": "in", **fields} for number in range(count)
    ]


def ndjson(client, rows, **headers):
    body = "".join(json.dumps(row) + "\n" for row in rows)
    return client.post("/api/movements", data=body, content_type="application/x-ndjson", headers=headers)


def total(client, name="movements"):
    return client.get(f"/api/{name}?count=true&limit=1").json["total"]


def test_an_array_is_written_as_a_whole(client, session_id):
    response = client.post("/api/movements", json=movements(session_id, 250))
    assert (response.status_code, response.json) == (201, {"inserted": 250, "repeated": 0})
    assert total(client) == 250


def test_lines_may_differ_in_their_fields(client, session_id):
    rows = movements(session_id, 3)
    rows[0] |= {"confidence_score": 0.5, "movement_time": "2026-01-31T12:00:00Z"}
    rows[1] |= {"id": str(uuid.uuid4()), "confidence_score": None}
    assert ndjson(client, rows).json == {"inserted": 3, "repeated": 0}
    found = {row["person_id"]: row for row in client.get("/api/movements").json["items"]}
    assert found[0]["movement_time"] == "2026-01-31T12:00:00+00:00"
    assert found[1]["id"] == rows[1]["id"]
    assert [found[person]["confidence_score"] for person in range(3)] == [0.5, None, None]


def test_metrics_go_in_the_same_way(client, session_id):
    rows = [{"session_id": session_id, "current_people_count": count} for count in range(5)]
    assert client.post("/api/metrics", json=rows).json == {"inserted": 5, "repeated": 0}
    assert client.get("/api/metrics").json["items"][0]["people_entered_last_minute"] == 0


def test_no_row_is_written_if_one_is_wrong_and_each_wrong_field_is_named_with_its_row(client, session_id):
    rows = movements(session_id, 300)
    rows[7]["person_id"] = "seven"
    rows[299] = {"movement_direction": "up", "colour": "red", "person_id": True, "session_id": "x"}
    for response in (client.post("/api/movements", json=rows), ndjson(client, rows)):
        assert response.status_code == 422
        named = {(error["row"], error["field"]) for error in response.json["errors"]}
        assert named == {
            (7, "person_id"),
            *((299, field) for field in ("movement_direction", "colour", "person_id", "session_id")),
        }
    assert total(client) == 0


def test_rows_of_unknown_sessions_are_named(client, session_id):
    rows = movements(session_id, 3)
    rows[1]["session_id"] = NOBODY
    response = client.post("/api/movements", json=rows)
    assert response.status_code == 409
    assert response.json["errors"] == [{"field": "session_id", "message": "does not exist", "row": 1}]
    assert total(client) == 0


@pytest.mark.parametrize("line", [b"{", b"7", b"", b"[]", b'{"a":1},{"b":2}'])
def test_a_malformed_line_is_named_by_its_number(client, session_id, line):
    good = json.dumps(movements(session_id, 1)[0]).encode()
    body = b"\n".join([good, line, good])
    response = client.post("/api/movements", data=body, content_type="application/x-ndjson")
    assert response.status_code == 422
    assert [(error["row"], error["field"]) for error in response.json["errors"]] == [(1, "body")]


def test_files_of_windows_and_blank_lines_at_the_end_are_fine(client, session_id):
    rows = [json.dumps(row) for row in movements(session_id, 2)]
    for body in ("\r\n".join(rows) + "\r\n\r\n", "\ufeff" + "\n".join(rows) + "\n\n\n"):
        response = client.post("/api/movements", data=body.encode(), content_type="application/x-ndjson")
        assert response.json == {"inserted": 2, "repeated": 0}
    array = f"\ufeff[{','.join(rows)}]".encode()
    assert client.post("/api/movements", data=array, content_type="application/json").json["inserted"] == 2


def test_the_same_ids_are_not_counted_twice(client, session_id):
    rows = [row | {"id": str(uuid.uuid4())} for row in movements(session_id, 10)]
    assert client.post("/api/movements", json=rows[:6]).json == {"inserted": 6, "repeated": 0}
    assert client.post("/api/movements", json=rows).json == {"inserted": 4, "repeated": 6}
    again = ndjson(client, rows + rows)
    assert (again.status_code, again.json) == (200, {"inserted": 0, "repeated": 20})
    assert total(client) == 10


def test_a_row_that_differs_from_the_one_with_its_id_is_named_and_nothing_is_lost_unnoticed(client, session_id):
    rows = [
        row | {"id": str(uuid.uuid4()), "movement_time": "2026-01-31T12:00:00+01:00", "centroid_x": 1}
        for row in movements(session_id, 250)
    ]
    assert client.post("/api/movements", json=rows[:200]).status_code == 201
    assert ndjson(client, rows[:200]).json == {"inserted": 0, "repeated": 200}
    other = [*rows[:150], rows[150] | {"centroid_x": 2}, *rows[151:], rows[249] | {"person_id": 7}]
    for response in (client.post("/api/movements", json=other), ndjson(client, other)):
        assert response.status_code == 409
        assert [(error["row"], error["field"]) for error in response.json["errors"]] == [(150, "id"), (250, "id")]
    assert total(client) == 200
    key = {"Idempotency-Key": "batch"}
    assert client.post("/api/movements", json=movements(session_id, 2), headers=key).status_code == 201
    assert client.post("/api/movements", json=movements(session_id, 3)[1:], headers=key).status_code == 409


def test_the_same_single_row_is_answered_again_and_another_one_is_a_conflict(client, session_id):
    row = movements(session_id, 1)[0] | {"id": str(uuid.uuid4()), "confidence_score": 0.3}
    first, second = (client.post("/api/movements", json=row) for _ in range(2))
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json == second.json
    other = client.post("/api/movements", json=row | {"confidence_score": 0.4})
    assert (other.status_code, other.json["errors"][0]["field"]) == (409, "id")


def test_an_idempotency_key_names_the_rows_of_a_request(client, session_id):
    rows = movements(session_id, 5)
    key = {"Idempotency-Key": "batch 1"}
    assert ndjson(client, rows, **key).json == {"inserted": 5, "repeated": 0}
    assert ndjson(client, rows, **key).json == {"inserted": 0, "repeated": 5}
    assert ndjson(client, rows, **{"Idempotency-Key": "batch 2"}).json == {"inserted": 5, "repeated": 0}
    assert total(client) == 10


def test_an_idempotency_key_works_for_every_resource(client):
    key = {"Idempotency-Key": "once"}
    first, second = (client.post("/api/sessions", json={"session_name": "x"}, headers=key) for _ in range(2))
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json == second.json
    assert client.post("/api/sessions", json={"session_name": "y"}, headers=key).status_code == 409
    refused = client.post("/api/sessions", json={"session_name": "y"}, headers={"Idempotency-Key": "x" * 256})
    assert refused.json["errors"][0]["field"] == "Idempotency-Key"


def test_too_many_rows_are_refused(client, session_id):
    response = ndjson(client, movements(session_id, MAX_ROWS + 1))
    assert (response.status_code, response.json["errors"][0]["field"]) == (422, "body")


@pytest.mark.parametrize("body", [b"[]", b""])
def test_no_rows_are_no_mistake(client, body):
    kind = "application/json" if body else "application/x-ndjson"
    response = client.post("/api/movements", data=body, content_type=kind)
    assert (response.status_code, response.json) == (200, {"inserted": 0, "repeated": 0})
