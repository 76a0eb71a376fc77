"""A fuzzer of raw HTTP: seeded, mutated requests against a real server.

    ./run python -m tests.hostile.fuzz http://127.0.0.1:8000 --seed 1 --requests 100000

Invariant: it only sends, and ignores what comes back; whether the server is still well is for its caller to see. The
same seed sends the same bytes in the same order.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import socket
import struct
import time
from collections.abc import Callable
from urllib.parse import urlsplit

SESSION = "00000000-0000-4000-8000-000000000001"
_JSON = b'{"session_name":"door","fps":25}'
_ROW = b'{"session_id":"%s","person_id":1,"movement_direction":"in"}' % SESSION.encode()
_RESET = struct.pack("ii", 1, 0)


def _request(method: str, path: str, body: bytes = b"", *headers: str) -> bytes:
    length = [f"Content-Length: {len(body)}"] if body and not any("Transfer" in header for header in headers) else []
    head = "\r\n".join([f"{method} {path} HTTP/1.1", "Host: localhost", *headers, *length, "", ""])
    return head.encode() + body


SEEDS = (
    _request("GET", "/api/health"),
    _request("GET", "/api/sessions?limit=2&count=true&order=-created_at"),
    _request("GET", f"/api/sessions/{SESSION}/statistics?tz=Europe/Berlin"),
    _request("GET", "/api/changes?after=0&topics=sessions,alerts"),
    _request("GET", "/api/sse/sessions", b"", "Last-Event-ID: 0"),
    _request("GET", f"/api/sse?topics=alerts&resolved=true&session_id={SESSION}", b"", "Accept: text/event-stream"),
    _request("GET", "/", b"", "Accept-Encoding: gzip"),
    _request("GET", "/api/movements/export?format=csv"),
    _request("POST", "/api/sessions", _JSON, "Content-Type: application/json", "Idempotency-Key: k"),
    _request("PATCH", f"/api/sessions/{SESSION}", b'{"fps":1}', "Content-Type: application/json", 'If-Match: "x"'),
    _request("POST", "/api/movements", b"[" + _ROW + b"]", "Content-Type: application/json"),
    _request("POST", "/api/movements", _ROW + b"\n" + _ROW, "Content-Type: application/x-ndjson"),
    _request(
        "POST", "/api/movements", b"%x\r\n%b\r\n0\r\n\r\n" % (len(_ROW), _ROW),
        "Content-Type: application/x-ndjson", "Transfer-Encoding: chunked",
    ),
    _request("DELETE", f"/api/alerts/{SESSION}"),
    _request("OPTIONS", "/api/sessions", b"", "Origin: https://elsewhere.example"),
)  # fmt: skip
_PIECES = (
    b"\r\n", b"\n", b"\r", b"\0", b" ", b":", b"\xff\xfe", b"%00", b"%", b"../", b"?", b"#", b"\t", b"\x80",
    b"Content-Length: 5\r\n", b"Content-Length: 99999999999999\r\n", b"Content-Length: -1\r\n",
    b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: gzip, chunked\r\n", b"Expect: 100-continue\r\n",
    b"Connection: close\r\n", b"Connection: upgrade\r\nUpgrade: h2c\r\n", b"HTTP/1.0", b"HTTP/9.9", b"Last-Event-ID: ",
    b"X: " + b"y" * 9000 + b"\r\n", b"a" * 5000, b"{" * 3000, b"[" * 3000, b'"' * 99, b"ffffffffffffffff\r\n",
)  # fmt: skip


def mutated(chance: random.Random) -> bytes:
    """One request, or two on a connection, with up to six faults."""
    data = bytearray(chance.choice(SEEDS) + (chance.choice(SEEDS) if chance.random() < 0.2 else b""))
    for _ in range(chance.choice([0, 1, 1, 2, 3, 6])):
        at = chance.randrange(len(data) + 1)
        match chance.randrange(6):
            case 0:
                data[at:at] = chance.choice(_PIECES)
            case 1:
                del data[at : at + chance.choice([1, 2, 9, 80])]
            case 2:
                data[at : at + 1] = bytes([chance.randrange(256)])
            case 3:
                data[at:at] = data[chance.randrange(len(data) + 1) :][:200]
            case 4:
                del data[at:]
            case 5:
                data += chance.choice(_PIECES)
    return bytes(data) or b"\r\n"


def send(address: tuple[str, int], data: bytes, chance: random.Random) -> None:
    """Send in one piece or in several, and leave in one of the ways in which clients leave."""
    with contextlib.suppress(OSError), socket.create_connection(address, timeout=10) as sock:
        pieces = chance.choice([1, 1, 1, 2, 5])
        step = max(1, len(data) // pieces)
        for start in range(0, len(data), step):
            sock.sendall(data[start : start + step])
        leave = chance.random()
        if leave < 0.1:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            return
        if leave < 0.5:
            sock.shutdown(socket.SHUT_WR)
        sock.settimeout(chance.choice([0.001, 0.05, 0.2]))
        sock.recv(65536)


def fuzz(
    url: str, seed: int, requests: int, look: Callable[[int], None] = lambda _sent: None, every: int = 250
) -> None:
    """Send so many requests; call ``look`` with how many were sent after each ``every``."""
    parts = urlsplit(url)
    address = (str(parts.hostname), int(parts.port or 80))
    chance = random.Random(seed)
    for number in range(1, requests + 1):
        send(address, mutated(chance), chance)
        if number % every == 0:
            look(number)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", help="of a server on this machine")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--requests", type=int, default=10_000)
    options = parser.parse_args()
    if urlsplit(options.url).hostname not in ("127.0.0.1", "localhost", "::1"):
        parser.error("url: only a server on this machine may be fuzzed, such as http://127.0.0.1:8000")
    began = time.monotonic()
    fuzz(options.url, options.seed, options.requests, lambda sent: print(f"{sent} sent", flush=True), every=1000)
    print(f"{options.requests} requests in {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
