"""What it costs to ask everyone who they are, and how soon a stream ends when it should.

    ./run python benchmarks/access.py [--scenarios reconnect,…] [--rounds 3] [--seconds 10]

Starts a PostgreSQL and a gunicorn of its own. ``open`` is the feed with ACCESS=open, ``known`` the same with an
administrator and a key of its own for each client; the two take turns.

- reconnect: the feed is started, and 10 000 clients come at once, each 1 000 changes behind. Seconds until all are
  live, and transactions of the database meanwhile.
- idle: memory for each of 10 000 streams at rest.
- pace: 1 000 clients x 50 changes/s. CPU of the worker for each delivery, latency from COMMIT to socket.
- read: GET /api/sessions?limit=1 on one connection, 2 000 times.
- revoke: two workers, 500 streams of a credential that ends and 500 of another. Milliseconds from COMMIT to the end of
  each stream; the others check every id.
- login: 500 clients x 50 changes/s without and with 20 wrong passwords a second from many addresses on one account, and
  from one address on many accounts. Streams' latency, and what the guesses were answered.
"""

from __future__ import annotations

import http.client
import json
import selectors
import socket
import statistics
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import Connection, create_engine

from app.access import keys, logins, passwords, users
from app.access.token import digest
from app.postgres.connections import connect, sqlalchemy_url
from benchmarks.arguments import amount, count, names, parser
from benchmarks.bench import (
    Feed,
    Load,
    check,
    database,
    feed,
    measure,
    memory,
    middle,
    newest,
    prepare,
    spread,
    writing,
)
from tests.event_stream import EventStream

MANY = 10_000
BEHIND = 1_000
WAYS = ("open", "known")
Report = dict[str, float]
T = TypeVar("T")


def _transaction(url: str, work: Callable[[Connection], T]) -> T:
    engine = create_engine(sqlalchemy_url(url), creator=partial(_connection, url))
    try:
        with engine.begin() as connection:
            return work(connection)
    finally:
        engine.dispose()


def _connection(url: str) -> Any:
    connection = connect(url, application_name="benchmark")
    connection.autocommit = False
    return connection


def _prepare(url: str, way: str, clients: int) -> list[str]:
    """The paths of the clients, with what each of them shows."""
    if way == "open":
        return ["/api/sse"]
    shown = [f"pf_{number:08d}_{'x' * 43}" for number in range(clients)]

    def work(connection: Connection) -> None:
        users.create_user(connection, "ada", "admin", passwords.hashed("ada"))
        connection.exec_driver_sql(
            "insert into access_keys (id, name, scope, is_restricted, secret_sha256)"
            " select lpad(n::text, 8, '0'), 'client', 'read', false, d from unnest(%s::int[], %s::bytea[]) as t (n, d)",
            ([*range(clients)], [digest(key) for key in shown]),
        )

    _transaction(url, work)
    return [f"/api/sse\tAuthorization: Bearer {key}" for key in shown]


def _settings(way: str) -> dict[str, str]:
    return {"ACCESS": "open"} if way == "open" else {}


def _transactions(url: str) -> int:
    with closing(connect(url, application_name="benchmark")) as connection, connection.cursor() as cursor:
        cursor.execute("select pg_stat_force_next_flush(), sum(xact_commit) from pg_stat_database")
        return int(cursor.fetchall()[0][1])


def reconnect(way: str, _seconds: float) -> Report:
    with database() as server:
        url = server.url()
        paths = _prepare(url, way, MANY)
        with feed(url, **_settings(way)) as ours:
            with Load(ours.port, 1, paths=paths[:1]) as one, writing("changes", url, 1000, batch=20):
                while one.report()["frames"] < BEHIND * 1.2:
                    time.sleep(0.1)
            end = newest(url)
            time.sleep(6)  # statistics, counts and checks of before are done
            before = _transactions(url)
            options = ["--last-event-id", end - BEHIND, "--until-id", end, "--in-flight", MANY]
            with Load(ours.port, MANY, *options, paths=paths, dense=True) as load:
                check(load.report())
                time.sleep(1)
                return {
                    "seconds": load.ready["seconds"],
                    "live": load.ready["ready"],
                    "transactions": _transactions(url) - before,
                }


