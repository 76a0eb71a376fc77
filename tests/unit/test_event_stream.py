"""The parser of event streams, case by case as the web platform's own tests of EventSource have them."""

from __future__ import annotations

import pytest

from app.cli.event_stream import EventStream

# Input, the data of the expected events (with their type where it is not "message"), the last id.
CASES = {
    "a byte order mark": ("\ufeffdata:1\n\n\ufeffdata:2\n\ndata:3\n\n", ["1", "3"], ""),
    "two byte order marks": ("\ufeff\ufeffdata:1\n\ndata:2\n\ndata:3\n\n", ["2", "3"], ""),
    "carriage returns": ("data:1\r:2\rdata:3\r\r", ["1\n3"], ""),
    "comments": (
        f"data:1\r:\0\n:\r\ndata:2\n:{'x' * 2048}\rdata:3\n:data:fail\r:{'x' * 2048}\ndata:4\n\n",
        ["1\n2\n3\n4"],
        "",
    ),
    "a data field without a colon": ("data\n\ndata\ndata\n\ndata:test\n\n", ["", "\n", "test"], ""),
    "events that are not ended": ("retry:1000\ndata:test1\n\nid:test\ndata:test2", ["test1"], ""),
    "an empty event": ("event\ndata:1\n\n", ["1"], ""),
    "event types": ("event:test\ndata:x\n\nevent: \ndata:y\n\n", [("test", "x"), "y"], ""),
    "only an event type": ("event:test\n\ndata:x\n\n", ["x"], ""),
    "the last of two event types": ("event:a\nevent:b\ndata:x\n\n", [("b", "x")], ""),
    "field names as they are": (
        "data:test\n data\ndata\nfoobar:xxx\njustsometext\n:thisisacommentyay\nDATA:no\n\n",
        ["test\n"],
        "",
    ),
    "an id with NUL": ("id:1\ndata:a\n\nid:2\0\ndata:b\n\n", ["a", "b"], "1"),
    "an id that is taken back": ("id:1\ndata:a\n\nid\ndata:b\n\n", ["a", "b"], ""),
    "an id without data": ("id: 7\n\n", [], "7"),
    "an id that is no number": ("id: …\ndata: x\n\n", ["x"], "…"),
    "a leading space": ("data:\ttest\rdata: \ndata:test\n\n", ["\ttest\n\ntest"], ""),
    "several spaces": ("data:  x \n\n", [" x "], ""),
    "mixed line ends": ("data:1\r\ndata:2\ndata:3\rdata:4\n\r\n", ["1\n2\n3\n4"], ""),
    "NUL in data": ("data:\0\n\n", ["\0"], ""),
    "colons in the value": ("data::x:y\n\n", [":x:y"], ""),
    "UTF-8": ("data:ok…é💥\n\n", ["ok…é💥"], ""),
    "blank lines only": ("\n\n\r\r\n\n", [], ""),
    "this feed": ("retry: 2976\ndata: {}\nid: 4711\n\n", ["{}"], "4711"),
}


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
