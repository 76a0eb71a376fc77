"""What one hostile client costs everybody else: one attack at a time, against one worker.

    ./run python benchmarks/attacks.py [--attacks endless_body,…] [--seconds 60] [--clients 500]

Starts a PostgreSQL and a gunicorn of its own. The clients get 50 changes a second while a process at another address
attacks; all ids are checked, and nobody may be cut. Printed are the streams' latency from COMMIT to socket, the time
that /api/health takes (asked ten times a second), and the worker's memory before, at most, and five seconds after.
"""

from __future__ import annotations

import contextlib
import os
import random
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator

from app.config import CHECKOUT
from app.postgres.connections import connect
from benchmarks.arguments import amount, count, names, parser
from benchmarks.bench import OTHERS, Load, check, database, feed, measure, memory, prepare, writing
from tests.hostile.fuzz import mutated

_HOSTILE = "127.0.0.66"
_SESSION = "00000000-0000-4000-8000-000000000001"
_LARGE = 15 * 1024 * 1024
Sockets = list[socket.socket]


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
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: feed", *headers, "", ""]).encode()


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
    """A role of the database that notifies forged changes and garbage, 1 000 a second."""
    connection = connect(url, application_name="hostile")
    with connection.cursor() as cursor:
        while True:
            cursor.execute(
                "select pg_notify('movement_changes', format('{\"id\":%s,\"data\":{}}', (select max(id) + 1 from change_log)))"
                " from generate_series(1, 10)"
            )
            time.sleep(0.01)


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
def _attacking(name: str, port: int, url: str) -> Iterator[None]:
    if name == "none":
        yield
        return
    words = [sys.executable, __file__, "--attack", name, "--port", str(port), "--url", url]
    process = subprocess.Popen(words, env=os.environ | {"PYTHONPATH": str(CHECKOUT)})
    try:
        yield
        if process.poll() is not None:
            raise RuntimeError(f"the attack {name} ended before its time")
    finally:
        process.kill()
        process.wait()


class _Watch(threading.Thread):
    """Asks for health, and looks at the worker's memory."""

    def __init__(self, port: int, pid: int) -> None:
        super().__init__(daemon=True)
        self.seconds: list[float] = []
        self.bytes = 0
        self.failures = 0
        self._url, self._pid = f"http://127.0.0.1:{port}/api/health", pid
        self._is_over = threading.Event()

    def run(self) -> None:
        while not self._is_over.wait(0.1):
            began = time.monotonic()
            try:
                with urllib.request.urlopen(self._url, timeout=30) as response:
                    response.read()
            except OSError:
                self.failures += 1
            self.seconds.append(time.monotonic() - began)
            with contextlib.suppress(OSError):
                self.bytes = max(self.bytes, memory(self._pid))

    def end(self) -> None:
        self._is_over.set()
        self.join()


def _run(name: str, clients: int, seconds: float) -> str:
    with database() as server:
        url = server.url()
        _fill(url)
        with (
            feed(url, MAX_STREAMS=5000, MAX_STREAMS_PER_ADDRESS=1000) as ours,
            Load(ours.port, clients, dense=True) as load,
            writing("changes", url, 50),
        ):
            before = memory(ours.pid)
            watch = _Watch(ours.port, ours.pid)
            watch.start()
            with _attacking(name, ours.port, url):
                report = measure(load, ours.pid, seconds, warm_up=2)
            watch.end()
            time.sleep(5)
            check(load.report())
            check(report)
            health = sorted(watch.seconds)
            return (
                f"{name:<21} streams {report['p50']:6.1f} {report['p99']:7.1f} {report['max']:7.1f}"
                f"   health {health[len(health) // 2] * 1e3:6.1f} {health[len(health) * 99 // 100] * 1e3:7.1f}"
                f" {health[-1] * 1e3:7.1f} ({watch.failures} failed of {len(health)})"
                f"   MB {before / 1e6:5.0f} {watch.bytes / 1e6:5.0f} {memory(ours.pid) / 1e6:5.0f}"
            )


def _fill(url: str) -> None:
    """Rows enough for lists that no socket swallows."""
    connection = connect(url, application_name="benchmark")
    with connection.cursor() as cursor:
        cursor.execute("insert into sessions (id, session_name) values (%s, 'door')", (_SESSION,))
        cursor.execute(
            "insert into people_movements (session_id, person_id, movement_direction)"
            " select %s, n, 'in' from generate_series(1, 20000) n",
            (_SESSION,),
        )
    connection.close()


def main() -> None:
    command = parser(__doc__)
    lines = "".join(f"  {name:<22} {attack.__doc__}\n" for name, attack in ATTACKS.items())
    command.epilog = f"attacks:\n  none                   Only the clients.\n{lines}"
    command.add_argument("--attacks", type=names({"none": None, **ATTACKS}), default=f"none,{','.join(ATTACKS)}")
    command.add_argument("--seconds", type=amount, default=60.0, help="of each attack")
    command.add_argument("--clients", type=count, default=500)
    command.add_argument("--attack", choices=ATTACKS, help="only attack the server at --port of this machine")
    command.add_argument("--port", type=count)
    command.add_argument("--url")
    options = command.parse_args()
    if options.attack:
        os.sched_setaffinity(0, OTHERS)
        os.nice(5)  # the machine is small, and the attack is to hit the server rather than the clients
        ATTACKS[options.attack](options.port, options.url)
    prepare()
    wanted = options.attacks.split(",") if isinstance(options.attacks, str) else options.attacks
    print("milliseconds: streams p50, p99, most; health p50, p99, most. Memory: before, most, after.")
    for name in wanted:
        try:
            print(_run(name, options.clients, options.seconds), flush=True)
        except RuntimeError as error:
            print(f"{name:<21} {error}", flush=True)


if __name__ == "__main__":
    main()