def idle(way: str, _seconds: float) -> Report:
    with database() as server:
        paths = _prepare(server.url(), way, MANY)
        with feed(server.url(), **_settings(way)) as ours:
            with Load(ours.port, 1000, paths=paths):  # what a worker takes once it has served
                time.sleep(1)
            time.sleep(1)
            before = memory(ours.pid)
            with Load(ours.port, MANY, paths=paths):
                time.sleep(1)
                return {"kb_per_stream": (memory(ours.pid) - before) / MANY / 1000, "mb_before": before / 1e6}


def pace(way: str, seconds: float) -> Report:
    with database() as server:
        paths = _prepare(server.url(), way, 1000)
        with (
            feed(server.url(), **_settings(way)) as ours,
            Load(ours.port, 1000, paths=paths, dense=True) as load,
            writing("changes", server.url(), 50),
        ):
            report = measure(load, ours.pid, seconds)
            check(report)
            return {name: report[name] for name in ("us_per_delivery", "p50", "p99")}


def read(way: str, _seconds: float) -> Report:
    with database() as server:
        paths = _prepare(server.url(), way, 1)
        with feed(server.url(), **_settings(way)) as ours:
            connection = http.client.HTTPConnection("127.0.0.1", ours.port, timeout=30)
            header = paths[0].partition("\t")[2].partition(": ")
            headers = {header[0]: header[2]} if header[0] else {}
            took = []
            for _ in range(2200):
                began = time.perf_counter()
                connection.request("GET", "/api/sessions?limit=1", headers=headers)
                response = connection.getresponse()
                response.read()
                took.append((time.perf_counter() - began) * 1000)
                assert response.status == 200
            connection.close()
            return {"ms": statistics.median(took[200:])}


def _ways_to_end(url: str) -> Iterator[tuple[str, dict[str, str], Callable[[Connection], object]]]:
    """Each way in which a credential ends: what its bearer shows, and what ends it."""
    headers, key = _key(url)
    yield "revoked", headers, partial(keys.revoke_key, key_id=key)
    headers, user = _login(url, "one")
    yield "password", headers, partial(users.change_user, user_id=user, password_hash="x")
    headers, user = _login(url, "two")
    yield "role", headers, partial(users.change_user, user_id=user, role="viewer")
    headers, key = _key(url)
    yield "expiry", headers, partial(_expire, key)


def _key(url: str) -> tuple[dict[str, str], str]:
    made, row = _transaction(url, lambda connection: keys.create_key(connection, "a", "read"))
    return {"Authorization": f"Bearer {made}"}, row["id"]


def _login(url: str, name: str) -> tuple[dict[str, str], UUID]:
    def work(connection: Connection) -> tuple[str, UUID]:
        user = users.create_user(connection, name, "operator", passwords.hashed(name))
        token, _ = logins.create_login(connection, user_id=user["id"], address="", user_agent="")
        return token, user["id"]

    token, user_id = _transaction(url, work)
    return {"Cookie": f"people_feed={token}"}, user_id


def _expire(key: str, connection: Connection) -> None:
    connection.exec_driver_sql("update access_keys set expires_at = clock_timestamp() where id = %s", (key,))


