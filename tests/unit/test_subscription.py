"""The subscription: every event in every state leads where the table in its module says."""

from __future__ import annotations

import re

import pytest

from app.feed import subscription as module
from app.feed.change import Filter
from app.feed.subscription import Subscription
from tests.making import change

SESSIONS = Filter(frozenset(["sessions"]))
ROOM = {"max_frames": 10, "max_bytes": 1_000_000}
HUB_CURSOR = 5


def table():
    """(state, event) → what the module's docstring says."""
    rows = [
        [cell.strip() for cell in line.strip("| ").split("|")]
        for line in module.__doc__.splitlines()
        if line[:1] == "|"
    ]
    [_, *events], _, *states = rows
    return {
        (state, event): outcome
        for [state, *cells] in states
        for event, outcome in zip(events, cells, strict=True)
    }  # fmt: skip


TABLE = table()
STATES = ("behind", "live", "resting", "waiting", "expelled", "gone")
EVENTS = ("go_live", "enqueue", "lag", "rest", "wake", "restart", "expel", "leave")


def in_state(state):
    """A subscription in this state, and the list that each wake is noted in."""
    subscription, woken = Subscription(SESSIONS), []
    subscription.advance(HUB_CURSOR)
    if state in ("live", "resting"):
        assert subscription.go_live(HUB_CURSOR)
    if state in ("resting", "waiting"):
        subscription.rest(lambda: woken.append("state"), send=len)
    if state == "expelled":
        subscription.expel()
    if state == "gone":
        subscription.leave("closed")
    assert subscription.state == state
    return subscription, woken


def apply(subscription, event):
    match event:
        case "go_live":
            subscription.go_live(HUB_CURSOR)
        case "enqueue":
            subscription.enqueue([change(HUB_CURSOR + 1)], **ROOM)
        case "rest":
            subscription.rest(lambda: None, send=len)
        case "leave":
            subscription.leave("closed by the client")
        case _:
            getattr(subscription, event)()


def test_the_table_has_every_state_and_event():
    assert set(TABLE) == {(state, event) for state in STATES for event in EVENTS}


@pytest.mark.parametrize(("state", "event"), sorted(TABLE))
def test_each_event_leads_where_the_table_says(state, event):
    outcome = TABLE[state, event]
    subscription, woken = in_state(state)
    apply(subscription, event)
    wanted = state if outcome == "ignored" else re.split(r"\W", outcome)[0]
    assert subscription.state == wanted
    assert len(subscription.queue) == ("queued" in outcome)
    # A rest that ends calls on_wake, once; a rest that goes on does not.
    assert len(woken) == (state in ("resting", "waiting") and wanted not in ("resting", "waiting"))


@pytest.mark.parametrize("state", STATES)
def test_only_a_resting_client_may_be_written_to(state):
    subscription, _ = in_state(state)
    assert (subscription.send is not None) == (state == "resting")


def test_a_client_that_is_not_up_to_the_hub_stays_behind():
    subscription = Subscription(SESSIONS)
    assert not subscription.go_live(HUB_CURSOR)
    assert subscription.state == "behind"


@pytest.mark.parametrize("room", [{"max_frames": 1, "max_bytes": 10**9}, {"max_frames": 9, "max_bytes": 10}])
@pytest.mark.parametrize("state", ["live", "resting"])
def test_a_queue_that_overflows_leads_back_to_the_last_change_that_was_taken(state, room):
    subscription, woken = in_state(state)
    changes = [change(HUB_CURSOR + 3), change(HUB_CURSOR + 4)]
    assert not subscription.enqueue(changes, **room)
    assert (subscription.state, subscription.queue, subscription.queue_bytes) == ("behind", [], 0)
    assert subscription.cursor == HUB_CURSOR + 2
    assert len(woken) == (state == "resting")


def test_changes_are_queued_behind_those_that_wait():
    subscription, _ = in_state("live")
    for number in (6, 7):
        assert subscription.enqueue([change(number)], **ROOM)
    taken = subscription.take()
    assert [one.id for one in taken] == [6, 7]
    assert (subscription.cursor, subscription.queue, subscription.queue_bytes) == (7, [], 0)


def test_the_empty_queue_that_all_share_stays_empty():
    for _ in range(2):
        subscription, _ = in_state("live")
        subscription.enqueue([change(6)], **ROOM)
        subscription.enqueue([change(7)], **ROOM)
    assert Subscription(SESSIONS).queue == []


def test_a_client_that_rests_when_it_is_gone_is_woken_at_once():
    subscription, _ = in_state("gone")
    woken = []
    subscription.rest(lambda: woken.append(True))
    assert woken == [True]


def test_the_first_reason_for_leaving_stands():
    subscription, _ = in_state("live")
    subscription.leave("closed by the client")
    subscription.leave("something that followed from it")
    assert subscription.gone == "closed by the client"


def test_waiting_ends_with_the_time_or_with_a_wake():
    subscription, _ = in_state("live")
    subscription.wait(0.001)
    assert subscription.state == "live"
    subscription.leave("closed")
    subscription.wait()


def test_a_heartbeat_that_the_socket_takes_moves_the_cursor():
    subscription, sent = Subscription(SESSIONS), []

    def send(data):
        sent.append(data)
        return len(data)

    subscription.go_live(0)
    subscription.rest(lambda: None, send)
    subscription.beat(b"beat", 8, 100.0)
    assert (sent, subscription.cursor, subscription.beat_at, subscription.state) == ([b"beat"], 8, 100.0, "resting")


@pytest.mark.parametrize(("error", "state"), [(BlockingIOError(), "live"), (ConnectionResetError("reset"), "gone")])
def test_a_socket_that_takes_nothing_ends_the_rest(error, state):
    subscription = Subscription(SESSIONS)

    def send(_data):
        raise error

    subscription.go_live(0)
    subscription.rest(lambda: None, send)
    subscription.beat(b"beat", 0, 100.0)
    assert subscription.state == state
