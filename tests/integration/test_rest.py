"""REST over the five tables, on a real database."""

from __future__ import annotations

import json
import re
import threading
import uuid
from contextlib import closing
from urllib.parse import quote
from zoneinfo import available_timezones

import psycopg2
import pytest

from app import create_app
from app.access.scope import SCOPES
from app.config import Config
from app.postgres.connections import connect
from app.rest.document import version
from app.rest.takes import taken_by
from tests.waiting import until

NOBODY = "00000000-0000-0000-0000-000000000000"


@pytest.fixture
def session(client):
    return created(client, "sessions", session_name="door")


@pytest.fixture
def writer(database_url):
    """A program that is not ours: plain SQL in autocommit."""
    connection = connect(database_url, application_name="writer")
    yield connection.cursor()
    connection.close()


def created(client, name, **fields):
    response = client.post(f"/api/{name}", json=fields)
    assert response.status_code == 201, response.json
    assert response.headers["Location"] == f"/api/{name}/{response.json['id']}"
    return response.json


def one_of_each(client):
    """The path of one row of every resource."""
    session = created(client, "sessions", session_name="door")["id"]
    threshold = created(client, "thresholds", threshold_name="crowd", threshold_value=5, session_id=session)["id"]
    movement = created(client, "movements", session_id=session, person_id=1, movement_direction="in")["id"]
    metric = created(client, "metrics", session_id=session)["id"]
    alert = created(client, "alerts", alert_type="count", session_id=session, threshold_id=threshold)["id"]
    return [
        f"/api/{name}/{row_id}"
        for name, row_id in (
            ("thresholds", threshold),
            ("movements", movement),
            ("metrics", metric),
            ("alerts", alert),
            ("sessions", session),
        )
    ]


def wrong_fields(response):
    assert response.content_type == "application/problem+json"
    document = response.json
    assert document["status"] == response.status_code
    assert document["detail"]
    return sorted(error["field"] for error in document.get("errors", []))


def ids(response):
    assert response.status_code == 200, response.json
    return [row["id"] for row in response.json["items"]]


def test_every_resource_can_be_created_read_listed_replaced_and_deleted(client):
    for path in one_of_each(client):
        row = client.get(path).json
        assert client.get(path.rpartition("/")[0]).json["items"] == [row]
        replaced = client.put(path, json=row)
        assert replaced.status_code == 200, replaced.json
        assert replaced.json == row
        assert client.delete(path).status_code == 204
        assert client.get(path).status_code == 404


def test_a_row_looks_the_same_in_rest_and_in_the_change_log(client, writer):
    for path in one_of_each(client):
        if "thresholds" in path:
            continue  # not watched
        writer.execute("select number_changes()")
        writer.execute("select payload from change_log where payload like %s", [f"%{path.rpartition('/')[2]}%"])
        logged = [json.loads(payload)["data"] for (payload,) in writer.fetchall()]
        assert client.get(path).json in logged


def test_left_out_fields_get_the_defaults_of_the_table(client, session):
    assert (session["status"], session["confidence_threshold"], session["skip_frames"]) == ("active", 0.3, 3)
    metric = created(client, "metrics", session_id=session["id"])
    assert (metric["detection_status"], metric["current_people_count"]) == ("waiting", 0)


def test_a_merge_changes_what_it_names_and_null_empties(client, session):
    path = f"/api/sessions/{session['id']}"
    merged = client.patch(path, json={"fps": 25, "skip_frames": None}, content_type="application/merge-patch+json")
    assert merged.json == session | {"fps": 25, "skip_frames": None, "updated_at": merged.json["updated_at"]}
    assert merged.json["updated_at"] > session["updated_at"]


def test_an_empty_merge_changes_nothing(client, session):
    assert client.patch(f"/api/sessions/{session['id']}", json={}).json == session


def test_replacing_puts_what_is_left_out_back_to_its_default(client, session):
    path = f"/api/sessions/{session['id']}"
    client.patch(path, json={"fps": 25, "status": "error", "skip_frames": None})
    replaced = client.put(path, json={"session_name": "gate"}).json
    assert replaced == session | {"session_name": "gate", "updated_at": replaced["updated_at"]}