def revoke(_way: str, _seconds: float) -> Report:
    report: Report = {}
    with database() as server:
        url = server.url()
        others = _prepare(url, "known", 1)
        with _two_workers(url) as port, Load(port, 500, paths=others, dense=True) as staying:
            with writing("changes", url, 50):
                for why, headers, end in _ways_to_end(url):
                    waits = _ends(url, port, headers, end)
                    report[f"{why}_p50_ms"] = waits[len(waits) // 2]
                    report[f"{why}_p99_ms"] = waits[len(waits) * 99 // 100]
            check(staying.report())
    return report


@contextmanager
def _two_workers(url: str) -> Iterator[int]:
    running = _Pair(url)
    try:
        yield running.port
    finally:
        running.stop()


class _Pair(Feed):
    """A feed of two workers."""

    def __init__(self, url: str) -> None:
        import tempfile
        from pathlib import Path

        from tests.serving import Gunicorn

        self._folder = tempfile.TemporaryDirectory(prefix="feed-bench-", dir="/tmp")
        limits = {"MAX_STREAMS": 5000, "MAX_STREAMS_PER_ADDRESS": 5000, "WEB_CONCURRENCY": 2}
        self._gunicorn = Gunicorn(Path(self._folder.name) / "log", **limits | {"DATABASE_URL": url})
        self._gunicorn.wait_until_listening()
        self.port = int(self._gunicorn.url.rpartition(":")[2])
        time.sleep(2)

    def stop(self) -> None:
        super().stop()
        self._folder.cleanup()


def _ends(url: str, port: int, headers: dict[str, str], end: Callable[[Connection], object]) -> list[float]:
    """How long after COMMIT each of 500 streams has ended, in milliseconds, in order."""
    streams = [EventStream(f"http://127.0.0.1:{port}", headers=headers) for _ in range(500)]
    selector = selectors.DefaultSelector()
    for stream in streams:
        assert stream.head.status == 200
        assert stream.connection.sock is not None
        stream.connection.sock.setblocking(False)
        selector.register(stream.connection.sock, selectors.EVENT_READ)
    committed = threading.Event()
    at = [0.0]

    def commit() -> None:
        _transaction(url, end)
        at[0] = time.monotonic()
        committed.set()

    thread = threading.Thread(target=commit)
    thread.start()
    waits: list[float] = []
    deadline = time.monotonic() + 20
    while selector.get_map() and time.monotonic() < deadline:
        for event, _ in selector.select(1):
            sock = event.fileobj
            assert isinstance(sock, socket.socket)
            if not sock.recv(65536):
                waits.append(time.monotonic())
                selector.unregister(sock)
    thread.join()
    assert committed.is_set()
    assert len(waits) == len(streams), f"{len(streams) - len(waits)} streams did not end"
    for stream in streams:
        stream.close()
    return sorted(max(0.0, wait - at[0]) * 1000 for wait in waits)


def login(way: str, seconds: float) -> Report:
    """``open`` stands for no guesses here."""
    with database() as server:
        url = server.url()
        paths = _prepare(url, "known", 500)
        with (
            feed(url, TRUSTED_PROXIES="127.0.0.0/8") as ours,
            Load(ours.port, 500, paths=paths, dense=True) as load,
            writing("changes", url, 50),
            _guessing(ours.port, way == "known") as answers,
        ):
            report = measure(load, ours.pid, seconds)
            check(report)
            told = {f"answered_{status}": float(number) for status, number in sorted(answers.items())}
            return {name: report[name] for name in ("p50", "p99")} | told


@contextmanager
def _guessing(port: int, is_on: bool) -> Iterator[Counter[int]]:
    answers: Counter[int] = Counter()
    is_over = threading.Event()

    def guess(number: int) -> None:
        many_addresses = number % 2 == 0
        address = f"10.{number % 200}.{number // 200 % 200}.1" if many_addresses else "10.250.0.1"
        body = {"username": "ada" if many_addresses else f"user{number}", "password": "not the password"}
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/api/login",
            json.dumps(body).encode(),
            {"Content-Type": "application/json", "X-Forwarded-For": address},
        )
        try:
            urllib.request.urlopen(request, timeout=30).close()
        except urllib.error.HTTPError as error:
            answers[error.code] += 1
            error.close()

    def attack() -> None:
        number = 0
        while is_on and not is_over.wait(1 / 40):
            threading.Thread(target=guess, args=(number,), daemon=True).start()
            number += 1

    thread = threading.Thread(target=attack)
    thread.start()
    try:
        yield answers
    finally:
        is_over.set()
        thread.join()
        time.sleep(1)


SCENARIOS: dict[str, Callable[[str, float], Report]] = {
    "reconnect": reconnect,
    "idle": idle,
    "pace": pace,
    "read": read,
    "revoke": revoke,
    "login": login,
}


def main() -> None:
    command = parser(__doc__)
    command.add_argument("--scenarios", type=names(SCENARIOS), default=list(SCENARIOS))
    command.add_argument("--rounds", type=count, default=3)
    command.add_argument("--seconds", type=amount, default=10.0, help="of each measurement")
    options = command.parse_args()
    prepare()
    for name in options.scenarios:
        ways = ("known",) if name == "revoke" else WAYS
        rounds: dict[str, list[Report]] = {way: [] for way in ways}
        for _ in range(options.rounds):
            for way in ways:
                rounds[way].append(SCENARIOS[name](way, options.seconds))
        for way in ways:
            for figure in sorted({figure for one in rounds[way] for figure in one}):
                some = [one for one in rounds[way] if figure in one]
                low, high = spread(some, figure)
                print(
                    f"{name:<10} {way:<6} {figure:<18} {middle(some, figure):10.3f}  ({low:.3f} to {high:.3f})",
                    flush=True,
                )


if __name__ == "__main__":
    main()
