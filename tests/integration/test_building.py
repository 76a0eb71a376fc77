"""Flow and profile of a building's door over fifteen weeks, against plain Python.

The door is that of the CalIt2 data set where ``CALIT2_FILE`` names it, and else one whose people come and go by chance.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from contextlib import closing
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from statistics import fmean, quantiles

import pytest

from app.cli.replay import Replay, read_counts
from app.cli.stopping import stop_on_signals
from app.feed.counts import Counts
from app.postgres.connections import connect

_FIRST = datetime(2005, 7, 24)
_HOUR = timedelta(hours=1)


def _made_up(path):
    chance = random.Random(7)
    lines = []
    for step in range(1, 15 * 7 * 48):
        end = _FIRST + step * timedelta(minutes=30)
        busy = 12 if 8 <= end.hour < 18 and end.weekday() < 5 else 1
        lines += [f"{door},{end:%m/%d/%y,%H:%M:%S},{chance.randint(0, busy)}" for door in (7, 9)]
    path.write_text("\n".join(lines))
    return path


@pytest.fixture
def counts(tmp_path):
    given = os.environ.get("CALIT2_FILE")
    return read_counts(Path(given) if given else _made_up(tmp_path / "door.data"))


def _minutes(counts):
    """minute -> entered and exited"""
    entered, exited = Counter(), Counter()
    for interval in counts:
        for time, direction in interval.movements():
            minute = time.replace(second=0, microsecond=0, tzinfo=None)
            (entered if direction == "in" else exited)[minute] += 1
    return entered, exited


def _hours(counts):
    """(start, entered, exited, occupancy, peak) of every hour, minute by minute."""
    entered, exited = _minutes(counts)
    last = max([*entered, *exited])
    start, hours, inside = _FIRST, [], 0
    while start <= last:
        came = went = 0
        inside = inside if start.hour else 0
        peaks = []
        for minute in (start + timedelta(minutes=n) for n in range(60)):
            came += entered[minute]
            went += exited[minute]
            inside = max(inside + entered[minute] - exited[minute], 0)
            if entered[minute] or exited[minute]:
                peaks.append(inside)
        hours.append((start, came, went, inside, max([*peaks, inside])))
        start += _HOUR
    return hours


def test_fifteen_weeks_of_a_door_are_what_plain_python_counts(client, database_url, counts):
    with closing(connect(database_url, application_name="replay")) as connection, stop_on_signals() as stop:
        for _ in Replay(connection, "door", counts).run(0, stop):
            pass
    hours = _hours(counts)
    spans = list(pairwise([_FIRST + week * timedelta(weeks=5) for week in range(4)]))

    def flow():
        return [
            (
                datetime.fromisoformat(b["start"]).replace(tzinfo=None),
                b["entered"],
                b["exited"],
                b["occupancy"],
                b["peak"],
            )
            for since, until in spans
            for b in client.get(f"/api/analytics/flow?bucket=hour&from={since}Z&to={until}Z".replace(" ", "T")).json
        ]

    before = flow()
    assert before[: len(hours)] == hours
    keeper = Counts(lambda: connect(database_url, application_name="keeper"), silence_seconds=3600)
    with closing(connect(database_url, application_name="keeper")) as connection:
        while keeper.totals["folded"] < 2 * len(hours):
            keeper.update(connection)
    assert flow() == before
    until = _FIRST + timedelta(weeks=15)
    profile = client.get(f"/api/analytics/profile?from={_FIRST}Z&to={until}Z".replace(" ", "T")).json
    for hour in profile:
        wanted = [row[1:4] for row in before if (row[0].isoweekday(), row[0].hour) == (hour["weekday"], hour["hour"])]
        assert hour["hours"] == len(wanted) == 15
        for name, values in zip(("entered", "exited", "occupancy"), zip(*wanted, strict=True), strict=True):
            assert hour[f"{name}_mean"] == pytest.approx(fmean(values), abs=0.001)
            assert hour[f"{name}_quartiles"] == pytest.approx(quantiles(values, method="inclusive"))
