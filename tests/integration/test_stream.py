"""Streams as clients get them: real gunicorn, real PostgreSQL, real sockets."""

from __future__ import annotations

import json
import random
import re
import socket
import urllib.error
import urllib.parse
import urllib.request
from http.client import HTTPConnection
from urllib.parse import urlsplit

import psycopg2
import pytest

from tests.event_stream import EventStream, open_stream, wait_until_ready
from tests.waiting import until

# What must hold however the bytes go out: written by the hub, or only by the response as on any WSGI server.
both_ways = pytest.mark.parametrize(
    "server", [(), ("tests.socketless:app",)], ids=["by the outlet", "by the response"], indirect=True
)


SETTINGS = {"HEARTBEAT_SECONDS": 0.3, "CORS_ORIGINS": "https://desk.example.org", "MAX_STREAMS": 20}


@pytest.fixture
def server(gunicorn, request):
    options = getattr(request, "param", ())
    started = gunicorn(*options, **SETTINGS)
    wait_until_ready(started)
    return started


@pytest.fixture(scope="module")
def shared_server(shared_gunicorn):
    """For tests of the answers' heads and of refusals: they neither write nor count streams."""
    started = shared_gunicorn(**SETTINGS)
    wait_until_ready(started)
    return started


@pytest.fixture
def sql(database_url):
    connection = psycopg2.connect(database_url)
    connection.autocommit = True
    with connection.cursor() as cursor:
        yield cursor
    connection.close()


def new_session(sql, name="Test Session"):
    sql.execute("insert into sessions (session_name) values (%s) returning id", [name])
    return sql.fetchone()[0]


def new_movements(sql, session, count):
    sql.execute(
        "insert into people_movements (session_id, person_id, movement_direction)"
        " select %s, n, 'in' from generate_series(1, %s) n",
        [session, count],
    )


def log_ids(sql, where="true"):
    sql.execute(f"select number_changes(); select id from change_log where {where} order by id")
    return [row[0] for row in sql.fetchall()]


def get(url):
    with urllib.request.urlopen(url, timeout=20) as response:
        return response, json.load(response)


def test_a_row_written_with_plain_sql_arrives_with_all_its_columns(server, sql):
    with open_stream(server.url, "/api/sse/sessions") as stream:
        sql.execute(
            "INSERT INTO sessions (id, session_name, input_source, status, created_at)"
            " VALUES (gen_random_uuid(), 'Test Session', 'test.mp4', 'active', NOW());"
        )
        [payload] = stream.changes(1)
        assert (payload["table"], payload["action"], payload["old_data"]) == ("sessions", "INSERT", None)
        assert payload["data"] == get(f"{server.url}/api/sessions/{payload['data']['id']}")[1]


@both_ways
def test_updates_carry_both_rows_and_deletes_the_one_that_went(server, sql):
    with open_stream(server.url, "/api/sse/sessions") as stream:
        session = new_session(sql)
        sql.execute("update sessions set fps = 25 where id = %s", [session])
        sql.execute("update sessions set fps = 25 where id = %s", [session])  # changes nothing
        sql.execute("delete from sessions where id = %s", [session])
        _, update, delete = stream.changes(3)
        assert (update["old_data"]["fps"], update["data"]["fps"]) == (None, 25)
        assert (delete["action"], delete["data"]["id"], delete["data"]) == ("DELETE", session, delete["old_data"])


def test_the_head_forbids_caching_compressing_and_buffering(shared_server):
    with EventStream(shared_server.url, "/api/sse/alerts") as stream:
        headers = {name.lower(): value for name, value in stream.head.getheaders()}
        assert headers["content-type"].startswith("text/event-stream")
        assert headers["cache-control"] == "no-cache, no-transform"
        assert headers["x-accel-buffering"] == "no"


def test_head_answers_without_a_body_and_takes_no_stream(server):
    connection = HTTPConnection(urlsplit(server.url).netloc, timeout=20)
    connection.request("HEAD", "/api/sse/sessions")
    response = connection.getresponse()
    assert (response.status, response.read()) == (200, b"")
    assert get(f"{server.url}/api/system")[1]["streams"] == 0
    connection.close()


def test_a_stream_tells_first_where_it_stands_and_how_long_to_wait(server, sql):
    new_session(sql)
    with open_stream(server.url, "/api/sse?topics=alerts,sessions") as stream:
        assert stream.place == {
            "topics": ["alerts", "sessions"],
            "cursor": str(stream.last_event_id),
            "status": "live",
            "heartbeat_seconds": 0.3,
        }
        assert 2000 <= stream.retry_ms <= 4000