def test_an_id_cannot_be_changed(client, session):
    path = f"/api/sessions/{session['id']}"
    assert wrong_fields(client.patch(path, json={"id": NOBODY})) == ["id"]
    assert wrong_fields(client.put(path, json={"id": NOBODY, "session_name": "x"})) == ["id"]


def test_unknown_ids_are_404_for_every_method(client):
    for name, body in (("sessions", {"session_name": "x"}), ("alerts", {"alert_type": "x"})):
        path = f"/api/{name}/{NOBODY}"
        for response in (
            client.get(path),
            client.put(path, json=body),
            client.patch(path, json={}),
            client.delete(path),
        ):
            assert response.status_code == 404
            assert NOBODY in response.json["detail"]


def test_a_taken_id_and_an_unknown_session_are_conflicts_that_name_the_field(client, session):
    again = client.post("/api/sessions", json={"session_name": "x", "id": session["id"]})
    assert (again.status_code, wrong_fields(again)) == (409, ["id"])
    movement = {"session_id": NOBODY, "person_id": 1, "movement_direction": "in"}
    orphan = client.post("/api/movements", json=movement)
    assert (orphan.status_code, wrong_fields(orphan)) == (409, ["session_id"])


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({}, ["session_name"]),
        ({"session_name": "a\0b"}, ["session_name"]),
        (
            {"session_name": 7, "fps": False, "total_frames": "3", "extra": 1},
            ["extra", "fps", "session_name", "total_frames"],
        ),
        ({"session_name": "x", "total_frames": 2**31, "skip_frames": -1}, ["skip_frames", "total_frames"]),
        ({"session_name": "x", "confidence_threshold": 1.01, "fps": -0.5}, ["confidence_threshold", "fps"]),
        ({"session_name": "x", "status": "sleeping", "id": "7"}, ["id", "status"]),
        ({"session_name": "x", "start_time": "2026-01-31T12:00:00"}, ["start_time"]),
        ({"session_name": "x", "start_time": 1769860800, "end_time": "1769860800"}, ["end_time", "start_time"]),
        ({"session_name": "x", "start_time": "0001-01-01T00:00:00+23:00"}, ["start_time"]),
    ],
)
def test_every_wrong_field_of_a_body_is_named(client, fields, wrong):
    response = client.post("/api/sessions", json=fields)
    assert (response.status_code, wrong_fields(response)) == (422, wrong)


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"\xff", b'{"session_name":"\\ud800"}', b"[" * 100_000, b'{"total_frames":' + b"9" * 5000 + b"}"],
    ids=["empty", "unfinished", "not UTF-8", "half a surrogate", "deep", "huge integer"],
)
def test_malformed_json_is_400(client, body):
    response = client.post("/api/sessions", data=body, content_type="application/json")
    assert (response.status_code, wrong_fields(response)) == (400, [])


@pytest.mark.parametrize("body", [b"[1]", b'"x"', b"null", b"7"])
def test_a_body_that_is_no_object_is_refused(client, body):
    response = client.put(f"/api/sessions/{NOBODY}", data=body, content_type="application/json")
    assert (response.status_code, wrong_fields(response)) == (422, ["body"])


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"1e400"])
def test_numbers_that_json_cannot_say_are_refused(client, number):
    body = b'{"session_name":"x","fps":' + number + b"}"
    response = client.post("/api/sessions", data=body, content_type="application/json")
    assert (response.status_code, wrong_fields(response)) == (422, ["fps"])


def test_a_whole_number_may_be_written_with_a_point(client):
    assert created(client, "sessions", session_name="x", total_frames=3.0)["total_frames"] == 3


def test_other_content_types_are_415_and_large_bodies_413(client):
    for options in (
        {"data": "x"},
        {"data": {"session_name": "x"}},
        {"json": {}, "headers": {"Content-Encoding": "gzip"}},
    ):
        response = client.post("/api/sessions", **options)
        assert (response.status_code, wrong_fields(response)) == (415, [])
    large = client.post("/api/sessions", data=b" " * (17 * 1024 * 1024), content_type="application/json")
    assert (large.status_code, wrong_fields(large)) == (413, [])


