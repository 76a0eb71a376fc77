"""The hub: every client gets what concerns it, once and in order, and a slow one costs the others nothing."""

import gevent
import gevent.socket
import pytest

from app.feed.change import Filter
from app.feed.client_socket import ClientSocket
from app.feed.hub import Full, Hub
from app.feed.subscription import Subscription
from tests.making import change

SESSIONS = Filter(frozenset(["sessions"]))
MOVEMENTS = Filter(frozenset(["movements"]))


def new_hub(**settings):
    defaults = {
        "ring_bytes": 1_000_000, "queue_frames": 10, "queue_bytes": 1_000_000,
        "max_streams": 100, "max_streams_per_address": 100,
    }  # fmt: skip
    hub = Hub(**{**defaults, **settings})
    hub.start_at(0)
    hub.set_available(True)
    return hub


def join(hub, wanted=SESSIONS, **fields):
    """A client that is live and never rests, so that all comes into its queue."""
    subscription = Subscription(wanted, **fields)
    subscription.cursor = hub.cursor
    hub.add(subscription)
    assert hub.go_live(subscription)
    return subscription


def queued(subscription):
    return [each.id for each in subscription.queue]


def movement(cursor, session, **fields):
    return change(cursor, table="people_movements", data={"session_id": session}, **fields)


def test_changes_reach_those_whom_they_concern():
    hub = new_hub()
    everything, one, other = join(hub), join(hub, Filter(frozenset(["sessions"]), "row-2")), join(hub, MOVEMENTS)
    hub.publish([change(1), change(2)])
    assert [queued(each) for each in (everything, one, other)] == [[1, 2], [2], []]


def test_a_row_that_moved_reaches_both_sessions_once():
    hub = new_hub()
    subscriptions = [join(hub, Filter(frozenset(["movements"]), session)) for session in ("a", "b", "c")]
    hub.publish([movement(1, "a", old_data={"session_id": "b"})])
    assert [queued(each) for each in subscriptions] == [[1], [1], []]


def test_a_client_that_is_not_live_gets_nothing_and_finds_it_in_the_ring():
    hub = new_hub()
    late = Subscription(SESSIONS)
    hub.add(late)
    hub.publish([change(1)])
    assert queued(late) == []
    assert not hub.go_live(late)
    assert hub.ring.piece(late.cursor, SESSIONS).frames == change(1).frame


def test_a_change_up_to_the_own_cursor_is_not_repeated():
    hub = new_hub()
    ahead = Subscription(SESSIONS)
    ahead.cursor = 2  # another worker heard these first
    hub.add(ahead)
    assert hub.go_live(ahead)
    hub.publish([change(1), change(2), change(3)])
    assert queued(ahead) == [3]


def test_an_overflow_drops_the_queue_and_goes_back_behind_it():
    hub = new_hub(queue_frames=3)
    slow = join(hub)
    hub.publish([change(1), change(2)])
    assert [each.id for each in slow.take()] == [1, 2]
    hub.publish([change(cursor) for cursor in range(3, 8)])
    assert (slow.is_live, slow.queue, slow.cursor) == (False, [], 2)
    assert hub.counts["overflows"] == 1
    assert hub.ring.piece(slow.cursor, SESSIONS)[1:3] == (5, 7)


def test_a_queue_is_bounded_in_bytes_too():
    hub = new_hub(queue_bytes=500)
    slow = join(hub)
    hub.publish([change(1, data={"id": "x" * 600})])
    assert (slow.is_live, slow.queue) == (False, [])


def test_truncate_and_test_reach_everyone_on_the_topic():
    hub = new_hub()
    narrow, other = join(hub, Filter(frozenset(["movements"]), "a")), join(hub, SESSIONS)
    hub.publish([movement(1, None, action="TEST"), movement(2, None, action="TRUNCATE")])
    assert (queued(narrow), queued(other)) == ([1, 2], [])


