"""Bodies that lie, never end, or cost more than they look: nothing is half-written, and nobody else waits."""

from __future__ import annotations

import json
import socket
import threading
import time
import urllib.request
from urllib.parse import urlsplit

import gevent
import pytest

from app.postgres.connections import connect
from app.rest import body
from tests.event_stream import open_stream, wait_until_ready
from tests.waiting import until

MOVEMENT = b'{"session_id":"%s","person_id":1,"movement_direction":"in"}\n'
NDJSON = "application/x-ndjson"


@pytest.fixture(scope="module")
def server(shared_gunicorn):
    """One for all: what one of these bodies did to it would show in the tests after it."""
    server = shared_gunicorn(HEARTBEAT_SECONDS=0.5)
    wait_until_ready(server)
    return server


@pytest.fixture(scope="module")
def impatient(shared_gunicorn):
    server = shared_gunicorn(STUCK_SECONDS=0.5)
    wait_until_ready(server)
    return server


@pytest.fixture
def sql(shared_url):
    connection = connect(shared_url, application_name="test")
    yield connection.cursor()
    connection.close()


@pytest.fixture
def session_id(sql):
    sql.execute("insert into sessions (session_name) values ('door') returning id")
    return sql.fetchone()[0].encode()


def movements(sql, session_id):
    sql.execute("select count(*) from people_movements where session_id = %s", (session_id.decode(),))
    return sql.fetchone()[0]


def connection_to(server):
    host, port = urlsplit(server.url).netloc.split(":")
    return socket.create_connection((host, int(port)), timeout=60)


def head(method, path, *headers):
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *headers, "", ""]
    return "\r\n".join(lines).encode()


def chunk(data):
    return b"%x\r\n%b\r\n" % (len(data), data)


def answer(sock):
    """Status and problem of the response, once the connection has ended or the response is whole."""
    reader = sock.makefile("rb")
    status = int(reader.readline().split()[1])
    headers = {}
    while line := reader.readline().strip():
        name, _, value = line.decode().partition(":")
        headers[name.lower()] = value.strip()
    return status, json.loads(reader.read(int(headers["content-length"])) or b"null")


def ask(server, request, *, ends=True):
    with connection_to(server) as sock:
        sock.sendall(request)
        if ends:
            sock.shutdown(socket.SHUT_WR)
        return answer(sock)


def health_seconds(server):
    began = time.monotonic()
    with urllib.request.urlopen(f"{server.url}/api/health", timeout=60) as response:
        assert response.status == 200
    return time.monotonic() - began