def test_every_wrong_query_parameter_is_named(client):
    query = "limit=0&direction=up&from=yesterday&session_id=7&count=maybe&order=id&colour=red&to=1&to=2"
    response = client.get(f"/api/movements?{query}")
    assert response.status_code == 400
    assert set(wrong_fields(response)) == {"limit", "direction", "from", "session_id", "count", "order", "colour", "to"}
    assert wrong_fields(client.get("/api/sessions?search=%00")) == ["search"]
    assert wrong_fields(client.get("/api/sessions/seven")) == ["id"]
    assert wrong_fields(client.get(f"/api/sessions/{NOBODY}?verbose=1")) == ["verbose"]


def test_unknown_paths_and_methods_are_problems_too(client):
    assert wrong_fields(client.get("/api/nothing")) == []
    refused = client.delete("/api/sessions")
    assert refused.status_code == 405
    assert "GET" in refused.headers["Allow"]


def test_the_list_is_newest_first_and_filters(client, session, writer):
    for minute, direction in enumerate(["in", "out", "in", "in"]):
        created(
            client,
            "movements",
            session_id=session["id"],
            person_id=minute,
            movement_direction=direction,
            movement_time=f"2026-01-31T12:0{minute}:00+01:00",
        )

    def persons(query):
        response = client.get(f"/api/movements?{query}")
        assert response.status_code == 200, response.json
        return [row["person_id"] for row in response.json["items"]]

    assert persons("") == [3, 2, 1, 0]
    assert persons("order=movement_time") == [0, 1, 2, 3]
    assert persons("direction=out") == [1]
    assert persons("person_id=2") == [2]
    assert persons("from=2026-01-31T11:01:00Z&to=2026-01-31T11:03:00Z") == [2, 1]
    assert persons("from=2026-01-31T12:03:00+01:00") == [3]  # an unescaped plus
    assert persons("from=" + quote("2026-01-31T12:03:00+01:00")) == [3]
    assert persons(f"session_id={session['id']}&limit=1") == [3]
    assert persons(f"session_id={NOBODY}") == []


def test_sessions_are_found_by_status_and_by_text(client):
    names = [created(client, "sessions", session_name=name)["session_name"] for name in ("Main door", "50%", "Gate")]
    client.patch(f"/api/sessions/{ids(client.get('/api/sessions?search=gate'))[0]}", json={"status": "completed"})
    for query, found in (
        ("search=DOOR", names[:1]),
        ("search=%25", names[1:2]),
        ("search=_", []),
        ("status=completed", names[2:]),
    ):
        assert [row["session_name"] for row in client.get(f"/api/sessions?{query}").json["items"]] == found


def test_alerts_are_listed_open_or_resolved(client):
    open_alert = created(client, "alerts", alert_type="count")["id"]
    resolved = created(client, "alerts", alert_type="count", is_resolved=True)["id"]
    assert ids(client.get("/api/alerts?resolved=false")) == [open_alert]
    assert ids(client.get("/api/alerts?resolved=true")) == [resolved]


def test_the_cursor_is_the_newest_change_that_the_rows_show(client, writer):
    assert client.get("/api/sessions").json["cursor"] == "0"
    created(client, "sessions", session_name="x")
    listed = client.get("/api/sessions")
    writer.execute("select max(id) from change_log")
    assert listed.json["cursor"] == str(writer.fetchone()[0])
    assert listed.headers["Last-Event-ID"] == listed.json["cursor"]


def test_pages_show_every_row_once_while_rows_come_in(client, session, writer):
    insert = (
        "insert into people_movements (session_id, person_id, movement_direction, movement_time)"
        " values (%s, %s, 'in', %s)"
    )
    for person in range(25):  # many at the same time
        writer.execute(insert, [session["id"], person, f"2026-01-31T12:0{person // 10}:00Z"])
    seen, path = [], "/api/movements?limit=4"
    while path:
        page = client.get(path)
        seen += [row["person_id"] for row in page.json["items"]]
        writer.execute(insert, [session["id"], 99, "2026-02-01T00:00:00Z"])  # newer: before the first page
        links = dict(reversed(link.split("; ")) for link in page.headers.get_all("Link"))
        path = links.get('rel="next"', "")[1:-1]
        assert bool(path) == bool(page.json["next"])
    assert sorted(seen) == list(range(25))


