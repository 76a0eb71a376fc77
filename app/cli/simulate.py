"""flask simulate: cameras that count imaginary people, until stopped.

Invariant: it writes what cameras write, one transaction per observation; no one leaves an empty room, and every session
is completed at the end. The same seed gives the same people. It publishes nothing and raises no alerts: the database
does, from the readings and a threshold that each session brings.
"""

from __future__ import annotations

import heapq
import math
import random
import sys
from collections import deque
from contextlib import closing
from time import monotonic

import click
import psycopg2
from psycopg2.extensions import connection as Connection
from tqdm import tqdm

from app.cli.database import database
from app.cli.stopping import Stop, stop_on_signals
from app.postgres.connections import connect

_FPS = 30.0
_WIDTH, _HEIGHT = 1280, 720
_LINE_Y = _HEIGHT / 2  # crossing it downwards means going in
_METRICS_SECONDS = 1.0
_CROWD = 20  # the threshold, in people
# The room fills and empties in this time, past the threshold and back.
_TIDE_SECONDS = 120.0


class Camera:
    """One session: the people it has seen, and how many are inside. Times are seconds since its start."""

    def __init__(self, connection: Connection, name: str, seed: int) -> None:
        self._connection = connection
        self._random = random.Random(seed)
        self._phase = self._random.uniform(0, _TIDE_SECONDS)
        self._recent: deque[tuple[float, str]] = deque()
        self._person_id = 0
        self.inside = 0
        self.session_id = self._insert(
            "insert into sessions (session_name, input_source, fps, resolution_width, resolution_height)"
            " values (%s, %s, %s, %s, %s) returning id",
            name,
            f"simulated://{name.lower().replace(' ', '-')}",
            _FPS,
            _WIDTH,
            _HEIGHT,
        )
        self._execute(
            "insert into alert_thresholds (session_id, threshold_name, threshold_value, alert_message)"
            " values (%s, 'Crowd', %s, %s)",
            self.session_id,
            _CROWD,
            f"{_CROWD} people or more inside",
        )

    def see_person(self, seconds: float) -> None:
        """A person crosses the line."""
        direction = self._direction(seconds)
        self.inside += 1 if direction == "in" else -1
        self._person_id += 1
        self._recent.append((seconds, direction))
        x, width = self._random.uniform(0.15, 0.85) * _WIDTH, self._random.uniform(50, 90)
        # Seen in the first frames beyond the line, at walking pace.
        y = _LINE_Y + self._random.uniform(1, 12) * (1 if direction == "in" else -1)
        height = width * self._random.uniform(2.2, 2.6)
        self._execute(
            "insert into people_movements (session_id, person_id, movement_direction, centroid_x, centroid_y,"
            " bounding_box_x1, bounding_box_y1, bounding_box_x2, bounding_box_y2, confidence_score, frame_number)"
            " values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            self.session_id,
            self._person_id,
            direction,
            round(x, 1),
            round(y, 1),
            round(x - width / 2, 1),
            round(y - height / 2, 1),
            round(x + width / 2, 1),
            round(y + height / 2, 1),
            round(min(0.99, self._random.gauss(0.82, 0.08)), 3),
            int(seconds * _FPS),
        )

    def measure(self, seconds: float) -> None:
        """Write the reading of this second."""
        while self._recent and self._recent[0][0] < seconds - 60:
            self._recent.popleft()
        entered = sum(direction == "in" for _, direction in self._recent)
        is_busy = bool(self._recent) and self._recent[-1][0] > seconds - 2
        self._execute(
            "insert into realtime_metrics (session_id, current_people_count, people_entered_last_minute,"
            " people_exited_last_minute, detection_status, fps_current, cpu_usage_percentage, memory_usage_mb,"
            " processing_latency_ms) values (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
            self.session_id,
            self.inside,
            entered,
            len(self._recent) - entered,
            "tracking" if is_busy else "detecting" if self.inside else "waiting",
            round(self._random.gauss(_FPS, 0.4), 2),
            round(min(100, 25 + abs(self._random.gauss(0, 8))), 1),
            round(420 + self._random.uniform(-5, 5), 1),
            round(18 + abs(self._random.gauss(0, 4)), 2),
        )

    def complete(self, seconds: float) -> None:
        """End the session."""
        self._execute(
            "update sessions set status = 'completed', end_time = clock_timestamp(), duration_seconds = %s,"
            " total_frames = %s where id = %s",
            round(seconds, 3),
            int(seconds * _FPS),
            self.session_id,
        )

    def _direction(self, seconds: float) -> str:
        """The more people inside than the tide would have, the likelier a person leaves."""
        wanted = _CROWD * (0.8 + 0.6 * math.sin((seconds + self._phase) / _TIDE_SECONDS * 2 * math.pi))
        goes_in = self._random.random() < 1 / (1 + math.exp((self.inside - wanted) / 3))
        return "in" if goes_in or self.inside == 0 else "out"

    def _execute(self, statement: str, *values: object) -> None:
        with self._connection.cursor() as cursor:
            cursor.execute(statement, values)

    def _insert(self, statement: str, *values: object) -> str:
        with self._connection.cursor() as cursor:
            cursor.execute(statement, values)
            [(identity,)] = cursor.fetchall()
        return str(identity)