def test_a_body_shorter_than_announced_stores_nothing(server, sql, session_id):
    rows = MOVEMENT % session_id * 1000
    request = head("POST", "/api/movements", f"Content-Type: {NDJSON}", f"Content-Length: {len(rows)}")
    status, problem = ask(server, request + rows[: len(rows) * 2 // 5])
    assert (status, movements(sql, session_id)) == (400, 0)
    assert problem["detail"] == (
        f"The body ended after {len(rows) * 2 // 5} of {len(rows)} announced bytes; nothing was stored."
    )


def test_a_json_body_shorter_than_announced_stores_nothing(server, sql):
    body = b'{"session_name":"cut short"}'
    request = head("POST", "/api/sessions", "Content-Type: application/json", f"Content-Length: {len(body) + 10}")
    assert ask(server, request + body)[0] == 400
    sql.execute("select count(*) from sessions where session_name = 'cut short'")
    assert sql.fetchone() == (0,)


def test_a_chunked_body_beyond_the_limit_stores_nothing(server, sql, session_id):
    request = head("POST", "/api/movements", f"Content-Type: {NDJSON}", "Transfer-Encoding: chunked")
    rows = (MOVEMENT % session_id).replace(b'"in"}', b'"in",' + b'"frame_number":1,' * 100 + b'"confidence_score":1}')
    with connection_to(server) as sock:
        sock.sendall(request)
        sent = 0
        try:
            while sent < 22 * 1024 * 1024:
                sock.sendall(chunk(rows * 50))
                sent += len(rows) * 50
            sock.sendall(b"0\r\n\r\n")
        except (BrokenPipeError, ConnectionResetError):
            pass  # it was refused before we were through
    assert movements(sql, session_id) == 0


@pytest.mark.parametrize("end", [b"", b"400\r\n{", b"0\r\n"])
def test_a_chunked_body_that_does_not_end_stores_nothing(server, sql, session_id, end):
    request = head("POST", "/api/movements", f"Content-Type: {NDJSON}", "Transfer-Encoding: chunked")
    status, _ = ask(server, request + chunk(MOVEMENT % session_id * 10) + end)
    assert (status, movements(sql, session_id)) == (400, 0)


@pytest.mark.parametrize("size", [b"x", b"-1", b"+5", b"0x5", b" 5", b"", b"5 ;", b"G" * 20])
def test_a_malformed_chunk_is_400_and_no_traceback(server, sql, session_id, size):
    request = head("POST", "/api/movements", f"Content-Type: {NDJSON}", "Transfer-Encoding: chunked")
    status, _ = ask(server, request + size + b"\r\nhello\r\n0\r\n\r\n", ends=False)
    assert (status, movements(sql, session_id)) == (400, 0)
    assert "Traceback" not in server.log


@pytest.mark.parametrize("framing", ["Content-Length: 100000", "Transfer-Encoding: chunked"])
def test_a_body_that_stops_arriving_is_408_and_stores_nothing(impatient, sql, session_id, framing):
    rows = MOVEMENT % session_id * 10
    request = head("POST", "/api/movements", f"Content-Type: {NDJSON}", framing)
    status, problem = ask(impatient, request + (chunk(rows) if "chunked" in framing else rows), ends=False)
    assert (status, movements(sql, session_id)) == (408, 0)
    assert problem["detail"] == "The body did not arrive in time; nothing was stored."
    assert "Traceback" not in impatient.log


def test_a_body_that_trickles_for_too_long_is_408(monkeypatch, app):
    """Each byte arrives in time, the whole does not."""

    class Trickle:
        def read(self, _size):
            gevent.sleep(0.01)
            return b" "

    monkeypatch.setattr(body, "_BODY_SECONDS", 0.1)
    environ = {"wsgi.input": Trickle(), "CONTENT_LENGTH": "1000", "CONTENT_TYPE": "application/json"}
    with gevent.Timeout(60):
        response = app.test_client().post("/api/sessions", environ_overrides=environ)
    assert response.status_code == 408


def test_a_chunked_body_that_ends_is_stored_whole(server, sql, session_id):
    request = head("POST", "/api/movements", f"Content-Type: {NDJSON}", "Transfer-Encoding: chunked")
    status, counted = ask(server, request + chunk(MOVEMENT % session_id * 10) + b"0\r\n\r\n", ends=False)
    assert (status, counted, movements(sql, session_id)) == (201, {"inserted": 10, "repeated": 0}, 10)


@pytest.mark.parametrize(
    "request_head",
    [
        head("GET", "/api/health", "Content-Length: 100000000000"),
        head("GET", "/api/health", "Transfer-Encoding: chunked"),
        head("POST", "/api/sessions", "Content-Type: text/plain", "Content-Length: 100000000000"),
        head("POST", "/api/nowhere", "Transfer-Encoding: chunked"),
    ],
)
def test_a_body_without_end_holds_up_nobody(server, sql, request_head):
    """It would be read to its end, and gunicorn's loop never yields to the streams while bytes keep coming."""
    chunked = b"chunked" in request_head
    piece = chunk(b"x" * 60_000) if chunked else b"x" * 60_000
    closed = threading.Event()

    def send():
        with connection_to(server) as sock:
            sock.sendall(request_head)
            try:
                while True:
                    sock.sendall(piece)
            except (BrokenPipeError, ConnectionResetError):
                closed.set()

    with open_stream(server.url, "/api/sse/sessions") as stream:
        sender = threading.Thread(target=send, daemon=True)
        sender.start()
        for number in range(5):
            assert health_seconds(server) < 10
            sql.execute("insert into sessions (session_name) values (%s)", (str(number),))
        assert len(stream.changes(5)) == 5
    until(closed.is_set, what="the connection is closed")
    sender.join(60)


@pytest.mark.parametrize("path", ["/api/sessions", "/api/movements"])
def test_a_million_unknown_fields_are_refused_before_they_are_looked_at(server, path):
    body = b"{%b}" % b",".join(b'"k%d":1' % number for number in range(1_000_000))
    with open_stream(server.url, "/api/sse/sessions") as stream:
        request = head("POST", path, "Content-Type: application/json", f"Content-Length: {len(body)}")
        status, problem = ask(server, request + body, ends=False)
        assert status in (413, 422)
        assert len(json.dumps(problem)) < 1000
        stream.next_of("heartbeat")


def test_many_unknown_fields_of_one_row_of_many_are_refused_unparsed(server):
    body = b"[{%b}]" % b",".join(b'"k%d":1' % number for number in range(1_000_000))
    request = head("POST", "/api/movements", "Content-Type: application/json", f"Content-Length: {len(body)}")
    status, problem = ask(server, request + body, ends=False)
    assert (status, problem["errors"][0]["message"]) == (422, "has more than 10000 rows or far too many fields")


def test_rows_of_many_unknown_fields_stop_being_checked_soon(server, session_id):
    row = b"{%b}" % b",".join(b'"k%d":1' % number for number in range(99))
    body = b"\n".join([row] * 10_000)
    request = head("POST", "/api/movements", f"Content-Type: {NDJSON}", f"Content-Length: {len(body)}")
    status, problem = ask(server, request + body, ends=False)
    assert (status, len(problem["errors"])) == (422, 100)


def test_a_text_longer_than_the_limit_is_refused(server):
    body = json.dumps({"session_name": "x" * 4097}).encode()
    request = head("POST", "/api/sessions", "Content-Type: application/json", f"Content-Length: {len(body)}")
    status, problem = ask(server, request + body, ends=False)
    assert (status, [error["field"] for error in problem["errors"]]) == (422, ["session_name"])
