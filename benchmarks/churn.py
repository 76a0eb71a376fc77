"""Does a worker stay the same size while clients come, go, crawl and vanish?

    ./run python benchmarks/churn.py --minutes 60

Starts a PostgreSQL and a gunicorn of its own with one worker, writes changes all the time, and opens and ends streams:
politely, with a reset, in the middle of the request, never reading, or reading a byte at a time. Prints the worker's
memory, file descriptors and streams once a minute, and at the end before and after, at rest.
"""

from __future__ import annotations

import json
import random
import shutil
import signal
import socket
import struct
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from app.postgres.connections import connect
from app.postgres.embedded import Server
from benchmarks.arguments import amount, count, parser
from tests.serving import Gunicorn
from tests.waiting import until

_CLIENTS = 100
_CHANGES_PER_SECOND = 50
# The ring is small, so that it is full from the start and the last of these reads the log.
_PATHS = {"/api/sse": 9, "/api/sse/movements": 5, "/api/sse/alerts?resolved=false": 5, "/api/sse?last_event_id=0": 1}


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--minutes", type=amount, default=60)
    arguments.add_argument("--seed", type=count, default=1)
    options = arguments.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    folder = Path(tempfile.mkdtemp(prefix="churn-", dir="/tmp"))
    folder.chmod(0o755)
    server = Server(folder / "data")
    settings = {"DATA_DIR": folder / "data", "WEB_CONCURRENCY": 1, "STUCK_SECONDS": 10, "RING_BYTES": 1_000_000}
    gunicorn = Gunicorn(folder / "log", **settings)
    try:
        gunicorn.wait_until_listening()
        _churn(gunicorn, server.url(), random.Random(options.seed), options.minutes * 60)
    finally:
        gunicorn.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _churn(gunicorn: Gunicorn, database: str, chance: random.Random, seconds: float) -> None:
    until(lambda: _system(gunicorn) and _system(gunicorn)["listener"]["state"] == "live")
    worker = _system(gunicorn)["worker"]
    stopping = threading.Event()
    writer = threading.Thread(target=_write, args=(database, stopping))
    writer.start()
    try:
        _round(gunicorn.url, chance, 30)  # everything has been used once
        before = _at_rest(gunicorn, worker)
        print("minute  opened   rss MB  fds  streams", flush=True)
        began, opened, minute = time.monotonic(), 0, 0
        while (spent := time.monotonic() - began) < seconds:
            opened += _round(gunicorn.url, chance, min(60, seconds - spent))
            minute += 1
            size = _size(worker)
            print(f"{minute:6} {opened:7} {size[0]:8.1f} {size[1]:4} {_system(gunicorn)['streams']:8}", flush=True)
        after = _at_rest(gunicorn, worker)
    finally:
        stopping.set()
        writer.join()
    print(f"at rest before: {before[0]:.1f} MB, {before[1]} file descriptors, {before[2]} streams")
    print(f"at rest after {opened} streams: {after[0]:.1f} MB, {after[1]} file descriptors, {after[2]} streams")


def _round(url: str, chance: random.Random, seconds: float) -> int:
    """Keep _CLIENTS streams open for so long, each for a short life; returns how many were opened."""
    host, port = url.removeprefix("http://").split(":")
    clients: list[tuple[float, str, socket.socket]] = []
    opened, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        now = time.monotonic()
        for client in [client for client in clients if client[0] <= now]:
            clients.remove(client)
            _leave(*client[1:])
        if len(clients) < _CLIENTS:
            kind = chance.choice(["polite", "reset", "half", "still", "crawl"])
            clients.append((now + chance.expovariate(0.5), kind, _come(host, int(port), kind, chance)))
            opened += 1
        for _, kind, sock in clients:
            if kind in ("polite", "reset", "crawl"):
                _read(sock, 1 if kind == "crawl" else 65536)
        time.sleep(0.005)
    for _, kind, sock in clients:
        _leave(kind, sock)
    return opened


def _come(host: str, port: int, kind: str, chance: random.Random) -> socket.socket:
    client = socket.create_connection((host, port))
    if kind in ("still", "crawl"):
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    path = chance.choice(
        ["/api/sse", "/api/sse/movements", "/api/sse/alerts?resolved=false", "/api/sse?last_event_id=0"]
    )
    request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept: text/event-stream\r\n\r\n".encode()
    client.sendall(request[: len(request) // 2] if kind == "half" else request)
    client.setblocking(False)
    return client


def _read(client: socket.socket, most: int) -> None:
    try:
        client.recv(most)
    except (BlockingIOError, ConnectionError):
        pass  # nothing there, or cut by the server


def _leave(kind: str, client: socket.socket) -> None:
    if kind == "reset":
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def _write(database: str, stopping: threading.Event) -> None:
    connection = connect(database, application_name="churn")
    with connection.cursor() as cursor:
        cursor.execute("insert into sessions (session_name) values ('churn') returning id")
        [[session]] = cursor.fetchall()
        while not stopping.wait(1 / _CHANGES_PER_SECOND):
            cursor.execute(
                "insert into people_movements (session_id, person_id, movement_direction) values (%s, 1, 'in')",
                [session],
            )


def _at_rest(gunicorn: Gunicorn, worker: int) -> tuple[float, int, int]:
    until(lambda: _system(gunicorn)["streams"] == 0, 60, "all streams gone")
    return *_size(worker), _system(gunicorn)["streams"]


def _size(pid: int) -> tuple[float, int]:
    """Resident memory in MB, and open file descriptors."""
    status = Path(f"/proc/{pid}/status").read_text()
    kilobytes = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))
    return kilobytes / 1024, len(list(Path(f"/proc/{pid}/fd").iterdir()))


def _system(gunicorn: Gunicorn) -> dict:
    with urllib.request.urlopen(f"{gunicorn.url}/api/system", timeout=10) as response:
        return json.load(response)


if __name__ == "__main__":
    main()
