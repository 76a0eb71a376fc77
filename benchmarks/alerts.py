"""What thresholds cost a writer of metrics, and a worker that evaluates them.

    ./run python benchmarks/alerts.py [--rows 4000] [--rounds 7]

Metrics per second into PostgreSQL with its triggers for the change log, one row a transaction and 1 000 rows a
transaction: without a threshold, with five that are never reached, and with five of which two are reached and left
again in every fifty rows, so that alerts open, are updated and resolve themselves. Within a round they take turns; the
ratios are medians of each round's. The alerts are evaluated after each measurement, and timed.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from contextlib import closing

from psycopg2.extensions import cursor as Cursor
from psycopg2.extras import execute_values

from app.postgres.connections import connect
from benchmarks.arguments import count, parser
from benchmarks.bench import database, prepare
from benchmarks.writer import sessions

_SESSION = sessions(1)[0]
_INSERT = "insert into realtime_metrics (session_id, current_people_count) values "
_BULK = 1000
# The counts written are 0 to 49.
_THRESHOLDS = {"five": (996, 997, 998, 999, 1000), "five, two reached": (20, 40, 998, 999, 1000)}
_ADD = (
    "insert into alert_thresholds (threshold_name, threshold_value) select 'at ' || value, value"
    " from unnest(%s::integer[]) as value"
)


def main() -> None:
    command = parser(__doc__)
    command.add_argument("--rows", type=count, default=4000, help="in a measurement, a multiple of 1000")
    command.add_argument("--rounds", type=count, default=7)
    options = command.parse_args()
    prepare()
    with (
        database() as server,
        closing(connect(server.url("postgres"), application_name="benchmark")) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("insert into sessions (id, session_name) values (%s, 'door') on conflict do nothing", [_SESSION])
        for name, write in (("one row a transaction", _one_by_one), (f"{_BULK} rows a transaction", _in_bulk)):
            write(cursor, options.rows)
            _print(name, [_round(cursor, write, options.rows) for _ in range(options.rounds)])


def _round(cursor: Cursor, write: Callable[[Cursor, int], float], rows: int) -> dict[str, float]:
    """Rows per second, without thresholds and with each set of them."""
    rates = {"off": write(cursor, rows)}
    _evaluate(cursor)
    for name, values in _THRESHOLDS.items():
        cursor.execute(_ADD, [list(values)])
        rates[name] = write(cursor, rows)
        rates[f"{name}: evaluated"] = rows / _evaluate(cursor)
        cursor.execute("delete from alert_thresholds")
    return rates


def _evaluate(cursor: Cursor) -> float:
    """Evaluate all there is; returns the seconds."""
    began = time.monotonic()
    while True:
        cursor.execute("select number_changes(); select evaluate_alerts()")
        if cursor.fetchall() == [(0,)]:
            return time.monotonic() - began


def _one_by_one(cursor: Cursor, rows: int) -> float:
    began = time.monotonic()
    for number in range(rows):
        cursor.execute(_INSERT + "(%s, %s)", [_SESSION, number % 50])
    return rows / (time.monotonic() - began)


def _in_bulk(cursor: Cursor, rows: int) -> float:
    values = [(_SESSION, number % 50) for number in range(_BULK)]
    began = time.monotonic()
    for _ in range(rows // _BULK):
        execute_values(cursor, _INSERT + "%s", values, page_size=_BULK)
    return rows / (time.monotonic() - began)


def _print(name: str, rounds: list[dict[str, float]]) -> None:
    cells = [f"off {statistics.median(one['off'] for one in rounds):7.0f}/s"]
    for kind in _THRESHOLDS:
        rate = statistics.median(one[kind] for one in rounds)
        evaluated = statistics.median(one[f"{kind}: evaluated"] for one in rounds)
        ratio = statistics.median(one[kind] / one["off"] for one in rounds)
        cells.append(f"{kind} {rate:7.0f}/s ({ratio:.2f}; evaluated {evaluated:.0f}/s)")
    print(f"{name:24} " + "   ".join(cells), flush=True)


if __name__ == "__main__":
    main()