def test_streams_are_capped_for_the_worker_and_for_an_address():
    hub = new_hub(max_streams=3, max_streams_per_address=2)
    first, _ = join(hub, address="a"), join(hub, address="a")
    with pytest.raises(Full, match="a has 2 streams"):
        join(hub, address="a")
    join(hub, address="b")
    with pytest.raises(Full, match="3 streams open"):
        join(hub, address="c")
    hub.remove(first)
    hub.remove(first)
    join(hub, address="a")
    assert hub.stream_count == 3


def test_nothing_stays_behind_when_all_have_left():
    hub = new_hub()
    gone = [join(hub, Filter(frozenset(["sessions", "alerts"]), str(number % 7))) for number in range(50)]
    for subscription in gone:
        hub.remove(subscription)
    assert hub.stream_count == 0
    assert not hub._index
    assert not hub._groups
    assert not hub._streams_of_address


def test_a_log_that_restarts_voids_what_was_queued():
    hub = new_hub()
    subscription = join(hub)
    hub.publish([change(1)])
    hub.start_at(500)
    assert (subscription.queue, subscription.is_live, hub.generation, hub.handed_out) == ([], False, 2, 500)


@pytest.fixture
def pair():
    ours, theirs = gevent.socket.socketpair()
    theirs.settimeout(30)
    yield ours, theirs
    ours.close()
    theirs.close()


@pytest.fixture
def resting(pair):
    """A function that joins a client with a socket to a hub, at rest; ``woken`` tells how often it was woken."""
    clients = []

    def make(hub, **settings):
        subscription = join(hub, **settings)
        subscription.client = ClientSocket(
            pair[0], is_chunked=subscription.is_chunked, stuck_seconds=5, on_gone=subscription.leave
        )
        clients.append(subscription.client)
        woken = []
        subscription.rest(lambda: woken.append(True), subscription.client.send)
        return subscription, woken

    yield make
    for outlet in clients:
        outlet.close()


def test_a_resting_client_is_written_to_directly(pair, resting):
    hub = new_hub()
    subscription, woken = resting(hub)
    first, second = change(1), change(2)
    hub.publish([first, second])
    assert pair[1].recv(10_000) == first.frame + second.frame
    assert (subscription.queue, subscription.cursor, woken) == ([], 2, [])


def test_a_resting_client_that_is_ahead_gets_only_what_is_new_to_it(resting):
    hub = new_hub()
    subscription, woken = resting(hub)
    subscription.cursor = 2  # another worker heard these first
    hub.publish([change(1)])
    hub.publish([change(2), change(3)])
    assert (queued(subscription), woken) == ([3], [True])


def test_on_a_chunked_wire_what_is_written_directly_is_a_chunk(pair, resting):
    hub = new_hub()
    resting(hub, is_chunked=True)
    one = change(1)
    hub.publish([one])
    assert pair[1].recv(10_000) == b"%x\r\n%b\r\n" % (len(one.frame), one.frame)


def test_after_a_short_write_everything_takes_the_queue(resting):
    hub = new_hub(queue_frames=1000, queue_bytes=10_000_000)
    subscription, woken = resting(hub)
    for cursor in range(1, 1000):
        hub.publish([change(cursor, data={"id": "x" * 5_000})])
        if subscription.client.unsent:
            break
    assert subscription.client.unsent
    assert (subscription.send, woken) == (None, [True])
    hub.publish([change(cursor + 1)])
    assert queued(subscription) == [cursor + 1]
    assert woken == [True]


@pytest.mark.parametrize("took", [0, 1, 40])
def test_what_the_socket_did_not_take_is_kept(resting, took):
    hub = new_hub()
    subscription, woken = resting(hub)
    one = change(1)
    subscription.send = lambda data: took
    hub.publish([one])
    assert (subscription.client.unsent, subscription.cursor, woken) == (one.frame[took:], 1, [True])