@both_ways
def test_heartbeats_move_the_cursor_of_a_client_with_a_narrow_filter(server, sql):
    session, quiet = new_session(sql), new_session(sql)
    with open_stream(server.url, f"/api/sse/movements?session_id={quiet}") as stream:
        new_movements(sql, session, 10)
        newest = log_ids(sql)[-1]
        while stream.last_event_id < newest:
            assert stream.next()["type"] == "heartbeat"
        new_movements(sql, quiet, 1)
        assert stream.changes(1)[0]["id"] == newest + 1


@pytest.mark.parametrize("way", ["header", "parameter"])
def test_a_client_resumes_behind_its_cursor(server, sql, way):
    session = new_session(sql)
    new_movements(sql, session, 5)
    ids = log_ids(sql)
    path, header = ("/api/sse", ids[2]) if way == "header" else (f"/api/sse?last_event_id={ids[2]}", None)
    with open_stream(server.url, path, header) as stream:
        assert stream.place["status"] == "resumed"
        assert [payload["id"] for payload in stream.changes(3)] == ids[3:]


def test_the_header_goes_before_the_parameter(server, sql):
    new_movements(sql, new_session(sql), 5)
    ids = log_ids(sql)
    with open_stream(server.url, f"/api/sse?last_event_id={ids[0]}", ids[3]) as stream:
        assert stream.place["cursor"] == str(ids[3])


def test_parameters_that_libraries_add_are_no_reason_to_refuse_a_stream(server, sql):
    new_movements(sql, new_session(sql), 5)
    ids = log_ids(sql)
    path = f"/api/sse?_=1764160000&_=1764160001&lastEventId={ids[3]}&last_event_id={ids[0]}"
    with open_stream(server.url, path) as stream:
        assert stream.place["cursor"] == str(ids[3])


def test_a_client_resumes_beyond_the_ring_from_the_log(gunicorn, sql):
    server = gunicorn(RING_BYTES=20_000)
    wait_until_ready(server)
    session, other = new_session(sql), new_session(sql)
    start = log_ids(sql)[-1]
    for _ in range(3):
        new_movements(sql, session, 700)
        new_movements(sql, other, 3)
    with open_stream(server.url, f"/api/sse/movements?session_id={other}", start) as stream:
        got = [payload["id"] for payload in stream.changes(9)]
    assert got == log_ids(sql, f"session_id = '{other}' and table_name = 'people_movements'")
    with open_stream(server.url, "/api/sse/movements", start) as stream:
        got = [payload["id"] for payload in stream.changes(2109)]
    assert got == log_ids(sql, f"id > {start}")
    assert get(f"{server.url}/api/system")[1]["log_reads"] >= 10


def test_a_cursor_that_means_nothing_here_gets_reset_and_goes_on(server, sql):
    session = new_session(sql)
    for number, cursor in enumerate(["999999999", "nonsense", "-5", "1.5", "9" * 30, "💥"], 1):
        path = "/api/sse/sessions?last_event_id=" + urllib.parse.quote(cursor)
        with open_stream(server.url, path) as stream:
            assert stream.place["status"] == "reset", cursor
            assert stream.last_event_id <= log_ids(sql)[-1], cursor
            sql.execute("update sessions set fps = %s where id = %s", [number, session])
            while stream.changes(1)[0]["data"]["fps"] != number:
                pass


def test_a_cursor_older_than_the_log_gets_reset(gunicorn, sql):
    new_movements(sql, new_session(sql), 10)
    ids = log_ids(sql)
    sql.execute("delete from change_log where id <= %s", [ids[5]])
    server = gunicorn()
    wait_until_ready(server)
    with open_stream(server.url, "/api/sse", ids[4]) as stream:
        assert stream.place["status"] == "reset"
    with open_stream(server.url, "/api/sse", ids[5]) as stream:
        assert stream.place["status"] == "resumed"
        assert [payload["id"] for payload in stream.changes(5)] == ids[6:]


def test_a_subscriber_of_open_alerts_hears_that_one_was_resolved(server, sql):
    with open_stream(server.url, "/api/sse/alerts?resolved=false") as stream:
        sql.execute("insert into alert_logs (alert_type, is_resolved) values ('old', true)")
        sql.execute("insert into alert_logs (alert_type) values ('crowd')")
        sql.execute("update alert_logs set is_resolved = true where alert_type = 'crowd'")
        raised, resolved = stream.changes(2)
        assert (raised["data"]["alert_type"], resolved["data"]["is_resolved"]) == ("crowd", True)


@both_ways
def test_truncate_reaches_clients_as_reset(server, sql):
    with open_stream(server.url, "/api/sse/metrics") as stream:
        sql.execute("truncate realtime_metrics")
        message = stream.next_of("connection")
        assert (message["data"]["status"], message["data"]["topics"]) == ("reset", ["metrics"])
        assert stream.last_event_id == log_ids(sql)[-1]


