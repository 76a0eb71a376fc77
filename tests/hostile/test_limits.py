"""Limits of the system, the database or a worker: what is beyond is refused politely, and health answers throughout."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import struct
import time
from contextlib import ExitStack
from urllib.parse import urlsplit

import pytest

from app.postgres.connections import connect
from tests.event_stream import open_stream, wait_until_ready
from tests.hostile.test_bodies import answer, connection_to, head, health_seconds
from tests.waiting import until


def get(server, path):
    """Status and document of a GET."""
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=60)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def test_with_few_files_streams_are_refused_and_health_answers(gunicorn):
    server = gunicorn("tests.fewfiles:app")
    wait_until_ready(server)
    with ExitStack() as stack:
        statuses = []
        for _ in range(200):
            sock = stack.enter_context(connection_to(server))
            sock.sendall(head("GET", "/api/sse/sessions"))
            statuses.append(int(sock.makefile("rb").readline().split()[1]))
        assert set(statuses) == {200, 503}
        assert statuses.count(200) == 128
        assert health_seconds(server) < 10
    assert "Only 256 files may be open" in server.log


@pytest.mark.parametrize(
    "setting",
    ["search_path = pg_catalog", "statement_timeout = 1", "idle_session_timeout = 500", "client_encoding = LATIN1"],
)
def test_settings_of_others_change_nothing(gunicorn, admin_url, setting):
    """A dump of another system brings settings of its database along."""
    name = admin_url.partition("?")[0].rpartition("/")[2]
    administrator = connect(admin_url, application_name="administrator")
    with administrator.cursor() as cursor:
        cursor.execute(f"alter database {name} set {setting}")
        cursor.execute("create schema other; create table other.sessions (secret text)")
        server = gunicorn(LISTENER_CHECK_SECONDS=2)
        wait_until_ready(server)
        with open_stream(server.url, "/api/sse/sessions") as stream:
            time.sleep(1)  # longer than the idle_session_timeout
            cursor.execute("insert into public.sessions (session_name) values ('Tür – 門')")
            assert stream.changes(1)[0]["data"]["session_name"] == "Tür – 門"
        status, page = get(server, "/api/sessions")
        assert (status, page["items"][0]["session_name"]) == (200, "Tür – 門")
        assert get(server, "/api/system")[1]["reconnects"] == 0
    administrator.close()


def test_uploads_beyond_the_budget_are_refused_and_the_rest_goes_on(gunicorn):
    """A hundred unfinished bodies of 16 MB used to take 1.7 GB."""
    server = gunicorn()
    wait_until_ready(server)
    size, part = 15 * 1024 * 1024, 12 * 1024 * 1024
    request = head("POST", "/api/movements", "Content-Type: application/json", f"Content-Length: {size}")
    with ExitStack() as stack:
        refused = None
        for _ in range(8):
            sock = stack.enter_context(connection_to(server))
            try:
                sock.sendall(request + b" " * part)
            except OSError:
                pass  # it is refused while we send
            sock.settimeout(0.5)
            try:
                refused = answer(sock)
                break
            except (OSError, IndexError):
                continue
        assert refused is not None
        assert (refused[0], refused[1]["detail"][:24]) == (503, "The server holds as many")
        assert health_seconds(server) < 10
    until(lambda: get(server, "/api/sessions")[0] == 200)
    done = connection_to(server)
    body = json.dumps([]).encode()
    done.sendall(
        head("POST", "/api/movements", "Content-Type: application/json", f"Content-Length: {len(body)}") + body
    )
    assert answer(done)[0] == 200  # nothing, written: the budget is free again
    done.close()


def test_a_client_that_is_cut_is_reset(gunicorn, database_url):
    """Closed politely, its socket would keep what it never reads."""
    server = gunicorn(STUCK_SECONDS=0.5)
    wait_until_ready(server)
    stuck = socket.socket()
    stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    host, port = urlsplit(server.url).netloc.split(":")
    stuck.connect((host, int(port)))
    stuck.sendall(head("GET", "/api/sse/sessions"))
    until(lambda: get(server, "/api/system")[1]["streams"] == 1)
    writer = connect(database_url, application_name="writer")
    with writer.cursor() as cursor:
        for _ in range(40):
            cursor.execute("insert into sessions (session_name) values (repeat('x', 50000))")
    until(lambda: get(server, "/api/system")[1]["streams"] == 0, what="it is cut")
    # TCP_INFO begins with the state: 7 is closed, as after a reset; 8 would wait for us to close.
    until(lambda: struct.unpack("B", stuck.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1))[0] == 7)
    writer.close()
    stuck.close()


def test_one_address_cannot_take_all_places_of_a_worker(gunicorn):
    """5 600 bodies that never end, from one address, used to silence health for everyone."""
    server = gunicorn(MAX_STREAMS=300, MAX_STREAMS_PER_ADDRESS=20)
    wait_until_ready(server)
    began = head("POST", "/api/movements", "Content-Type: application/json", "Content-Length: 2") + b"["
    with ExitStack() as stack:
        refused = 0
        for _ in range(900):  # more than the 800 places
            sock = stack.enter_context(connection_to(server))
            with contextlib.suppress(OSError):
                sock.sendall(began)
            sock.settimeout(0.002)
            with contextlib.suppress(OSError):
                refused += sock.recv(12) == b"HTTP/1.1 503"
        assert 600 <= refused <= 680
        other = stack.enter_context(socket.create_connection(peer(server), 20, source_address=("127.0.0.2", 0)))
        other.sendall(head("GET", "/api/health"))
        assert other.recv(12) == b"HTTP/1.1 200"
    until(lambda: health_seconds(server) < 10)


def peer(server):
    host, port = urlsplit(server.url).netloc.split(":")
    return host, int(port)