def test_pages_go_back_the_way_they_came(client):
    for number in range(7):
        created(client, "sessions", session_name=str(number))
    order = "/api/sessions?order=session_name&limit=3"
    first = client.get(order).json
    second = client.get(f"{order}&after={first['next']}").json
    third = client.get(f"{order}&after={second['next']}")
    assert third.json["next"] is None
    back = next(link for link in third.headers.get_all("Link") if "prev" in link).split(">")[0][1:]
    assert client.get(back).json["items"] == second["items"]


def test_a_token_holds_for_its_own_order_only(client):
    for _ in range(2):
        created(client, "sessions", session_name="x")
    token = client.get("/api/sessions?limit=1").json["next"]
    for query in (f"after={token}&order=session_name", "after=nonsense", "before=W10", "after=" + "W" * 5000):
        response = client.get(f"/api/sessions?{query}")
        assert response.status_code == 400
        assert wrong_fields(response) in (["after"], ["before"])


def test_the_total_comes_when_it_is_asked_for(client):
    for _ in range(3):
        created(client, "sessions", session_name="x")
    assert client.get("/api/sessions?count=true&limit=1").json["total"] == 3
    assert "total" not in client.get("/api/sessions").json


def test_an_unchanged_row_is_304(client, session):
    path = f"/api/sessions/{session['id']}"
    tag = client.get(path).headers["ETag"]
    assert client.get(path, headers={"If-None-Match": tag}).status_code == 304
    client.patch(path, json={"fps": 1})
    assert client.get(path, headers={"If-None-Match": tag}).status_code == 200


def test_children_go_with_their_session(client):
    *children, session = one_of_each(client)
    assert client.delete(session).status_code == 204
    assert [client.get(path).status_code for path in children] == [404] * 4


def test_times_of_the_database_that_json_clients_rarely_see_still_list(client, writer):
    writer.execute("insert into sessions (session_name, created_at) values ('x', 'infinity'), ('y', '-infinity')")
    page = client.get("/api/sessions?limit=1").json
    assert page["items"][0]["created_at"] == "infinity"
    assert client.get(f"/api/sessions?limit=1&after={page['next']}").json["items"][0]["created_at"] == "-infinity"


def test_a_database_that_is_away_is_503_and_health_still_answers():
    client = create_app(Config(database_url="postgresql://nobody@127.0.0.1:1/nothing")).test_client()
    for response in (client.get("/api/sessions"), client.post("/api/sessions", json={"session_name": "x"})):
        assert (response.status_code, response.headers["Retry-After"]) == (503, "2")
        assert wrong_fields(response) == []
    assert client.get("/api/health").json == {"status": "ok"}
    assert client.get("/api/ready").json["database"] == "unavailable"


def test_a_connection_that_the_database_dropped_is_replaced_unseen(client, session, admin_url):
    administrator = connect(admin_url, application_name="administrator")
    administrator.cursor().execute(
        "select pg_terminate_backend(pid, 5000) from pg_stat_activity where application_name like '%rest'"
    )
    administrator.close()
    assert ids(client.get("/api/sessions")) == [session["id"]]


def test_a_writer_that_waits_too_long_for_a_lock_is_told_to_come_back(app, client, session, writer, admin_url):
    writer.execute("begin; select 1 from sessions for update")
    answers = []
    path = f"/api/sessions/{session['id']}"
    blocked = threading.Thread(target=lambda: answers.append(app.test_client().patch(path, json={"fps": 1})))
    blocked.start()
    administrator = connect(admin_url, application_name="administrator").cursor()

    def cancelled():
        administrator.execute(
            "select count(pg_cancel_backend(pid)) from pg_stat_activity"
            " where application_name like '%rest' and wait_event_type = 'Lock'"
        )
        return administrator.fetchone()[0]

    until(cancelled, what="the blocked writer")
    blocked.join()
    administrator.connection.close()
    assert (answers[0].status_code, answers[0].headers["Retry-After"]) == (503, "2")


