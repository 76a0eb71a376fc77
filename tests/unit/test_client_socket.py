"""The outlet on real sockets: those that take everything, a byte, half a frame, nothing, or fail."""

import socket

import gevent
import gevent.socket
import pytest

from app.feed.client_socket import ClientSocket, Gone


@pytest.fixture
def pair():
    ours, theirs = gevent.socket.socketpair()
    theirs.settimeout(30)
    yield ours, theirs
    ours.close()
    theirs.close()


def outlet_of(sock, *, is_chunked=False, stuck_seconds=5.0, left=None):
    left = [] if left is None else left
    return ClientSocket(sock, is_chunked=is_chunked, stuck_seconds=stuck_seconds, on_gone=left.append)


def fill(outlet):
    """Send until the socket is full, as the hub does; returns how many bytes were offered."""
    offered = 0
    while not outlet.unsent:
        data = b"x" * 10_000
        try:
            outlet.unsent = data[outlet.send(data) :]
        except BlockingIOError:
            outlet.unsent = data
        offered += 10_000
    return offered


def read(sock, size):
    data = b""
    while len(data) < size:
        piece = sock.recv(size - len(data))
        assert piece, f"closed after {len(data)} bytes"
        data += piece
    return data


def test_what_is_sent_goes_out_at_once(pair):
    outlet = outlet_of(pair[0])
    assert outlet.send(b"hello") == 5
    assert pair[1].recv(100) == b"hello"
    outlet.close()


def test_the_socket_is_the_outlets_alone(pair):
    outlet = outlet_of(pair[0])
    pair[0].close()  # as the server does that gave it away
    outlet.write(b"hello")
    assert pair[1].recv(100) == b"hello"
    outlet.close()
    assert pair[1].recv(100) == b""


@pytest.mark.parametrize(("is_chunked", "end"), [(True, b"0\r\n\r\n"), (False, b"")])
def test_the_end_of_a_response_is_told_as_the_wire_wants_it(pair, is_chunked, end):
    outlet = outlet_of(pair[0], is_chunked=is_chunked)
    outlet.end()
    outlet.close()
    assert read(pair[1], len(end)) + pair[1].recv(100) == end


def test_what_a_full_socket_does_not_take_goes_out_before_anything_else(pair):
    outlet = outlet_of(pair[0])
    offered = fill(outlet)
    assert 0 < len(outlet.unsent) <= 10_000
    writer = gevent.spawn(outlet.write, b"the end")
    assert read(pair[1], offered + 7) == b"x" * offered + b"the end"
    writer.get(timeout=5)
    assert outlet.unsent == b""
    outlet.close()


def test_a_socket_that_takes_a_few_bytes_at_a_time_keeps_the_order(pair):
    outlet = outlet_of(pair[0], is_chunked=True)
    outlet._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
    frames = [bytes([65 + number]) * 5_000 for number in range(20)]
    writer = gevent.spawn(lambda: [outlet.write(frame) for frame in frames])
    wanted = b"".join(b"%x\r\n%b\r\n" % (len(frame), frame) for frame in frames)
    assert read(pair[1], len(wanted)) == wanted
    writer.get(timeout=5)
    outlet.close()


def test_writing_nothing_sends_what_is_unsent_and_no_empty_chunk(pair):
    outlet = outlet_of(pair[0], is_chunked=True)
    offered = fill(outlet)
    writer = gevent.spawn(outlet.write)
    assert read(pair[1], offered) == b"x" * offered
    writer.get(timeout=5)
    outlet.close()
    assert pair[1].recv(1) == b""


def test_a_client_that_takes_nothing_is_cut(pair):
    outlet = outlet_of(pair[0], stuck_seconds=0.05)
    fill(outlet)
    with pytest.raises(Gone, match=r"read nothing for 0\.05 s"):
        outlet.write(b"more")
    outlet.close()


def test_a_client_that_leaves_is_noticed_without_writing(pair):
    left = []
    outlet = outlet_of(pair[0], left=left)
    pair[1].close()
    with gevent.Timeout(30):
        while not left:
            gevent.sleep(0.001)
    assert left == ["closed by the client"]
    outlet.close()


def test_writing_to_a_client_that_left_says_so(pair):
    outlet = outlet_of(pair[0])
    pair[1].close()
    with pytest.raises(Gone):
        outlet.write(b"hello")
    outlet.close()


def test_a_client_that_sends_a_flood_is_cut(pair):
    left = []
    outlet = outlet_of(pair[0], left=left)
    sender = gevent.spawn(pair[1].sendall, b"?" * 100_000)
    with gevent.Timeout(30):
        while not left:
            gevent.sleep(0.001)
    assert "unexpected bytes" in left[0]
    sender.kill()
    outlet.close()


def test_a_little_noise_is_forgiven(pair):
    left = []
    outlet = outlet_of(pair[0], left=left)
    pair[1].sendall(b"GET / HTTP/1.1\r\n\r\n")
    gevent.idle()
    outlet.write(b"hello")
    assert (pair[1].recv(100), left) == (b"hello", [])
    outlet.close()
