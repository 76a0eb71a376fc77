"""The ring: bounded, ordered, honest about how far it reaches back."""

import pytest

from app.feed.change import Filter
from app.feed.ring import Ring
from tests.making import change

SESSIONS = Filter(frozenset(["sessions"]))
MOVEMENTS = Filter(frozenset(["movements"]))


def read(ring, cursor, wanted=SESSIONS):
    """All pieces from a cursor on: how many changes each has, and where it ends; and that they are the right bytes."""
    pieces, frames = [], b""
    while cursor < ring.cursor:
        piece = ring.piece(cursor, wanted)
        assert piece.cursor > cursor
        cursor = piece.cursor
        pieces.append((piece.number, cursor))
        frames += piece.frames
    return pieces, frames


def frames_of(changes):
    return b"".join(each.frame for each in changes)


def test_it_gives_what_follows_a_cursor():
    ring, changes = Ring(1_000_000), [change(11), change(13)]
    ring.start_at(10)
    ring.append(changes)
    assert read(ring, 10) == ([(2, 13)], frames_of(changes))
    assert read(ring, 11) == read(ring, 12) == ([(1, 13)], frames_of(changes[1:]))
    assert ring.piece(13, SESSIONS)[:3] == (b"", 0, 13)
    assert ring.piece(99, SESSIONS)[:3] == (b"", 0, 99)


def test_it_says_when_it_does_not_reach_back():
    ring = Ring(1_000_000)
    ring.start_at(10)
    assert ring.piece(9, SESSIONS) is None
    assert ring.piece(10, SESSIONS)[:3] == (b"", 0, 10)


def test_pieces_end_at_round_ids_so_that_clients_soon_share_them():
    ring, changes = Ring(100_000_000), [change(cursor) for cursor in range(1, 1000)]
    ring.start_at(0)
    ring.append(changes)
    assert read(ring, 3) == ([(253, 256), (256, 512), (256, 768), (231, 999)], frames_of(changes[3:]))
    assert ring.piece(256, SESSIONS) is ring.piece(256, SESSIONS)


def test_a_piece_that_ended_with_the_ring_goes_on_with_it():
    ring, changes = Ring(100_000_000), [change(cursor) for cursor in range(1, 10)]
    ring.start_at(0)
    for each in changes:
        ring.append([each])
        assert read(ring, 0) == ([(each.id, each.id)], frames_of(changes[: each.id]))


def test_a_piece_is_bounded_in_bytes_too_and_kept_all_the_same():
    ring, changes = Ring(100_000_000), [change(cursor, data={"id": "x" * 50_000}) for cursor in range(1, 20)]
    ring.start_at(0)
    ring.append(changes)
    pieces, frames = read(ring, 0)
    assert frames == frames_of(changes)
    assert [count for count, _ in pieces] == [6, 6, 6, 1]
    assert ring.piece(6, SESSIONS) is ring.piece(6, SESSIONS)


def test_pieces_have_only_what_matches_and_go_on_all_the_same():
    ring, one = Ring(100_000_000), change(700, table="people_movements", data={"session_id": "a"})
    ring.start_at(0)
    ring.append([*[change(cursor) for cursor in range(1, 700)], one])
    assert read(ring, 0, MOVEMENTS) == ([(0, 256), (0, 512), (1, 700)], one.frame)


def test_ids_that_leap_cost_no_steps():
    ring, changes = Ring(1_000_000), [change(1), change(10**18)]
    ring.start_at(0)
    ring.append(changes)
    assert read(ring, 0) == ([(1, 256), (1, 10**18)], frames_of(changes))


@pytest.mark.parametrize("filters", [1, 40])
def test_what_is_kept_of_pieces_is_bounded(filters):
    ring = Ring(100_000_000)
    ring.start_at(0)
    ring.append([change(cursor) for cursor in range(1, 1000)])
    for number in range(filters):
        for cursor in range(0, 999, 7):
            ring.piece(cursor, Filter(frozenset(["sessions"]), f"row-{number}"))
    assert len(ring._pieces) == 16


def test_it_forgets_the_oldest_and_moves_its_floor():
    ring, changes = Ring(10_000), [change(cursor) for cursor in range(1, 101)]
    ring.start_at(0)
    for each in changes:
        ring.append([each])
        assert ring.bytes <= 10_000
    assert ring.floor > 80
    assert read(ring, ring.floor)[1] == frames_of(changes[ring.floor :])
    assert ring.piece(ring.floor - 1, SESSIONS) is None


def test_a_change_larger_than_the_ring_leaves_it_empty_and_at_its_cursor():
    ring = Ring(100)
    ring.start_at(0)
    ring.append([change(5)])
    assert (len(ring), ring.bytes, ring.floor, ring.cursor) == (0, 0, 5, 5)


def test_restarting_forgets_everything():
    ring = Ring(1_000_000)
    ring.start_at(0)
    ring.append([change(1)])
    ring.piece(0, SESSIONS)
    ring.start_at(100)
    assert (len(ring), ring.bytes, ring.piece(1, SESSIONS)) == (0, 0, None)
    ring.start_at(0)
    assert ring.piece(0, SESSIONS)[:3] == (b"", 0, 0)