def test_the_test_function_reaches_every_client_and_touches_no_row(server, sql):
    with open_stream(server.url) as stream:
        sql.execute("select test_sse_triggers()")
        payloads = stream.changes(4)
        assert {payload["action"] for payload in payloads} == {"TEST"}
        assert {payload["table"] for payload in payloads} == {
            "sessions", "people_movements", "alert_logs", "realtime_metrics",
        }  # fmt: skip
    sql.execute("select count(*) from sessions")
    assert sql.fetchone() == (0,)


@both_ways
def test_a_large_row_comes_whole_by_way_of_the_log(server, sql):
    name = "👤" * 40_000
    with open_stream(server.url, "/api/sse/sessions") as stream:
        new_session(sql, name)
        new_session(sql, "small")
        large, small = stream.changes(2)
        assert (large["data"]["session_name"], small["data"]["session_name"]) == (name, "small")


def test_a_bulk_of_100_000_rows_arrives_whole_in_order_and_once(server, sql):
    session = new_session(sql)
    with open_stream(server.url, "/api/sse/movements") as stream:
        new_movements(sql, session, 100_000)
        ids = [payload["id"] for payload in stream.changes(100_000)]
        new_movements(sql, session, 1)
        ids += [payload["id"] for payload in stream.changes(1)]
    assert ids == log_ids(sql, "table_name = 'people_movements'")


@both_ways
def test_a_snapshot_and_the_stream_from_its_cursor_meet_exactly(server, sql):
    session = new_session(sql)
    new_movements(sql, session, 3)
    response, page = get(f"{server.url}/api/movements")
    assert response.headers["Last-Event-ID"] == page["cursor"]
    new_movements(sql, session, 2)
    with open_stream(server.url, "/api/sse/movements", page["cursor"]) as stream:
        tail = {payload["data"]["id"] for payload in stream.changes(2)}
    snapshot = {row["id"] for row in page["items"]}
    assert (len(snapshot), len(tail), snapshot & tail) == (3, 2, set())


@pytest.mark.parametrize("way", ["from the ring", "from the log"])
def test_a_stream_leaves_out_what_a_snapshot_saw_beyond_its_cursor(gunicorn, sql, way):
    session = new_session(sql)
    new_movements(sql, session, 8)
    first = log_ids(sql)[0]
    server = gunicorn(RING_BYTES=16_000_000 if way == "from the ring" else 0)
    wait_until_ready(server)
    if way == "from the ring":
        first = log_ids(sql)[-1]
        new_movements(sql, session, 8)
        until(lambda: int(get(f"{server.url}/api/system")[1]["listener"]["cursor"]) == first + 8)
    asked = f"{first},{first + 2},{first + 4}-{first + 5}"
    with open_stream(server.url, "/api/sse", asked) as stream:
        assert (stream.place["status"], stream.place["cursor"], stream.cursor) == ("resumed", asked, asked)
        got = []
        for _ in range(2):
            got.append((stream.changes(1)[0]["id"], stream.cursor))
        # The cursor says what is still to be left out, so a client that comes back with it misses nothing.
        assert got == [(first + 1, f"{first + 2},{first + 4}-{first + 5}"), (first + 3, str(first + 5))]
    with open_stream(server.url, "/api/sse", got[0][1]) as stream:
        assert [change["id"] for change in stream.changes(4)] == [first + number for number in (3, 6, 7, 8)]
        new_movements(sql, session, 1)
        assert stream.changes(1)[0]["id"] == first + 9
        assert stream.cursor == str(first + 9)


def test_a_cursor_that_names_what_this_log_never_had_gets_reset(server, sql):
    new_movements(sql, new_session(sql), 5)
    newest = log_ids(sql)[-1]
    with open_stream(server.url, "/api/sse", f"1,{newest + 5}") as stream:
        assert stream.place["status"] == "reset"


@both_ways
def test_a_client_that_drops_at_random_moments_gets_the_same_set(server, sql):
    session, chance, got = new_session(sql), random.Random(4), []
    cursor = log_ids(sql)[-1]
    for _ in range(20):
        new_movements(sql, session, chance.randrange(20))
        expected = len(log_ids(sql, "table_name = 'people_movements'")) - len(got)
        with open_stream(server.url, "/api/sse/movements", cursor) as stream:
            for payload in stream.changes(chance.randint(0, expected)):
                got.append(payload["id"])
                cursor = payload["id"]
    with open_stream(server.url, "/api/sse/movements", cursor) as stream:
        missing = len(log_ids(sql, "table_name = 'people_movements'")) - len(got)
        got += [payload["id"] for payload in stream.changes(missing)]
    assert got == log_ids(sql, "table_name = 'people_movements'")


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/api/sse?topics=sessions,cats", "topics"),
        ("/api/sse/sessions?session_id=7", "session_id"),
        ("/api/sse/alerts?resolved=perhaps", "resolved"),
        ("/api/sse/sessions?session_id=7&_=1", "session_id"),
        ("/api/sse/sessions?last_event_id=1&last_event_id=2", "last_event_id"),
        ("/api/changes?colour=red", "colour"),
    ],
)
def test_bad_parameters_are_400_and_named(shared_server, path, field):
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(shared_server.url + path, timeout=20)
    problem = json.load(caught.value)
    assert (caught.value.code, caught.value.headers["Content-Type"]) == (400, "application/problem+json")
    assert [error["field"] for error in problem["errors"]] == [field]
    caught.value.close()


