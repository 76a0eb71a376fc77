"""Our worker beside what a user would take instead: one command, one table, JSON and a picture.

    ./run python benchmarks/compare.py [--scenarios pace,saturation,...] [--servers ours,nchan,...] [--rounds 5]
                                       [--seconds 4] [--json FILE] [--picture FILE]

Every server has one worker on the first core; PostgreSQL, Redis, the writer and the clients share the others. Within
a round the servers take turns, so that what else the machine does hits all of them; the table holds medians, and the
least and the most of the rounds. A measurement in which a client lost, repeated or disordered anything does not count.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from app.postgres.embedded import Server
from benchmarks import peers
from benchmarks.arguments import amount, count, names, parser
from benchmarks.bench import Load, check, database, feed, measure, memory, middle, newest, prepare, spread, writing
from benchmarks.picture import draw
from benchmarks.writer import sessions

_P99_LIMIT_MS = 150.0
_SESSIONS = 1000
_MANY = 10_000
_BEHIND = 1000  # changes that a reconnecting client lacks

Report = dict[str, float]
Open = Callable[[], Any]


@contextmanager
def ours(url: str) -> Iterator[peers.Peer]:
    with feed(url, HEARTBEAT_SECONDS=15) as running:
        yield peers.Peer("ours", running.port, running.pid, "changes", url, _our_path, "data")


def _our_path(session: str | None) -> str:
    return f"/api/sse/movements?session_id={session}" if session else "/api/sse"


SERVERS = {"ours": ours, **peers.ALL}


def _pace(server: peers.Peer, clients: int, rate: float, seconds: float, *options: object) -> Report:
    """Latency and CPU at an even pace that every server can hold."""
    with (
        Load(
            server.port,
            clients,
            "--ready",
            server.ready,
            *options,
            paths=[server.path(None)],
            dense=True,
            quick_ack=True,  # nginx leaves Nagle's algorithm on; what its clients' delayed ACKs cost is not nchan's
        ) as load,
        writing(server.kind, server.target, rate),
    ):
        report = measure(load, server.pid, seconds)
    check(report)
    return report


def _saturated(
    open_server: Open, paths: Callable[[peers.Peer], list[str]], number: int, seconds: float, start: float
) -> Report:
    """The most deliveries a second with p99 within the limit: doubled until it breaks, then halved in between."""
    best: Report = {"deliveries_per_second": 0.0, "p99": 0.0, "us_per_delivery": 0.0}
    rate, broken, tries = start, None, 0
    while tries < 14:
        tries += 1
        report = _push(open_server, paths, number, rate, seconds)
        if _is_broken(report):  # once may be the machine's hiccup
            report = _push(open_server, paths, number, rate, seconds)
        if report is None or _is_broken(report):
            broken = rate
        elif report["deliveries_per_second"] < best["deliveries_per_second"] * 1.03:
            return (
                best  # more was asked for and not more came: the server, the writer or the clients are at their limit
            )
        else:
            best = report
            working = rate
        if broken is None:
            rate *= 2
        elif not best["deliveries_per_second"]:
            rate /= 4
            broken = None if rate < 1 else broken
        elif broken / working < 1.15:
            break
        else:
            rate = (broken * working) ** 0.5
    return best


def _is_broken(report: Report | None) -> bool:
    return report is None or report["p99"] > _P99_LIMIT_MS


def _push(
    open_server: Open, paths: Callable[[peers.Peer], list[str]], number: int, rate: float, seconds: float
) -> Report | None:
    """One try; None if the server dropped clients under it."""
    batch = max(1, min(20, round(rate / 200)))  # rows a transaction, and messages a burst
    with (
        open_server() as server,
        Load(
            server.port,
            1000,
            "--ready",
            server.ready,
            "--sample",
            max(1, int(rate / 1000)),
            paths=paths(server),
            dense=number == 1,  # with a filter for each client, ids have gaps by right
        ) as load,
        writing(server.kind, server.target, rate, batch=batch, sessions=number),
    ):
        report = measure(load, server.pid, seconds, warm_up=1.5)
    wrong = report["not_rising"] + report["wrong_id"] + report["closed"] + report["gaps"]
    return None if wrong or not report["timed"] else report


def pace_100(opened: Open, seconds: float) -> Report:
    with opened() as server:
        return _pace(server, 100, 100, seconds)


def bare(opened: Open, seconds: float) -> Report:
    """The same with peers that store nothing: what is sent to them is only a NOTIFY, and waits for no disk."""
    with opened() as server:
        if server.kind not in ("changes", "rows"):
            return {}
        server.kind = server.kind.replace("rows", "notify")
        return _pace(server, 100, 100, seconds)


def pace_1000(opened: Open, seconds: float) -> Report:
    with opened() as server:
        return _pace(server, 1000, 50, seconds)


def pace_20(opened: Open, seconds: float) -> Report:
    with opened() as server:
        return _pace(server, 1000, 20, seconds)


def slow(opened: Open, seconds: float) -> Report:
    """1000 clients of whom one never reads."""
    with opened() as server:
        return _pace(server, 1000, 50, seconds, "--stalled", 1)


def topics(opened: Open, seconds: float) -> Report:
    """Changes of four tables, multiplexed on one connection for each client. Ours alone: peers have no topics."""
    with opened() as server:
        if server.kind != "changes":
            return {}
        server.kind = "topics"
        return _pace(server, 1000, 50, seconds)


def saturation(opened: Open, seconds: float) -> Report:
    """As many changes as come through. Not for the floor: it cuts clients that do not keep up."""
    with opened() as server:
        if server.kind == "pipe":
            return {}
    return _saturated(opened, lambda server: [server.path(None)], 1, seconds, 100)


def filters(opened: Open, seconds: float) -> Report:
    """1000 sessions, and 1000 clients of which each has one of them. The floor knows no sessions."""
    with opened() as server:
        if server.kind == "pipe":
            return {}
    known = sessions(_SESSIONS)
    return _saturated(opened, lambda server: [server.path(one) for one in known], _SESSIONS, seconds, 8000)


def filters_pace(opened: Open, seconds: float) -> Report:
    """The same at a pace that PostgreSQL can hold on the core that it shares: what a delivery costs."""
    with opened() as server:
        if server.kind == "pipe":
            return {}
    report = _push(opened, lambda server: [server.path(one) for one in sessions(_SESSIONS)], _SESSIONS, 10_000, seconds)
    if report is None:
        raise RuntimeError("the clients did not get what they should")
    return report


def idle(opened: Open, _seconds: float) -> Report:
    """What 10 000 idle streams take of memory, and how long they take to open."""
    with opened() as server:
        time.sleep(1)
        before = memory(server.pid)
        with Load(server.port, 1000, "--ready", server.ready, paths=[server.path(None)]):
            time.sleep(1)
            thousand = memory(server.pid)
        time.sleep(1)
        with Load(server.port, _MANY, "--ready", server.ready, paths=[server.path(None)]) as load:
            time.sleep(1)
            many = memory(server.pid)
            return {
                "accept_seconds": load.ready["seconds"],
                "live": load.ready["ready"],
                "mb_before": before / 1e6,
                "mb_1000": thousand / 1e6,
                "mb_10000": many / 1e6,
                "kb_per_stream": (many - before) / _MANY / 1000,
            }


def reconnect(opened: Open, _seconds: float) -> Report:
    """10 000 clients come at once, each with a cursor 1 000 changes back. Ours alone: the others keep no history."""
    with opened() as server:
        if server.kind != "changes":
            return {}
        with (
            Load(server.port, 1, paths=[server.path(None)]) as one,
            writing(server.kind, server.target, 1000, batch=20),
        ):
            while one.report()["frames"] < _BEHIND * 1.2:
                time.sleep(0.1)
        end, reads = newest(server.target), _log_reads(server.port)
        options = ["--last-event-id", end - _BEHIND, "--until-id", end, "--in-flight", _MANY]
        with Load(server.port, _MANY, *options, paths=[server.path(None)], dense=True) as load:
            check(report := load.report())
            return {
                "seconds": load.ready["seconds"],
                "live": load.ready["ready"],
                "frames": report["frames"],
                "log_reads": _log_reads(server.port) - reads,
                "mb_after": memory(server.pid) / 1e6,
            }


def _log_reads(port: int) -> int:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/system", timeout=30) as response:
        return int(json.load(response)["log_reads"])


SCENARIOS: dict[str, tuple[Callable[[Open, float], Report], str, tuple[str, ...]]] = {
    "pace-100": (pace_100, "100 clients x 100/s", ("p50", "p99", "us_per_delivery")),
    "bare": (bare, "100 clients x 100/s, peers store nothing", ("p50", "p99", "us_per_delivery")),
    "pace-20": (pace_20, "1000 clients x 20/s", ("p50", "p99", "us_per_delivery")),
    "pace-1000": (pace_1000, "1000 clients x 50/s", ("p50", "p99", "us_per_delivery")),
    "slow": (slow, "1000 clients x 50/s, one never reads", ("p50", "p99", "us_per_delivery")),
    "topics": (topics, "1000 clients x 50/s, four topics", ("p50", "p99", "us_per_delivery")),
    "saturation": (saturation, "saturated, 1000 clients", ("deliveries_per_second", "p99", "us_per_delivery")),
    "filters": (
        filters,
        "saturated, 1000 clients with a session each",
        ("deliveries_per_second", "p99", "us_per_delivery"),
    ),
    "filters-pace": (
        filters_pace,
        "1000 clients with a session each, 10 000 changes/s",
        ("deliveries_per_second", "p99", "us_per_delivery"),
    ),
    "idle": (idle, "10 000 idle streams", ("kb_per_stream", "accept_seconds", "live")),
    "reconnect": (reconnect, "10 000 reconnect, 1000 changes behind", ("seconds", "live", "log_reads")),
}


def main() -> None:
    command = parser(__doc__)
    scenarios = "".join(f"  {name:<15} {title}\n" for name, (_, title, _) in SCENARIOS.items())
    command.epilog = f"scenarios:\n{scenarios}\nservers: {', '.join(SERVERS)}"
    command.add_argument(
        "--scenarios", type=names(SCENARIOS), default=",".join(SCENARIOS), metavar="NAME,…", help="all, unless given"
    )
    command.add_argument(
        "--servers", type=names(SERVERS), default=",".join(SERVERS), metavar="NAME,…", help="all, unless given"
    )
    command.add_argument("--rounds", type=count, default=5)
    command.add_argument("--seconds", type=amount, default=4.0, help="of each measurement")
    command.add_argument("--json", type=Path, help="all rounds go here")
    command.add_argument("--picture", type=Path, help="an SVG for the docs")
    options = command.parse_args()
    prepare()
    results: dict[str, dict[str, list[Report]]] = {}
    left_out: dict[str, str] = {}
    with database() as server:
        for name in options.scenarios:
            results[name] = _run(name, server, options, left_out)
            _print(name, results[name])
    for name, why in left_out.items():
        print(f"left out: {name}: {why}")
    if options.json:
        options.json.write_text(json.dumps({"machine": _machine(), "left_out": left_out, "results": results}, indent=1))
    if options.picture:
        options.picture.write_text(draw(results))


def _run(name: str, server: Server, options: argparse.Namespace, left_out: dict[str, str]) -> dict[str, list[Report]]:
    scenario, _, _ = SCENARIOS[name]
    rounds: dict[str, list[Report]] = {}
    for _ in range(options.rounds):
        for one in options.servers:
            if one in left_out:
                continue
            try:
                report = scenario(lambda one=one: SERVERS[one](server.url()), options.seconds)
            except peers.LeftOut as error:
                left_out[one] = str(error)
                continue
            except (RuntimeError, AssertionError) as error:
                print(f"{name}: a round of {one} does not count: {error}", flush=True)
                continue
            if report:
                rounds.setdefault(one, []).append(report)
    return rounds


def _print(name: str, results: dict[str, list[Report]]) -> None:
    _, title, columns = SCENARIOS[name]
    print(f"\n{title}\n{'':12}" + "".join(f"{column:>34}" for column in columns), flush=True)
    for one, rounds in results.items():
        cells = []
        for column in columns:
            low, high = spread(rounds, column)
            cells.append(f"{middle(rounds, column):,.2f} ({low:,.2f} .. {high:,.2f})".rjust(34))
        print(f"{one:12}" + "".join(cells) + f"   {len(rounds)} rounds", flush=True)


def _machine() -> dict[str, object]:
    model = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {
        "cores": os.cpu_count(),
        "processor": model[0].partition(": ")[2] if model else platform.processor(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_average": os.getloadavg(),
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


if __name__ == "__main__":
    main()