def test_a_socket_that_would_block_keeps_the_whole_frame(resting):
    hub = new_hub()
    subscription, woken = resting(hub)
    one = change(1)

    def full(data):
        raise BlockingIOError

    subscription.send = full
    hub.publish([one])
    assert (subscription.client.unsent, subscription.gone, woken) == (one.frame, None, [True])


def test_a_client_whose_socket_fails_leaves_and_disturbs_nobody(pair, resting):
    hub = new_hub()
    subscription, woken = resting(hub)
    other = join(hub)
    pair[1].close()
    hub.publish([change(1)])
    assert subscription.gone
    assert woken == [True]
    assert queued(other) == [1]


def test_who_rests_without_being_live_is_not_written_to(resting):
    hub = new_hub()
    subscription, _ = resting(hub)
    subscription.is_live = False
    subscription.rest(lambda: None, subscription.client.send)
    assert subscription.send is None


def test_a_heartbeat_goes_to_a_resting_client_without_waking_it(pair, resting):
    hub = new_hub()
    subscription, woken = resting(hub, wanted=MOVEMENTS)
    hub.publish([change(1)])  # of sessions: not its own
    hub.beat(0)
    frame = pair[1].recv(10_000)
    assert frame.startswith(b'data: {"type":"heartbeat"')
    assert frame.endswith(b"\nid: 1\n\n")
    assert (subscription.cursor, woken) == (1, [])
    hub.beat(60)
    pair[1].setblocking(False)
    with pytest.raises(BlockingIOError):
        pair[1].recv(1)


def test_a_heartbeat_before_the_place_in_the_log_is_known_is_left_to_the_stream(resting):
    hub = Hub(
        ring_bytes=1000, queue_frames=10, queue_bytes=1000, max_streams=10, max_streams_per_address=10
    )  # fmt: skip
    _, woken = resting(hub)
    hub.beat(0)
    assert woken == [True]


def test_a_heartbeat_wakes_a_client_that_is_ahead_of_what_was_handed_out(resting):
    hub = new_hub()
    subscription, woken = resting(hub)
    subscription.cursor = 7  # handed over in the middle of a fan-out
    hub.beat(0)
    assert woken == [True]


def test_a_large_fan_out_lets_the_loop_run_and_stays_in_order():
    hub = new_hub(max_streams=2000, max_streams_per_address=2000)
    crowd = [join(hub) for _ in range(1000)]
    seen_between = []
    observer = gevent.spawn(lambda: seen_between.append((hub.cursor, hub.handed_out)))
    hub.publish([change(1)])
    observer.join()
    hub.publish([change(2)])
    assert seen_between == [(1, 0)]  # the cursor runs ahead while the fan-out is under way
    assert hub.handed_out == 2
    assert {tuple(queued(each)) for each in crowd} == {(1, 2)}


def test_nobody_is_always_the_last_to_be_served():
    hub = new_hub(max_streams=2000, max_streams_per_address=2000)
    crowd = [join(hub) for _ in range(1000)]
    served = []
    for subscription in crowd:
        subscription.rest(lambda: None, lambda data: served.append(len(served)) or len(data))
        subscription.send = lambda data, who=subscription: served.append(who) or len(data)
    lasts = set()
    for cursor in range(1, 5):
        served.clear()
        hub.publish([change(cursor)])
        assert len(set(served)) == len(served) == 1000
        lasts.add(served[-1])
    assert len(lasts) == 4


def test_who_goes_live_during_a_fan_out_gets_the_change_once():
    hub = new_hub(max_streams=2000, max_streams_per_address=2000)
    for _ in range(600):
        join(hub)
    late = Subscription(SESSIONS)
    seen = []

    def go_live():
        hub.add(late)
        seen.extend([1] * hub.ring.piece(0, SESSIONS).number)
        late.cursor = hub.cursor
        assert hub.go_live(late)

    comer = gevent.spawn(go_live)
    hub.publish([change(1)])
    comer.get(timeout=5)
    hub.publish([change(2)])
    assert seen + queued(late) == [1, 2]