def test_a_full_server_says_503_and_rest_still_answers(server):
    streams = [open_stream(server.url) for _ in range(20)]
    with EventStream(server.url) as refused:
        assert refused.head.status == 503
        assert int(refused.head.headers["Retry-After"]) >= 1
        assert b"20 streams open" in refused.head.read()
    assert get(f"{server.url}/api/health")[1] == {"status": "ok"}
    assert get(f"{server.url}/api/sessions")[1]["items"] == []
    for stream in streams:
        stream.close()


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [("https://desk.example.org", "https://desk.example.org"), ("https://evil.example.org", None)],
)
def test_only_named_origins_may_read_and_send_last_event_id(shared_server, origin, allowed):
    connection = HTTPConnection(urlsplit(shared_server.url).netloc, timeout=20)
    connection.request(
        "OPTIONS", "/api/sse/sessions",
        headers={"Origin": origin, "Access-Control-Request-Headers": "last-event-id"},
    )  # fmt: skip
    headers = connection.getresponse().headers
    assert headers["Access-Control-Allow-Origin"] == allowed
    assert ("Last-Event-ID" in headers.get("Access-Control-Allow-Headers", "")) is (allowed is not None)
    connection.close()


def test_http_1_0_gets_the_stream_without_chunks(server, sql):
    host, port = urlsplit(server.url).netloc.split(":")
    with socket.create_connection((host, int(port)), timeout=20) as client:
        client.sendall(b"GET /api/sse/sessions HTTP/1.0\r\n\r\n")
        reader = client.makefile("rb")
        while b"connection" not in reader.readline():
            pass
        new_session(sql)
        lines = [reader.readline() for _ in range(4)]
        assert lines[0].startswith(b"id: ")
        assert lines[1] == b"\n"
        assert json.loads(lines[2].removeprefix(b"data: "))["type"] == "data"
        assert lines[3].startswith(b"id: ")


def test_a_restored_database_restarts_its_log_beyond_all_old_cursors(gunicorn, sql):
    new_movements(sql, new_session(sql), 5)
    [*_, old] = log_ids(sql)
    sql.execute("update change_log_home set database_identity = 'where the backup was made'")
    server = gunicorn()
    wait_until_ready(server)
    new_movements(sql, new_session(sql), 5)
    with open_stream(server.url, "/api/sse", old) as stream:
        assert stream.place["status"] == "reset"
        assert stream.last_event_id > old + 1_000_000_000
    assert server.log.count("restarts") == 1


def test_streams_that_are_open_while_the_log_restarts_hear_reset(gunicorn, sql, database_url):
    first = gunicorn()
    wait_until_ready(first)
    with open_stream(first.url, "/api/sse/movements") as stream:
        sql.execute("update change_log_home set database_identity = 'elsewhere'")
        wait_until_ready(gunicorn())
        assert stream.next_of("connection")["data"]["status"] == "reset"
        new_movements(sql, new_session(sql), 1)
        assert stream.changes(1)[0]["id"] == log_ids(sql)[-1]


@pytest.mark.parametrize(("asked", "told"), [("4711", "4711"), (None, ""), ("no cursor", "")])
def test_frames_before_the_position_is_known_carry_the_cursor_that_the_client_has(gunicorn, asked, told):
    server = gunicorn(DATABASE_URL="postgresql://u@127.0.0.1:1/x", HEARTBEAT_SECONDS=0.2)
    connection = HTTPConnection(urlsplit(server.url).netloc, timeout=20)
    connection.request("GET", "/api/sse", headers={"Last-Event-ID": asked} if asked else {})
    response, body = connection.getresponse(), b""
    while body.count(b"\n\n") < 3:
        body += response.read1(65536)
    connection.close()
    frames = body.decode().split("\n\n")[:3]
    assert [re.search(r'"type":"(\w+)"', frame)[1] for frame in frames] == ["error", "heartbeat", "heartbeat"]
    assert [frame.rpartition("\nid: ")[2] if "\nid: " in frame else "" for frame in frames] == [told] * 3
