"""The courier: runs only while the hub cannot write itself, misses nothing, and ends what it began."""

import gevent
import gevent.socket
import pytest

from app.feed.change import Filter
from app.feed.hub import Hub
from app.feed.log import ChangeLog
from app.feed.sender import HandedOver, Sender
from app.feed.sse import chunked
from app.feed.stream import Stream
from app.feed.subscription import Subscription
from app.postgres.cursor import Cursor
from tests.making import change

SESSIONS = Filter(frozenset(["sessions"]))


@pytest.fixture
def hub():
    hub = Hub(ring_bytes=100_000_000, queue_frames=5, queue_bytes=1_000_000, max_streams=10, max_streams_per_address=10)
    hub.start_at(0)
    hub.set_available(True)
    return hub


@pytest.fixture
def client(hub):
    """A function that opens a stream; gives its subscription and the client's end of the connection."""
    ends = []

    def open_stream(wanted=SESSIONS, asked=None, **settings):
        ours, theirs = gevent.socket.socketpair()
        theirs.settimeout(30)
        ends.append(theirs)
        subscription = Subscription(wanted, "here", is_chunked=settings.get("is_chunked", False))
        hub.add(subscription)
        stream = Stream(
            hub, ChangeLog("postgresql://nowhere/"), subscription, asked, heartbeat_seconds=60, retry_seconds=2
        )
        sender = Sender(hub, subscription, stream, ours, stuck_seconds=settings.get("stuck_seconds", 5))
        gevent.spawn(serve, sender)
        return subscription, theirs

    def serve(sender):
        """As the server does, but for the head of the response: chunks are the client socket's from the second on."""
        try:
            for data in sender:
                sender._sock.sendall(chunked(data) if sender._subscription.is_chunked else data)
        except HandedOver:
            pass
        finally:
            sender.close()

    yield open_stream
    for end in ends:
        end.close()


def until(condition):
    with gevent.Timeout(30):
        while not condition():
            gevent.sleep(0.001)


def read_until(sock, end):
    data = b""
    while not data.endswith(end):
        piece = sock.recv(1_000_000)
        assert piece, f"closed after {data[-200:]!r}"
        data += piece
    return data


def test_a_client_rests_once_it_has_heard_where_it_stands(hub, client):
    subscription, theirs = client()
    assert b'"status":"live"' in theirs.recv(10_000)
    until(lambda: subscription.send)
    one = change(1)
    hub.publish([one])
    assert theirs.recv(10_000) == one.frame


def test_a_slow_client_gets_everything_in_order_and_rests_again(hub, client):
    subscription, theirs = client()
    until(lambda: subscription.send)
    changes = [change(cursor, data={"id": "x" * 50_000}) for cursor in range(1, 60)]
    for each in changes:
        hub.publish([each])
    assert subscription.send is None
    assert hub.counts["overflows"] > 0
    got = read_until(theirs, changes[-1].frame)
    assert got.split(b"\n\n", 1)[1] == b"".join(each.frame for each in changes)
    until(lambda: subscription.send)
    last = change(60)
    hub.publish([last])
    assert theirs.recv(10_000) == last.frame


def test_what_a_short_write_left_goes_out_though_nothing_follows(hub, client):
    subscription, theirs = client()
    until(lambda: subscription.send)
    theirs.recv(10_000)
    large = change(1, data={"id": "x" * 3_000_000})
    hub.publish([large])
    assert subscription.client.unsent
    assert read_until(theirs, b"\n\n") == large.frame
    until(lambda: subscription.send)


def test_a_client_that_is_behind_does_not_rest_where_nothing_is_for_it(hub, client):
    one = change(2000, table="people_movements", data={"session_id": "a"})
    hub.publish([*[change(cursor) for cursor in range(1, 2000)], one])
    subscription, theirs = client(Filter(frozenset(["movements"])), asked=Cursor(0))
    assert read_until(theirs, one.frame).count(b'"type":"data"') == 1
    until(lambda: subscription.send)


@pytest.mark.parametrize(("is_chunked", "end"), [(True, b"\r\n0\r\n\r\n"), (False, b"\n")])
def test_a_drain_ends_the_response_and_the_connection(hub, client, is_chunked, end):
    subscription, theirs = client(is_chunked=is_chunked)
    until(lambda: subscription.send)
    theirs.recv(10_000)
    hub.drain()
    last = read_until(theirs, end)
    assert b"retry: " in last
    assert theirs.recv(10) == b""
    assert hub.stream_count == 0


def test_a_client_that_leaves_at_rest_is_forgotten(hub, client):
    subscription, theirs = client()
    until(lambda: subscription.send)
    theirs.recv(10_000)
    theirs.close()
    until(lambda: hub.stream_count == 0)
    assert subscription.gone == "closed by the client"
    assert subscription.client is None


def test_a_client_that_takes_nothing_is_cut(hub, client):
    subscription, _ = client(stuck_seconds=0.05)
    until(lambda: subscription.send)
    for cursor in range(1, 20):
        hub.publish([change(cursor, data={"id": "x" * 100_000})])
    until(lambda: hub.stream_count == 0)
    assert "read nothing" in subscription.gone


def test_a_stream_that_fails_is_cut_and_logged(hub, client, monkeypatch, caplog):
    subscription, theirs = client()
    until(lambda: subscription.send)
    theirs.recv(10_000)
    monkeypatch.setattr(Stream, "next", lambda self: 1 / 0)
    subscription.wake()
    assert theirs.recv(10) == b""
    until(lambda: hub.stream_count == 0)
    assert "a stream of here failed" in caplog.text
