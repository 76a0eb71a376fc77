"""flask replay: writes a file of people counts in the CalIt2 format as a live camera would.

Invariant: the whole file is read and checked before the first row is written, so a malformed file writes nothing; and a
replay ends its session, however it ends itself. A count becomes that many movements, spread evenly over the half-hour
before the time it was reported at. Publishes nothing: the triggers record what is written.
"""

from __future__ import annotations

import itertools
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import Any, Literal

import click
import psycopg2
from psycopg2.extensions import connection as Connection
from psycopg2.extras import execute_values
from tqdm import tqdm

from app.cli.database import database
from app.cli.stopping import Stop, stop_on_signals
from app.postgres.connections import connect

INTERVAL = timedelta(minutes=30)
_DIRECTIONS: dict[str, Literal["in", "out"]] = {"7": "out", "9": "in"}
# Rows per transaction at full speed, a day of a busy door: large enough to be fast, small enough for others to commit
# in between.
_ROWS_PER_TRANSACTION = 500
_MOST_PER_INTERVAL = 100_000  # a higher count is a broken line, not a crowd
# A person who watches hears of it at least so often, also while nobody in the file comes or goes.
_TICK_SECONDS = 1.0
# Where nobody watches, a log gets a line so often, and one with each tenth.
_LINE_SECONDS = 10.0
WHERE = (
    "CalIt2.data is in the archive at https://archive.ics.uci.edu/dataset/156/calit2+building+people+counts, free of"
    " charge. A file of your own has lines such as 9,07/24/05,12:30:00,3: flow id (9 is in, 7 is out), date, end of the"
    " half-hour, people."
)

Movement = tuple[datetime, str]
Status = Literal["completed", "cancelled", "error"]


class MalformedFileError(ValueError):
    """The file is not in the format; the message names the line and what is wrong with it."""


@dataclass
class Interval:
    """The half-hour that ends at ``end``: how many people went in and out."""

    end: datetime
    counts: dict[str, int] = field(default_factory=dict)

    def movements(self) -> list[Movement]:
        """One per person, in order of time."""
        start = self.end - INTERVAL
        return sorted(
            (start + INTERVAL * (number + 0.5) / count, direction)
            for direction, count in self.counts.items()
            for number in range(count)
        )


def read_counts(path: Path) -> list[Interval]:
    """Read a whole file, in order of time.

    Raises:
        MalformedFileError: a line is not ``flow id,MM/DD/YY,HH:MM:SS,count``, or there is none.
        OSError: the file cannot be read.
    """
    intervals: dict[datetime, Interval] = {}
    try:
        lines = path.read_text("ascii").splitlines()
    except UnicodeDecodeError as error:
        raise MalformedFileError(f"{path}: it is not a text file ({error})") from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            direction, end, count = _parse_line(line)
            interval = intervals.setdefault(end, Interval(end))
            if direction in interval.counts:
                raise ValueError(f"the count of people going {direction} at {end:%m/%d/%y %H:%M:%S} appears twice")
            interval.counts[direction] = count
        except ValueError as error:
            raise MalformedFileError(f"{path}, line {number}: {error}") from error
    if not intervals:
        raise MalformedFileError(f"{path}: it is empty")
    return sorted(intervals.values(), key=lambda interval: interval.end)


def _parse_line(line: str) -> tuple[Literal["in", "out"], datetime, int]:
    fields = [part.strip() for part in line.split(",")]
    if len(fields) != 4:
        raise ValueError(f"expected 4 fields (flow id, date, time, count), found {len(fields)}")
    flow, day, time, count = fields
    if flow not in _DIRECTIONS:
        raise ValueError(f"flow id {flow!r} is neither 7 (out) nor 9 (in)")
    try:
        end = datetime.strptime(f"{day} {time}", "%m/%d/%y %H:%M:%S").replace(tzinfo=UTC)
    except ValueError:
        raise ValueError(f"{day!r}, {time!r} is not a date and time as MM/DD/YY,HH:MM:SS") from None
    if not re.fullmatch(r"[0-9]{1,9}", count) or int(count) > _MOST_PER_INTERVAL:
        raise ValueError(f"count {count!r} is not a whole number from 0 to {_MOST_PER_INTERVAL}")
    return _DIRECTIONS[flow], end, int(count)


