"""From COMMIT to the client's socket, on one worker; and what a stalled client costs the others.

    ./run python benchmarks/latency.py [--rounds 5] [--seconds 5]

Starts a PostgreSQL and a gunicorn of its own. The first part has 100 clients that get 100 changes a second; the second
has 500 healthy clients, and in every other round one more, which never reads. Rounds take turns, so that what
else the machine does hits both; medians are printed. Every client's ids are checked.
"""

from __future__ import annotations

from app.postgres.connections import connect
from benchmarks.arguments import amount, count, parser
from benchmarks.bench import Feed, Load, check, database, feed, measure, middle, prepare, spread, writing

_BURST = 5000  # more than a socket and a queue hold: who does not read is stuck from then on


def main() -> None:
    command = parser(__doc__)
    command.add_argument("--rounds", type=count, default=5)
    command.add_argument("--seconds", type=amount, default=5.0, help="of each round")
    options = command.parse_args()
    prepare()
    with database() as server, feed(server.url(), STUCK_SECONDS=3600) as ours:
        url = server.url()
        _latency(ours, url, options.rounds, options.seconds)
        _stalled(ours, url, options.rounds, options.seconds)


def _latency(ours: Feed, url: str, rounds: int, seconds: float) -> None:
    with Load(ours.port, 100, dense=True) as load, writing("changes", url, 100):
        reports = [measure(load, ours.pid, seconds) for _ in range(rounds)]
    for report in reports:
        check(report)
    print(f"COMMIT to the client's socket, 100 clients x 100 changes/s, one worker, {rounds} rounds of {seconds:g} s:")
    _print("", reports)


def _stalled(ours: Feed, url: str, rounds: int, seconds: float) -> None:
    alone, beside = [], []
    with Load(ours.port, 500, dense=True) as load, writing("changes", url, 50):
        for _ in range(rounds):
            _burst(url)
            alone.append(measure(load, ours.pid, seconds, warm_up=3))
            with Load(ours.port, 1, "--stalled", 1):
                _burst(url)
                beside.append(measure(load, ours.pid, seconds, warm_up=3))
    for report in alone + beside:
        check(report)
    change = middle(beside, "p99") / middle(alone, "p99") - 1
    print(f"500 healthy clients x 50 changes/s, {rounds} rounds of {seconds:g} s each, in turns:")
    _print("without a stalled one", alone)
    _print("next to a stalled one", beside)
    print(f"  the healthy ones' p99 changes by {change:+.1%}")


def _burst(url: str) -> None:
    """Enough changes to leave a client that does not read stuck and lagging."""
    connection = connect(url, application_name="benchmark burst")
    with connection.cursor() as cursor:
        cursor.execute(
            "insert into people_movements (session_id, person_id, movement_direction)"
            " select id, 1, 'in' from generate_series(1, %s), (select id from sessions limit 1) as any_session",
            [_BURST],
        )
    connection.close()


def _print(title: str, reports: list[dict[str, float]]) -> None:
    low, high = spread(reports, "p99")
    print(
        f"  {title:21}  median {middle(reports, 'p50'):6.2f} ms   p99 {middle(reports, 'p99'):6.2f} ms"
        f" (rounds: {low:.2f} to {high:.2f})   CPU {middle(reports, 'us_per_delivery'):5.2f} us per delivery"
    )


if __name__ == "__main__":
    main()
