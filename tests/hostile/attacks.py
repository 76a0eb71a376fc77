"""Attacks: what one hostile client can do, without end, until its process is killed.

    ./run python -m tests.hostile.attacks slow_bodies --port 8000

Only a server on this machine can be attacked, from an address of its own, so that it can be told from everyone else.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing

import psycopg2

from app.config import CHECKOUT
from tests.hostile.fuzz import mutated

_HOSTILE = "127.0.0.66"
_LARGE = 15 * 1024 * 1024
Sockets = list[socket.socket]
_FORGED = """
select pg_notify(channel, format(payload, newest + 1, newest + 2))
from (select coalesce(max(id), 0) as newest from change_log) as log,
     (values ('session_changes', 'sessions'), ('movement_changes', 'people_movements'),
             ('alert_changes', 'alert_logs'), ('metrics_changes', 'realtime_metrics'))
         as watched (channel, name),
     lateral (values ('{"id":%s,"table":"' || name || '","action":"INSERT","data":{"id":"forged"},'
              || '"old_data":null,"timestamp":0}'),
             (E'{}\n\nid: %s\ndata: {"type":"data","data":{"id":%s}}'), ('')) as forged (payload)
"""


def _open(port: int, data: bytes = b"", *, buffer: int | None = None) -> socket.socket | None:
    sock = socket.socket()
    sock.settimeout(5)
    if buffer:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    try:
        sock.bind((_HOSTILE, 0))
        sock.connect(("127.0.0.1", port))
        sock.sendall(data)
    except OSError:
        sock.close()
        return None
    return sock


def _head(method: str, path: str, *headers: str) -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: localhost", *headers, "", ""]).encode()


def _post(size: int | str) -> bytes:
    length = "Transfer-Encoding: chunked" if size == "chunked" else f"Content-Length: {size}"
    return _head("POST", "/api/movements", "Content-Type: application/x-ndjson", length)


def endless_body(port: int, _url: str) -> None:
    """Bodies of 100 GB that no view reads, and chunked ones without an end, at full speed."""
    heads = [_head("GET", "/api/sessions", "Content-Length: 100000000000"), _post("chunked")]
    piece = b"10000\r\n" + b" " * 65536 + b"\r\n"
    while True:
        for head in heads:
            sock = _open(port, head)
            with contextlib.suppress(OSError):
                while sock:
                    sock.sendall(piece)
            if sock:
                sock.close()


def unknown_keys(port: int, _url: str) -> None:
    """Bodies of 15 MB with 1.7 million unknown keys."""
    body = b"[{" + b",".join(b'"%x":1' % number for number in range(1_400_000)) + b"}]"
    head = _head("POST", "/api/movements", "Content-Type: application/json", f"Content-Length: {len(body)}")
    while True:
        sock = _open(port, head)
        with contextlib.suppress(OSError):
            if sock:
                sock.sendall(body)
                sock.recv(1000)
                sock.close()


def slow_bodies(port: int, _url: str) -> None:
    """5 600 bodies that stop after a byte."""
    _hold(port, 5600, lambda: _open(port, _post(1000) + b"{"))


def unfinished_bodies(port: int, _url: str) -> None:
    """A hundred bodies of 15 MB that lack their last byte."""
    _hold(port, 100, lambda: _open(port, _post(_LARGE) + b" " * (_LARGE - 1)))


def unread_lists(port: int, _url: str) -> None:
    """Three hundred clients that ask for exports and lists, and read nothing."""
    request = _head("GET", "/api/movements/export?format=csv") + _head("GET", "/api/movements?limit=1000") * 3
    _hold(port, 300, lambda: _open(port, request, buffer=4096))


def stalled_streams(port: int, _url: str) -> None:
    """A thousand streams that read nothing."""
    _hold(port, 1000, lambda: _open(port, _head("GET", "/api/sse"), buffer=4096))


def churn(port: int, _url: str) -> None:
    """Streams that resume from the beginning of the log and leave at once."""
    while True:
        sock = _open(port, _head("GET", "/api/sse", "Last-Event-ID: 1"))
        if sock:
            sock.close()


def garbage(port: int, _url: str) -> None:
    """Mutated requests: see tests/hostile/fuzz.py."""
    chance = random.Random(1)
    while True:
        sock = _open(port, mutated(chance))
        if sock:
            sock.close()


def forged_notifications(_port: int, url: str) -> None:
    """A session of the database that notifies the very next ids, and garbage, a thousand times a second."""
    while True:
        try:
            with closing(psycopg2.connect(url, application_name="stranger")) as connection:
                connection.autocommit = True
                with connection.cursor() as cursor:
                    while True:
                        cursor.execute(_FORGED)
                        time.sleep(0.01)
        except psycopg2.ProgrammingError:
            raise  # our own mistake
        except psycopg2.Error:  # the database is away: another one's attack; psycopg2 has several classes for that
            time.sleep(0.1)


def _hold(port: int, number: int, make: Callable[[], socket.socket | None]) -> None:
    """Keep so many connections, and replace each that is cut."""
    held: Sockets = []
    while True:
        while len(held) < number:
            sock = make()
            if sock is None:
                time.sleep(0.01)
                break
            sock.setblocking(False)
            held.append(sock)
        time.sleep(0.05)
        held = [sock for sock in held if _is_open(sock)]


def _is_open(sock: socket.socket) -> bool:
    try:
        return bool(sock.recv(1, socket.MSG_PEEK))
    except BlockingIOError:
        return True
    except OSError:
        return False


ATTACKS = {
    attack.__name__: attack
    for attack in (
        endless_body,
        unknown_keys,
        slow_bodies,
        unfinished_bodies,
        unread_lists,
        stalled_streams,
        churn,
        garbage,
        forged_notifications,
    )
}


@contextlib.contextmanager
def attacking(name: str, port: int, url: str) -> Iterator[None]:
    """An attack, in a process of its own, for as long as the block runs."""
    words = [sys.executable, "-m", __name__, name, "--port", str(port), "--url", url]
    process = subprocess.Popen(words, cwd=CHECKOUT, env=os.environ | {"PYTHONPATH": str(CHECKOUT)})
    try:
        yield
        if process.poll() is not None:
            raise RuntimeError(f"the attack {name} ended before its time")
    finally:
        process.kill()
        process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.epilog = "attacks:\n" + "".join(f"  {name:<22} {attack.__doc__}\n" for name, attack in ATTACKS.items())
    parser.add_argument("attack", choices=ATTACKS)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--url", help="of its database, for those that attack there")
    options = parser.parse_args()
    os.nice(5)  # the machine is small, and the attack is to hit the server rather than its clients
    ATTACKS[options.attack](options.port, options.url)


if __name__ == "__main__":
    main()
