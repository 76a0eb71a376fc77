"""The ring: bounded, ordered, honest about how far it reaches back."""

from app.ring import Ring
from tests.making import change


def ids(changes):
    return [each.id for each in changes]


def test_it_gives_what_follows_a_cursor():
    ring = Ring(1_000_000)
    ring.start_at(10)
    ring.append([change(11), change(13)])
    assert ids(ring.after(10)) == [11, 13]
    assert ids(ring.after(11)) == [13]
    assert ids(ring.after(12)) == [13]
    assert ring.after(13) == []
    assert ring.after(99) == []


def test_it_says_when_it_does_not_reach_back():
    ring = Ring(1_000_000)
    ring.start_at(10)
    assert ring.after(9) is None
    assert ring.after(10) == []


def test_it_forgets_the_oldest_and_moves_its_floor():
    ring = Ring(10_000)
    ring.start_at(0)
    for cursor in range(1, 101):
        ring.append([change(cursor)])
        assert ring.bytes <= 10_000
    assert ring.floor > 80
    assert ids(ring.after(ring.floor)) == list(range(ring.floor + 1, 101))
    assert ring.after(ring.floor - 1) is None


def test_a_change_larger_than_the_ring_leaves_it_empty_and_at_its_cursor():
    ring = Ring(100)
    ring.start_at(0)
    ring.append([change(5)])
    assert (len(ring), ring.bytes, ring.floor, ring.cursor) == (0, 0, 5, 5)


def test_starting_anew_forgets_everything():
    ring = Ring(1_000_000)
    ring.start_at(0)
    ring.append([change(1)])
    ring.start_at(100)
    assert (len(ring), ring.bytes, ring.after(1), ring.after(100)) == (0, 0, None, [])