class Replay:
    """Writes intervals into one session, over a connection in autocommit mode of its own.

    Args:
        as_now: rows carry the moment at which they are written instead of the file's times; at full speed, where that
            is one moment, the file's times are moved so that it ends now.
    """

    def __init__(self, connection: Connection, name: str, intervals: list[Interval], *, as_now: bool = False) -> None:
        self._connection = connection
        self._name = name
        self._intervals = intervals
        self._as_now = as_now
        self._moved = _Moved(intervals[0].end, intervals[0].end, 1.0)
        self._person_ids = itertools.count(1)
        self._day = date.min
        self._inside = 0
        self.session_id = ""
        self.written = 0
        self.place = intervals[0].end - INTERVAL  # up to here the file is written

    def run(self, speed: float, stop: Stop) -> Iterator[int]:
        """Write the file and yield how many movements were written, 0 at times; ends the session at the end.

        Args:
            speed: seconds of the file per second; 0 means as fast as possible.
            stop: ends the run early, and the session as cancelled.
        """
        if self._as_now and speed:
            self._moved = _Moved(self._intervals[0].end - INTERVAL, datetime.now(UTC), speed)
        elif self._as_now:
            self._moved = _Moved(self._intervals[-1].end, datetime.now(UTC), 1.0)
        self._begin()
        status: Status = "error"
        try:
            yield 0
            yield from self._at_full_speed(stop) if speed == 0 else self._at_speed(speed, stop)
            status = "cancelled" if stop else "completed"
        except GeneratorExit:
            status = "cancelled"
            raise
        finally:
            if not self._connection.closed:
                self._end(status)

    def _begin(self) -> None:
        with self._connection.cursor() as cursor:
            cursor.execute(
                "insert into sessions (session_name, input_source, fps) values (%s, %s, 30) returning id",
                (f"Replay of {self._name}", self._name),
            )
            (self.session_id,) = cursor.fetchall()[0]

    def _end(self, status: Status) -> None:
        with self._connection.cursor() as cursor:
            cursor.execute(
                "update sessions set status = %s, end_time = clock_timestamp(),"
                " duration_seconds = extract(epoch from clock_timestamp() - start_time) where id = %s",
                (status, self.session_id),
            )

    def _at_full_speed(self, stop: Stop) -> Iterator[int]:
        movements: list[tuple[object, ...]] = []
        metrics: list[tuple[object, ...]] = []
        waiting: list[int] = []
        for interval in self._intervals:
            if stop:
                break
            rows = [self._movement_row(*movement) for movement in interval.movements()]
            movements += rows
            metrics.append(self._metrics_row(interval))
            waiting.append(len(rows))
            if len(movements) + len(metrics) >= _ROWS_PER_TRANSACTION:
                self._write(movements, metrics)
                self.place = interval.end
                yield from waiting
                movements, metrics, waiting = [], [], []
        self._write(movements, metrics)
        yield from waiting

    def _at_speed(self, speed: float, stop: Stop) -> Iterator[int]:
        clock = _Clock(self._intervals[0].end - INTERVAL, speed)
        for interval in self._intervals:
            movements = interval.movements()
            for time, direction in movements:
                yield from self._wait(clock, time, stop)
                if stop:
                    return
                self._write([self._movement_row(time, direction)], [])
                yield 1
            yield from self._wait(clock, interval.end, stop)
            if stop:
                return
            self._write([], [self._metrics_row(interval)])

    def _wait(self, clock: _Clock, time: datetime, stop: Stop) -> Iterator[int]:
        """Wait for a time of the file, or the stop; yields 0 meanwhile, for who shows where it is."""
        while (seconds := clock.seconds_until(time)) > 0 and not stop.wait(min(seconds, _TICK_SECONDS)):
            self.place = clock.time_on_the_way_to(time)
            yield 0
        self.place = time

    def _movement_row(self, time: datetime, direction: str) -> tuple[object, ...]:
        return self.session_id, next(self._person_ids), direction, self._moved.to(time)

    def _metrics_row(self, interval: Interval) -> tuple[object, ...]:
        day = (interval.end - INTERVAL).date()
        if day != self._day:
            self._day, self._inside = day, 0
        entered, left = interval.counts.get("in", 0), interval.counts.get("out", 0)
        self._inside = max(0, self._inside + entered - left)
        # "Last minute" of a half-hour that is known as a sum: its share, as the even spread has it.
        minutes = INTERVAL / timedelta(minutes=1) / self._moved.speed
        shares = (round(count / max(1.0, minutes)) for count in (entered, left))
        return (
            self.session_id,
            self._moved.to(interval.end),
            self._inside,
            *shares,
            "tracking" if entered or left else "waiting",
        )

    def _write(self, movements: list[tuple[object, ...]], metrics: list[tuple[object, ...]]) -> None:
        """Write both in one transaction."""
        if not movements and not metrics:
            return
        self._connection.autocommit = False
        try:
            with self._connection, self._connection.cursor() as cursor:
                if movements:
                    execute_values(
                        cursor,
                        "insert into people_movements (session_id, person_id, movement_direction, movement_time)"
                        " values %s",
                        movements,
                        page_size=_ROWS_PER_TRANSACTION,
                    )
                if metrics:
                    execute_values(
                        cursor,
                        "insert into realtime_metrics (session_id, timestamp, current_people_count,"
                        " people_entered_last_minute, people_exited_last_minute, detection_status) values %s",
                        metrics,
                        page_size=_ROWS_PER_TRANSACTION,
                    )
        finally:
            if not self._connection.closed:
                self._connection.autocommit = True
        self.written += len(movements)