def test_ready_says_what_is_missing(client):
    response = client.get("/api/ready")
    assert response.status_code == 503
    assert (response.json["listener"], response.json["database"]) == ("connecting", "ok")


def test_the_openapi_document_and_its_swagger_ui_come_from_here(client):
    document = client.get("/api/openapi.json").json
    assert document["openapi"].startswith("3.1")
    for name in ("sessions", "movements", "alerts", "metrics", "thresholds"):
        assert set(document["paths"][f"/api/{name}"]) == {"get", "post"}
        assert set(document["paths"][f"/api/{name}/{{id}}"]) == {"get", "put", "patch", "delete"}
    page = client.get("/api/swagger").text
    assert "//" not in page.replace("<!--", "").split("<script>")[0].replace("//#", "")
    with client.get("/api/swagger/js/swagger-ui-bundle.js") as script:
        assert script.status_code == 200


def operations(document):
    return [
        (method, path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]


def test_each_operation_has_a_name_for_people(client):
    document = client.get("/api/openapi.json").json
    names = [operation["operationId"] for *_, operation in operations(document)]
    assert {"listSessions", "createMovement", "stopSession", "readStatistics", "streamAlerts"} <= set(names)
    assert len(names) == len(set(names)) > 60
    assert [name for name in names if not re.fullmatch("[a-z]+([A-Z][a-z]+)*", name)] == []


def enums(value):
    """The lists of words anywhere in the document."""
    if isinstance(value, dict):
        yield from [value["enum"]] if isinstance(value.get("enum"), list) else []
        for inner in value.values():
            yield from enums(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from enums(inner)


def test_no_list_of_words_is_too_long_for_generated_clients(client):
    document = client.get("/api/openapi.json").json
    assert max(map(len, enums(document))) <= 20
    [zone] = [one for one in document["paths"]["/api/stats"]["get"]["parameters"] if one["name"] == "tz"]
    assert zone["example"] == "Europe/Berlin"
    known = available_timezones() - {"localtime", "Factory"}
    assert [name for name in known if not re.search(zone["schema"]["pattern"], name)] == []


def test_the_document_says_what_each_operation_takes(client, app):
    document = client.get("/api/openapi.json").json
    schemes = document["components"]["securitySchemes"]
    rules = {rule.endpoint: rule for rule in app.url_map.iter_rules()}
    taken = {
        (method.lower(), re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)): taken_by(app.view_functions[name])
        for name, rule in rules.items()
        for method in rule.methods
    }
    for method, path, operation in operations(document):
        needed = taken[method, path]
        stated = operation.get("security", [])
        assert {name for one in stated for name in one} <= set(schemes)
        if needed.scopes == frozenset(SCOPES):  # of those who have signed in
            assert stated == [{"login": []}, {"loginOverHttps": []}]
            continue
        assert {scope for one in stated for named in one.values() for scope in named} == needed.scopes
        assert ({"ticket": ["read"]} in stated) == needed.is_stream
    assert document["info"]["version"] == version()


def test_bodies_have_examples(client):
    document = client.get("/api/openapi.json").json
    schemas = document["components"]["schemas"]
    # Deliberate: an example is a request that test_contract.py sends; these would sign somebody in, or close the feed.
    bare = {"signIn", "setUp", "changeOwnPassword", "createUser"}
    for _, _, operation in operations(document):
        schema = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
        if schema is not None:
            name = (schema.get("anyOf") or [schema])[0]["$ref"].rpartition("/")[2]
            assert ("example" in schemas[name]) == (operation["operationId"] not in bare), name


def test_the_overview_lists_every_operation_and_asks_nobody_else(client):
    document = client.get("/api/openapi.json").json
    answer = client.get("/api/")
    page = answer.text
    for method, path, operation in operations(document):
        assert f'id="{operation["operationId"]}"' in page
        assert f"{method.upper()}</b> <code>{path}</code>" in page
    assert "<b>ingest</b> or <b>operate</b>" in page
    named = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert set(named) == {"/favicon.svg", "/api/overview.css", "/api/openapi.json", "/api/swagger"}
    for name in named:
        with client.get(name) as found:
            assert found.status_code == 200
    style = client.get("/api/overview.css")
    assert (style.mimetype, "prefers-color-scheme: dark" in style.text) == ("text/css", True)
    assert not re.search("url|import|//", style.text)
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'self'; img-src 'self';")
    assert not re.search(r"<script|<style|\sstyle=|\son\w+=", page)
    assert len(page) < 100_000


def test_cursors_are_text_throughout_the_document(client):
    document = client.get("/api/openapi.json").json
    [after] = [one for one in document["paths"]["/api/changes"]["get"]["parameters"] if one["name"] == "after"]
    pages = [schema for name, schema in document["components"]["schemas"].items() if name.endswith("Page")]
    assert len(pages) == 5
    assert {after["schema"]["type"], *(page["properties"]["cursor"]["type"] for page in pages)} == {"string"}


def test_ids_may_come_from_the_producer(client):
    row_id = str(uuid.uuid4())
    assert created(client, "sessions", session_name="x", id=row_id)["id"] == row_id


def test_pages_may_be_counted(client):
    for number in range(5):
        client.post("/api/sessions", json={"session_name": f"door {number}"})
    path = "/api/sessions?order=session_name&limit=2&page="
    names = [[row["session_name"][-1] for row in client.get(f"{path}{page}").json["items"]] for page in (1, 2, 3, 4)]
    assert names == [["0", "1"], ["2", "3"], ["4"], []]
    second = client.get(f"{path}2")
    assert client.get(f"{path[:-6]}&after={second.json['next']}").json["items"][0]["session_name"] == "door 4"
    assert client.get(f"{path}0").status_code == client.get(f"{path}1001").status_code == 400
    both = client.get(f"{path}1&after={second.json['next']}").json["items"]
    assert [row["session_name"] for row in both] == ["door 4"]


@pytest.mark.parametrize(
    ("sent", "kept"),
    [(1.0000001, 1.0), (1.004, 1.0), (-0.000001, 0.0), (0.123456, 0.123456), (1.006, None), (-0.006, None)],
)
def test_a_share_that_overshoots_is_rounded_as_the_database_rounds_it(client, database_url, sent, kept):
    session = created(client, "sessions", session_name="door", confidence_threshold=0.5)["id"]
    row = {"session_id": session, "person_id": 1, "movement_direction": "in", "confidence_score": sent}
    response = client.post("/api/movements", json=row)
    assert (response.status_code, response.json.get("confidence_score")) == (201 if kept is not None else 422, kept)
    with closing(connect(database_url, application_name="camera")) as connection, connection.cursor() as sql:
        percentage = sent * 100 if 0 < sent < 1 else 100 + (sent - 1) if sent >= 1 else sent
        try:
            sql.execute(
                "with movement as ("
                "  insert into people_movements (session_id, person_id, movement_direction, confidence_score)"
                "  values (%s, 1, 'in', %s) returning confidence_score)"
                ", reading as (insert into realtime_metrics (session_id, cpu_usage_percentage) values (%s, %s))"
                " select confidence_score from movement",
                (session, sent, session, percentage),
            )
        except psycopg2.errors.CheckViolation:
            assert kept is None
        else:
            assert sql.fetchone() == (kept,)


def test_a_list_amid_a_restore_is_unavailable_and_not_wrong(client, session, writer):
    writer.execute("create table home as select * from change_log_home; delete from change_log_home")
    answer = client.get("/api/sessions")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
    writer.execute("insert into change_log_home select * from home")
    assert client.get("/api/sessions").status_code == 200


def test_a_list_that_sees_more_changes_without_an_id_than_a_cursor_can_name_has_them_numbered_first(client, writer):
    writer.execute("insert into sessions (session_name) select n::text from generate_series(1, 10005) n")
    listed = client.get("/api/sessions?limit=1&count=true").json
    assert (listed["total"], listed["cursor"]) == (10_005, "10005")
