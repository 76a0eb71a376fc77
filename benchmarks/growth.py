"""The cost of growth: one worker with 1 to 10 000 clients and 1 to 1 000 changes a second.

    ./run python benchmarks/growth.py [--servers ours,nchan] [--rounds 5] [--seconds 3] [--json FILE] [--picture FILE]

Every client gets every change. For each number of clients the server is restarted and the rates go up; the table
holds medians of the rounds, the picture shows where the lines bend. A measurement in which a client lost, repeated or
disordered anything does not count. A cell of more deliveries than a core can make shows what overload looks like.
"""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.arguments import amount, count, names, parser
from benchmarks.bench import Load, check, database, measure, middle, prepare, writing
from benchmarks.compare import SERVERS
from benchmarks.picture import Curve, curves

CLIENTS = (1, 10, 100, 1000, 10_000)
RATES = (1, 10, 100, 1000)
_FIGURES = (
    ("us_per_delivery", "CPU per delivery, µs"),
    ("p50", "median from the trigger to the client, ms"),
    ("p99", "p99, ms"),
    ("cpu", "share of the core"),
)
Cells = dict[tuple[int, int], list[dict[str, float]]]


def main() -> None:
    command = parser(__doc__)
    command.add_argument(
        "--servers", type=names(SERVERS), default="ours,nchan", metavar="NAME,…", help=", ".join(SERVERS)
    )
    command.add_argument("--rounds", type=count, default=5)
    command.add_argument("--seconds", type=amount, default=3.0, help="of each measurement; three times that at 1/s")
    command.add_argument("--json", type=Path, help="all rounds go here")
    command.add_argument("--picture", type=Path, help="an SVG for the docs")
    options = command.parse_args()
    prepare()
    results: dict[str, Cells] = {name: {} for name in options.servers}
    with database() as database_server:
        for number in range(options.rounds):
            for name, cells in results.items():
                for clients in CLIENTS:
                    _grow(name, database_server.url(), clients, options.seconds, cells)
            print(f"round {number + 1} of {options.rounds} is done", flush=True)
    for name, cells in results.items():
        _print(name, cells)
    if options.json:
        rows = [
            {"server": name, "clients": clients, "rate": rate, "rounds": rounds}
            for name, cells in results.items()
            for (clients, rate), rounds in cells.items()
        ]
        options.json.write_text(json.dumps(rows, indent=1))
    if options.picture:
        options.picture.write_text(
            curves([(title, "clients", _lines(results, figure)) for figure, title in _FIGURES[:3]])
        )


def _grow(name: str, url: str, clients: int, seconds: float, cells: Cells) -> None:
    with (
        SERVERS[name](url) as server,
        Load(
            server.port, clients, "--ready", server.ready, paths=[server.path(None)], dense=True, quick_ack=True
        ) as load,
    ):
        for rate in RATES:
            with writing(server.kind, server.target, rate, batch=max(1, rate // 250)):
                report = measure(load, server.pid, seconds * 3 if rate == 1 else seconds)
            try:
                check(report)
            except RuntimeError as error:
                print(f"{name}, {clients} clients, {rate}/s does not count: {error}", flush=True)
                return
            cells.setdefault((clients, rate), []).append(report)


def _print(name: str, cells: Cells) -> None:
    for figure, title in _FIGURES:
        print(f"\n{name}: {title}\n{'clients':>10}" + "".join(f"{f'{rate}/s':>12}" for rate in RATES))
        for clients in CLIENTS:
            row = [cells.get((clients, rate)) for rate in RATES]
            print(f"{clients:>10}" + "".join(f"{middle(one, figure) if one else float('nan'):>12.2f}" for one in row))


def _lines(results: dict[str, Cells], figure: str) -> list[Curve]:
    return [
        Curve(
            f"{name}, {rate}/s",
            "ours" if name == "ours" else "peer",
            [(clients, middle(cells[clients, rate], figure)) for clients in CLIENTS if (clients, rate) in cells],
        )
        for name, cells in results.items()
        for rate in RATES
    ]


if __name__ == "__main__":
    main()
