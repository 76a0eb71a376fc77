"""The parser of event streams, case by case as the web platform's own tests of EventSource have them."""

from __future__ import annotations

import pytest

from app.cli.event_stream import EventStream
from tests.event_streams import CASES


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100_000], ids="by {}".format)
@pytest.mark.parametrize(("text", "events", "last"), CASES.values(), ids=CASES)
def test_events_are_those_of_a_browser_however_the_bytes_are_cut(text, events, last, size):
    stream, data, got = EventStream(), text.encode(), []
    for start in range(0, len(data), size):
        got += [
            event.data if event.type == "message" else (event.type, event.data)
            for event in stream.feed(data[start : start + size])
        ]
    assert (got, stream.last_event_id) == (events, last)


@pytest.mark.parametrize(
    ("field", "waits"),
    [
        ("retry:3000", 3000),
        ("retry: 5", 5),
        ("retry:1000x", None),
        ("retry:", None),
        ("retry:-1", None),
        ("retry:٣", None),
    ],
)
def test_retry_takes_digits_only(field, waits):
    stream = EventStream()
    list(stream.feed(f"{field}\n".encode()))
    assert stream.retry_ms == waits


def test_bytes_that_are_not_utf_8_are_replaced():
    assert [event.data for event in EventStream().feed(b"data:\xff\n\n")] == ["\ufffd"]


def test_an_event_is_given_out_with_the_carriage_return_that_ends_it():
    stream = EventStream()
    assert list(stream.feed(b"data:1\r")) == []
    assert [event.data for event in stream.feed(b"\r")] == ["1"]
    assert [event.data for event in stream.feed(b"\ndata:2\n\n")] == ["2"]


def test_an_id_counts_with_the_event_that_carries_it():
    stream = EventStream("5")
    assert [event.last_event_id for event in stream.feed(b"data:a\n\nid:6\n")] == ["5"]
    assert stream.last_event_id == "5"  # cut here, the event that 6 belongs to is still to come