def run(connection: Connection, sessions: int, rate: float, seed: int, stop: Stop) -> int:
    """Let so many cameras see ``rate`` people a second, all together, until ``stop``; how many they saw."""
    cameras = [Camera(connection, f"Camera {number + 1}", seed + number) for number in range(sessions)]
    people = random.Random(seed)
    started, seen = monotonic(), 0
    # What happens next: a camera's reading, or (None) a person at any camera.
    due: list[tuple[float, int, Camera | None]] = [
        (number / sessions * _METRICS_SECONDS, number, camera) for number, camera in enumerate(cameras)
    ]
    heapq.heappush(due, (people.expovariate(rate), sessions, None))
    terminal = sys.stderr.isatty()
    try:
        with tqdm(unit=" movements", disable=not terminal) as bar:
            while not stop.wait(due[0][0] - (monotonic() - started)):
                seconds, order, camera = due[0]
                if camera is not None:
                    camera.measure(seconds)
                    heapq.heapreplace(due, (seconds + _METRICS_SECONDS, order, camera))
                    continue
                people.choice(cameras).see_person(seconds)
                heapq.heapreplace(due, (seconds + people.expovariate(rate), order, None))
                seen += 1
                bar.update()
                if not terminal and seen % 1000 == 0:
                    click.echo(f"{seen} movements written.", err=True)
    finally:
        for camera in cameras if not connection.closed else []:
            camera.complete(monotonic() - started)
    return seen


@click.command("simulate")
@click.option("--sessions", type=click.IntRange(1, 1000), default=3, show_default=True, help="How many cameras.")
@click.option(
    "--rate",
    type=click.FloatRange(0, 100_000, min_open=True),
    default=2.0,
    show_default=True,
    help="Movements per second, of all cameras together.",
)
@click.option("--seed", type=int, default=None, help="The same seed gives the same people.")
def command(sessions: int, rate: float, seed: int | None) -> None:
    """Write plausible traffic of some cameras, until stopped."""
    seed = random.randrange(1_000_000) if seed is None else seed
    with database() as url, stop_on_signals() as stop:
        click.echo(f"Simulating {sessions} cameras, {rate:g} movements per second, seed {seed}. Ctrl-C stops.")
        try:
            with closing(connect(url, application_name="simulate")) as connection:
                seen = run(connection, sessions, rate, seed, stop)
        except psycopg2.Error as error:
            raise click.ClickException(f"The database refused: {str(error).strip()}") from error
    click.echo(f"Stopped: {seen} movements written, {sessions} sessions completed.")
