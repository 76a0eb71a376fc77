"""The cursor: a set of changes as text, which clients keep and send back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.postgres.cursor import MAX_BEYOND, Cursor

IDS = st.frozensets(st.integers(1, 40))


def seen(cursor):
    return set(range(1, cursor.upto + 1)) | cursor.beyond


@pytest.mark.parametrize(
    ("text", "upto", "beyond"),
    [
        ("0", 0, []),
        ("9223372036854775807", 9223372036854775807, []),
        ("4711,4713,4715-4717", 4711, [4713, 4715, 4716, 4717]),
        ("7,8,10", 8, [10]),
    ],
)
def test_a_cursor_is_read(text, upto, beyond):
    assert Cursor.read(text) == Cursor(upto, frozenset(beyond))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-1",
        "+1",
        "1.0",
        "abc",
        "٣",
        "1" * 20,
        " 1",
        "1\n",
        "0x10",
        "1,",
        ",1",
        "3,2",
        "3,3",
        "1,5-4",
        "1,3-5,4",
        "1,3-",
        "1,-3",
        "1,3--4",
        f"1,3-{MAX_BEYOND + 3}",
        "1" + ",3" * 1000,
        "0,2-9223372036854775807",
    ],
)
def test_what_cannot_be_a_cursor_is_none(text):
    assert Cursor.read(text) is None


@given(st.integers(0, 20), IDS)
def test_its_text_is_read_as_what_it_was(upto, beyond):
    cursor = Cursor.of(upto, beyond)
    assert Cursor.read(str(cursor)) == cursor
    assert seen(cursor) == set(range(1, upto + 1)) | {number for number in beyond if number > upto}
    assert cursor.upto + 1 not in cursor.beyond
    assert cursor.newest == max(seen(cursor), default=0)


@given(st.integers(0, 20), IDS, st.integers(0, 40))
def test_it_advances_by_all_up_to_an_id(upto, beyond, further):
    cursor = Cursor.of(upto, beyond)
    assert seen(cursor.advanced(further)) == seen(cursor) | set(range(1, further + 1))
