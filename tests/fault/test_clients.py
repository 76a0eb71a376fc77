"""Clients that misbehave: they lose nothing, cost the others nothing, and leave nothing behind."""

from __future__ import annotations

import json
import signal
import socket
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.event_stream import EventStream, open_stream, wait_until_ready
from tests.fault.feed import execute, stopped_reader
from tests.waiting import until

_BULK = (
    "insert into alert_logs (alert_type, alert_message)"
    " select 'bulk', repeat(md5(n::text), 60) from generate_series(1, %s) n"
)


@pytest.fixture
def server(gunicorn):
    """One worker, whose queues are short and whose ring is small."""
    started = gunicorn(WEB_CONCURRENCY=1, QUEUE_FRAMES=20, RING_BYTES=200_000, HEARTBEAT_SECONDS=0.5, STUCK_SECONDS=600)
    wait_until_ready(started)
    return started


def system(server):
    with urllib.request.urlopen(f"{server.url}/api/system", timeout=20) as response:
        return json.load(response)


def logged(url):
    execute(url, "select number_changes()")
    return [number for (number,) in execute(url, "select id from change_log order by id")]


def seen_by(stream, upto):
    """The ids of the changes that come before, or with, the word that all up to here has been sent."""
    ids = []
    while (stream.last_event_id or 0) < upto:
        message = stream.next()
        if message["type"] == "data":
            ids.append(message["data"]["id"])
    return ids


def frames(lines):
    """Whole frames, each with the last id up to it."""
    cursor, frame = None, b""
    for line in lines:
        frame += line
        if line.startswith(b"id: "):
            cursor = int(line[4:])
        elif line == b"\n":
            yield cursor, frame
            frame = b""


def narrow_socket(server, data):
    """A client for which the kernel keeps little, and what it says first."""
    host, port = urlsplit(server.url).netloc.split(":")
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.settimeout(20)
    sock.connect((host, int(port)))
    sock.sendall(data)
    return sock


def test_a_client_that_is_stopped_and_continued_gets_what_it_slept_through(server, admin_url):
    with stopped_reader(server.url) as reader, open_stream(server.url) as other:
        execute(admin_url, _BULK, (3000,))
        ids, seen = logged(admin_url), []
        assert seen_by(other, ids[-1]) == ids
        until(lambda: system(server)["overflows"], what="the stopped client's queue to overflow")
        reader.send_signal(signal.SIGCONT)
        for cursor, frame in frames(reader.stdout):
            if b'data: {"type":"data"' in frame:
                seen.append(cursor)
            if cursor == ids[-1]:  # a heartbeat tells it, too
                break
    assert seen == ids


def test_a_client_that_reads_a_byte_at_a_time_gets_whole_frames_in_order_and_holds_up_nobody(server, admin_url):
    request = b"GET /api/sse/alerts HTTP/1.0\r\n\r\n"
    with narrow_socket(server, request) as slow, open_stream(server.url) as other:
        text = bytearray()
        while b'"connection"' not in text:
            text += slow.recv(1)
        execute(admin_url, _BULK, (500,))
        for _ in range(2000):
            text += slow.recv(1)
        ids = logged(admin_url)
        assert seen_by(other, ids[-1]) == ids  # while the slow one crawls
        while not (text.endswith(b"\n\n") and b"\nid: %d\n" % ids[-1] in text):
            piece = slow.recv(100)
            assert piece, "the stream ended"
            text += piece
    frames = [frame for frame in text.decode().split("\n\n") if '"type":"data"' in frame]
    assert [int(frame.partition("\nid: ")[2]) for frame in frames] == ids


def test_an_overflow_of_the_queue_is_counted_and_costs_no_change(server, admin_url):
    with open_stream(server.url) as slow:
        execute(admin_url, _BULK, (3000,))
        until(lambda: system(server)["overflows"], what="the queue to overflow")
        execute(admin_url, _BULK, (10,))
        ids = logged(admin_url)
        assert seen_by(slow, ids[-1]) == ids


def test_a_client_that_leaves_is_noticed_without_a_heartbeat(gunicorn):
    server = gunicorn(WEB_CONCURRENCY=1, HEARTBEAT_SECONDS=3600)
    wait_until_ready(server)
    for _ in range(5):
        open_stream(server.url).close()
    with open_stream(server.url):
        until(lambda: system(server)["streams"] == 1, what="the others to be noticed as gone")


def test_a_client_that_takes_nothing_is_cut_in_the_end(gunicorn, admin_url):
    server = gunicorn(WEB_CONCURRENCY=1, STUCK_SECONDS=1)
    wait_until_ready(server)
    with stopped_reader(server.url):
        assert system(server)["streams"] == 1
        execute(admin_url, _BULK, (3000,))
        until(lambda: system(server)["streams"] == 0, what="the stuck client to be cut")


def test_an_address_with_all_its_streams_is_refused_and_rest_still_answers_it(gunicorn):
    server = gunicorn(WEB_CONCURRENCY=1, MAX_STREAMS_PER_ADDRESS=5)
    wait_until_ready(server)
    with ExitStack() as stack:
        for _ in range(5):
            stack.enter_context(open_stream(server.url))
        with EventStream(server.url) as refused:
            assert refused.head.status == 503
            assert int(refused.head.headers["Retry-After"]) >= 1
        assert system(server)["streams"] == 5
    until(lambda: system(server)["streams"] == 0, what="all to be gone")
    open_stream(server.url).close()


def test_garbage_disturbs_nobody(stage):
    with stage.writing():
        stage.faults.send_garbage()
        stage.faults.notify_garbage()
    stage.check()


def test_after_10_000_streams_a_worker_holds_what_it_held_before(server, admin_url):
    worker = system(server)["worker"]
    _come_and_go(server, 1000)  # everything has been used once
    before = _held(worker)
    _come_and_go(server, 10_000)
    execute(admin_url, _BULK, (1,))
    until(lambda: system(server)["streams"] == 0, 60, "all to be gone")
    until(lambda: _held(worker)[0] <= before[0] + 3, 20, "their sockets to be closed")  # REST keeps a few
    assert system(server)["opened"] >= 10_000
    assert _held(worker)[1] - before[1] < 10_000_000, "bytes, less than a kilobyte for each stream"


def _come_and_go(server, count):
    """Streams that are opened in hundreds and closed: half of them before, half after their first frame."""
    address = urlsplit(server.url).netloc.split(":")
    for _ in range(count // 100):
        clients = [socket.create_connection((address[0], int(address[1])), 20) for _ in range(100)]
        for client in clients:
            client.sendall(b"GET /api/sse HTTP/1.1\r\nHost: localhost\r\n\r\n")
        for client in clients[::2]:
            client.recv(100)
        for client in clients:
            client.close()


def _held(pid):
    """File descriptors, and bytes of memory."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return len(list(Path(f"/proc/{pid}/fd").iterdir())), pages * 4096
