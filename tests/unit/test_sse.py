"""The wire, byte for byte."""

import json
import re

import pytest

from app.feed import sse
from app.postgres.cursor import Cursor


def test_a_change_goes_out_as_one_data_line_and_its_id():
    frame = sse.change_frame(4711, '{"id":4711}', 1757124155.082297)
    assert frame == (b'data: {"type":"data","data":{"id":4711},"timestamp":"2025-09-06T02:02:35.082Z"}\nid: 4711\n\n')


def test_a_connection_frame_tells_topics_cursor_and_status():
    frame = sse.connection_frame({"sessions", "alerts"}, 7, "resumed", 0.0)
    data, head, *rest = frame.decode().split("\n")
    assert (head, rest) == ("id: 7", ["", ""])
    assert json.loads(data.removeprefix("data: ")) == {
        "type": "connection",
        "data": {"topics": ["alerts", "sessions"], "cursor": "7", "status": "resumed"},
        "timestamp": "1970-01-01T00:00:00.000Z",
    }


@pytest.mark.parametrize(("cursor", "end"), [(None, b"}\n\n"), (9, b"}\nid: 9\n\n")])
def test_an_error_carries_an_id_only_if_one_is_known(cursor, end):
    frame = sse.error_frame("database_unavailable", "The database is away.", cursor)
    assert frame.endswith(end)
    assert b'"error":"database_unavailable","message":"The database is away."' in frame


@pytest.mark.parametrize(("cursor", "end"), [(None, b"}\n\n"), (9, b"}\nid: 9\n\n")])
def test_a_heartbeat_carries_an_id_only_if_one_is_known(cursor, end):
    frame = sse.heartbeat_frame(cursor)
    assert frame.startswith(b'data: {"type":"heartbeat"')
    assert frame.endswith(end)


def test_no_frame_has_an_event_field():
    frames = [
        sse.change_frame(1, "{}", 0),
        sse.connection_frame([], 1, "live"),
        sse.error_frame("a", "b"),
        sse.heartbeat_frame(1),
    ]
    assert not any(re.search(rb"^event:", frame, re.MULTILINE) for frame in frames)
    assert all(frame.endswith(b"\n\n") and frame.count(b"\n\n") == 1 for frame in frames)


def test_reconnects_are_spread_over_as_long_again():
    waits = {int(sse.retry_field(2).split()[1]) for _ in range(200)}
    assert min(waits) >= 2000
    assert max(waits) <= 4000
    assert len(waits) > 100


@pytest.mark.parametrize("data", [b"x", b"y" * 300])
def test_a_chunk_is_its_length_in_hex_and_the_data(data):
    length, rest = sse.chunked(data).split(b"\r\n", 1)
    assert (int(length, 16), rest) == (len(data), data + b"\r\n")


def test_the_frame_of_a_change_can_say_what_else_was_seen():
    frame = sse.with_cursor(sse.change_frame(12, '{"id":12,"data":"\\nid: 7"}', 0), Cursor.of(12, [14, 15]))
    assert frame.endswith(b'Z"}\nid: 12,14-15\n\n')
    assert frame.count(b"\n\n") == 1
