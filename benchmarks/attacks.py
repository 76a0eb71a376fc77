"""What one hostile client costs everybody else: one attack at a time, against one worker.

    ./run python benchmarks/attacks.py [--attacks endless_body,…] [--seconds 60] [--clients 500]

Starts a PostgreSQL and a gunicorn of its own. The clients get 50 changes a second while a process at another address
attacks; all ids are checked, and nobody may be cut. Printed are the streams' latency from COMMIT to socket, the time
that /api/health takes (asked ten times a second), and the worker's memory before, at most, and five seconds after.
"""

from __future__ import annotations

import contextlib
import threading
import time
import urllib.request

from app.postgres.connections import connect
from benchmarks.arguments import amount, count, names, parser
from benchmarks.bench import Load, check, database, feed, measure, memory, prepare, writing
from tests.hostile.attacks import ATTACKS, attacking

_SESSION = "00000000-0000-4000-8000-000000000001"


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
            with attacking(name, ours.port, url) if name in ATTACKS else contextlib.nullcontext():
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
    options = command.parse_args()
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