@dataclass(frozen=True)
class _Moved:
    """Times of the file as those of now: ``start`` becomes ``begin``, and time passes ``speed`` times as fast."""

    start: datetime
    begin: datetime
    speed: float

    def to(self, time: datetime) -> datetime:
        """The time that a row carries."""
        return self.begin + (time - self.start) / self.speed


class _Clock:
    """Maps times of the file to seconds from now, on the monotonic clock."""

    def __init__(self, start: datetime, speed: float) -> None:
        self._start = start
        self._speed = speed
        self._started = monotonic()

    def seconds_until(self, time: datetime) -> float:
        return (time - self._start).total_seconds() / self._speed - (monotonic() - self._started)

    def time_on_the_way_to(self, time: datetime) -> datetime:
        """The time of the file that it is now, at most ``time``."""
        return time - timedelta(seconds=max(0.0, self.seconds_until(time)) * self._speed)


def show_progress(run: Replay, done: Iterator[int], total: int) -> None:
    """Consume the numbers, with a bar on a terminal, else with a line at once, per tenth and every ten seconds."""
    terminal = sys.stderr.isatty()
    said = count = 0
    due = monotonic()
    with tqdm(total=total, unit=" movements", disable=not terminal, leave=False) as bar:
        for number in done:
            count += number
            bar.update(number)
            bar.set_postfix_str(f"at {run.place:%Y-%m-%d %H:%M} of the file", refresh=not number)
            tenth = count * 10 // max(total, 1)
            if not terminal and (tenth > said or monotonic() >= due):
                said, due = tenth, monotonic() + _LINE_SECONDS
                where = f"the file is at {run.place:%Y-%m-%d %H:%M}"
                click.echo(f"{count} of {total} movements written; {where}.", err=True)


def _plan(intervals: list[Interval], total: int, speed: float) -> str:
    """What is about to be written, and how long it takes."""
    first, last = intervals[0].end - INTERVAL, intervals[-1].end
    hours = (last - first).total_seconds() / 3600 / speed if speed else 0.0
    takes = f"in {hours:.3g} hours" if speed else "as fast as it goes"
    return f"Replaying {total} movements of {first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} {takes}. Ctrl-C stops."


class _CountsFile(click.Path):
    """A file of counts; who names none that exists is told where to get one."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401 - click's
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter as error:
            raise click.BadParameter(f"{error.message} {WHERE}", ctx, param) from None


@click.command("replay", epilog=WHERE)
@click.argument("file", type=_CountsFile(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--speed",
    type=click.FloatRange(min=0, max=1e9),
    default=60.0,
    show_default=True,
    metavar="N",
    help="Seconds of the file per second: 3600 plays an hour per second, 0 as fast as it goes.",
)
@click.option(
    "--as-now",
    is_flag=True,
    help="Let rows carry the time of now, at --speed 0 so that the file ends now: live figures and charts show them.",
)
def command(file: Path, speed: float, as_now: bool) -> None:
    """Write the people counts of FILE (CalIt2 format) as a live camera would."""
    try:
        intervals = read_counts(file)
    except (MalformedFileError, OSError) as error:
        raise click.ClickException(f"{error}. Nothing was written. {WHERE}") from error
    total = sum(sum(interval.counts.values()) for interval in intervals)
    click.echo(_plan(intervals, total, speed), err=True)
    with database() as url, stop_on_signals() as stop:
        connection = connect(url, application_name="replay")
        try:
            run = Replay(connection, file.name, intervals, as_now=as_now)
            show_progress(run, run.run(speed, stop), total)
        except psycopg2.Error as error:
            raise click.ClickException(f"The database refused: {str(error).strip()}") from error
        finally:
            connection.close()
    click.echo(f"{'Stopped' if stop else 'Done'}: {run.written} of {total} movements in session {run.session_id}.")
