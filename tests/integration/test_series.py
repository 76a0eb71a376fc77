"""Series of readings, against what plain SQL says of the same rows; minutes, hours, and readings that age out."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from app.feed.pruner import Pruner, prune_readings
from app.feed.rollups import Rollups
from app.postgres.connections import connect
from app.postgres.series import Kept, span
from tests import waiting

START = datetime(2026, 3, 2, 10, tzinfo=UTC)
COLUMNS = (
    "current_people_count", "people_entered_last_minute", "people_exited_last_minute", "fps_current",
    "cpu_usage_percentage", "memory_usage_mb", "processing_latency_ms",
)  # fmt: skip


@pytest.fixture
def session_id(client):
    return client.post("/api/sessions", json={"session_name": "door"}).json["id"]


@pytest.fixture
def connection(database_url):
    with closing(connect(database_url, application_name="writer")) as opened:
        yield opened


@pytest.fixture
def writer(connection):
    return connection.cursor()


@pytest.fixture
def fold(connection, writer):
    """Let the rollups do their work once."""

    def work():
        rollups = Rollups(lambda: connection)
        writer.execute("select number_changes()")
        rollups.update(connection)
        return rollups.totals

    return work


@pytest.fixture
def age(connection):
    """Let the readings before a time age out, and the minutes before another; returns how many of both went."""

    def work(before, minutes_before=None):
        def days(time):
            return None if time is None else (datetime.now(UTC) - time) / timedelta(days=1)

        return sum(prune_readings(connection, days=days(before), minutes_days=days(minutes_before)))

    return work


def read(writer, session_id, count, start=START, seconds=1.0, people="(n * 7) %% 41"):
    """So many readings, one after the other; not every figure is in each."""
    writer.execute(
        "insert into realtime_metrics (session_id, timestamp, current_people_count, people_entered_last_minute,"
        " people_exited_last_minute, fps_current, cpu_usage_percentage, processing_latency_ms)"
        f" select %s, %s + n * %s * interval '1 second', {people}, n %% 5, case when n %% 3 > 0 then n %% 4 end,"
        " 20 + n %% 10 / 3.0, (n * 13) %% 100, case when n %% 2 = 0 then n %% 77 / 7.0 end"
        " from generate_series(0, %s - 1) as n",
        [session_id, start, seconds, count],
    )


def series(client, session_id, since=START, until=START + timedelta(hours=1), **query):
    asked = {"session_id": session_id, "from": since.isoformat(), "to": until.isoformat(), **query}
    response = client.get("/api/metrics/series", query_string=asked)
    assert response.status_code == 200, response.json
    return response.json


def plain(writer, session_id, answer, since=START, until=START + timedelta(hours=1)):
    """The points that belong to this answer, of the rows."""
    writer.execute(
        "select date_bin(%s * interval '1 second', timestamp, %s), count(*), "
        + ", ".join(f"min({column}), avg({column})::float8, max({column})" for column in COLUMNS)
        + " from realtime_metrics where session_id = %s and timestamp >= %s and timestamp < %s group by 1 order by 1",
        [answer["seconds"], since, session_id, since, until],
    )
    points = []
    for start, readings, *values in writer.fetchall():
        spreads = {
            column: None if values[3 * n] is None else dict(zip(("min", "mean", "max"), values[3 * n :], strict=False))
            for n, column in enumerate(COLUMNS)
        }
        points.append({"start": start, "readings": readings, **spreads})
    return points


def agrees(answer, points):
    assert [datetime.fromisoformat(point["start"]) for point in answer["points"]] == [
        point["start"] for point in points
    ]
    for found, wanted in zip(answer["points"], points, strict=True):
        for name in ("readings", *COLUMNS):
            value = wanted[name]
            assert found[name] == (pytest.approx(value, rel=1e-12) if isinstance(value, dict) else value), name


def read_again(points):
    """The points of an answer as those of ``plain``."""
    return [{**point, "start": datetime.fromisoformat(point["start"])} for point in points]


def stored(writer, table):
    writer.execute(f"select * from {table} order by session_id, start")
    return writer.fetchall()


RANGES = (
    (timedelta(hours=1), 500, "readings", 7.2),
    (timedelta(hours=1), 7, "readings", 514.286),
    (timedelta(hours=3), 7, "minutes", 1560),
    (timedelta(days=2), 500, "minutes", 360),
    (timedelta(days=40), 500, "hours", 7200),
    (timedelta(days=40), 2000, "hours", 3600),
)


@pytest.mark.parametrize(("length", "points", "resolution", "seconds"), RANGES)
def test_a_series_says_what_plain_sql_says_before_and_after_folding(
    client, session_id, writer, fold, length, points, resolution, seconds
):
    other = client.post("/api/sessions", json={"session_name": "other"}).json["id"]
    read(writer, session_id, 3000, seconds=97)
    read(writer, other, 100)
    until = START + length
    before = series(client, session_id, until=until, points=points)
    assert (before["resolution"], before["seconds"], before["session_id"]) == (resolution, seconds, session_id)
    wanted = plain(writer, session_id, before, until=until)
    assert len(wanted) > 6
    agrees(before, wanted)
    assert fold()["filled"] == 3100
    agrees(series(client, session_id, until=until, points=points), wanted)
    # The next ones are in no minute yet; not even in the log.
    read(writer, session_id, 50, start=START + timedelta(minutes=30), people="99")
    after = series(client, session_id, until=until, points=points)
    assert after != before
    agrees(after, plain(writer, session_id, after, until=until))


@pytest.mark.parametrize("length", [timedelta(hours=1), timedelta(days=2), timedelta(days=40)])
def test_figures_that_are_not_wanted_are_left_out_and_the_others_stay_the_same(
    client, session_id, writer, fold, length
):
    read(writer, session_id, 2000, seconds=31)
    fold()
    read(writer, session_id, 50, start=START + timedelta(minutes=30), people="99")
    until = START + length
    every = series(client, session_id, until=until)
    some = series(client, session_id, until=until, figures="cpu_usage_percentage,current_people_count")
    wanted = ("start", "readings", "current_people_count", "cpu_usage_percentage")
    assert some == {**every, "points": [{name: point[name] for name in wanted} for point in every["points"]]}
    assert len(some["points"]) > 6


@pytest.mark.parametrize(
    ("length", "points", "resolution"),
    [
        (timedelta(seconds=4000), 2, "readings"),
        (timedelta(seconds=4001), 2, "minutes"),
        (timedelta(hours=3, minutes=20), 500, "readings"),
        (timedelta(hours=3, minutes=20, seconds=1), 500, "minutes"),
        (timedelta(days=8, hours=8), 500, "minutes"),
        (timedelta(days=8, hours=8, seconds=1), 500, "hours"),
        (timedelta(hours=6), 2000, "readings"),
        (timedelta(hours=6, seconds=1), 2000, "minutes"),
        (timedelta(days=15), 2000, "minutes"),
        (timedelta(days=15, seconds=1), 2000, "hours"),
    ],
)
def test_a_range_is_read_from_the_finest_units_that_its_points_deserve(length, points, resolution):
    first = datetime.min.replace(tzinfo=UTC)
    chosen = span(START, START + length, points, Kept(first, first, first, 0))
    assert chosen.resolution == resolution
    assert chosen.length <= points * chosen.width


def test_a_running_feed_sums_up_readings_and_what_becomes_of_them(gunicorn, client, session_id, writer):
    read(writer, session_id, 30, seconds=1)
    gunicorn(METRICS_RETENTION="forever")

    def most(people):
        writer.execute("select readings, people_most from reading_minutes")
        return writer.fetchall() == [(30, people)]

    waiting.until(lambda: most(39))
    writer.execute("update realtime_metrics set current_people_count = 1000 where current_people_count = 39")
    waiting.until(lambda: most(1000))
    writer.execute("select readings, people_most from reading_hours")
    assert writer.fetchall() == [(30, 1000)]


def test_minutes_and_hours_follow_updates_deletes_and_readings_that_come_late(client, session_id, writer, fold):
    read(writer, session_id, 600, seconds=30)
    fold()
    writer.execute(
        "update realtime_metrics set timestamp = timestamp + interval '6 hours' where current_people_count = 7"
    )
    writer.execute("update realtime_metrics set current_people_count = 1000 where current_people_count = 14")
    writer.execute("delete from realtime_metrics where timestamp < %s", [START + timedelta(minutes=90)])
    read(writer, session_id, 5, start=START - timedelta(hours=5))
    since, until = START - timedelta(days=1), START + timedelta(days=29)
    for resolution, end in (("minutes", START + timedelta(days=2)), ("hours", until)):
        for is_folded in (False, True):
            if is_folded:
                fold()
            found = series(client, session_id, since, end)
            assert found["resolution"] == resolution
            agrees(found, plain(writer, session_id, found, since, end))
        writer.execute("update realtime_metrics set fps_current = 3 where current_people_count = 21")
    folded = stored(writer, "reading_minutes"), stored(writer, "reading_hours")
    writer.execute("delete from reading_minutes")
    writer.execute("delete from reading_hours")
    writer.execute("update reading_rollups_cursor set filled = default")
    writer.execute("select number_changes()")
    fold()
    filled = stored(writer, "reading_minutes"), stored(writer, "reading_hours")
    assert [row[:5] for row in folded[0]] == [row[:5] for row in filled[0]]
    assert len(folded[1]) == len(filled[1]) > 5


def test_minutes_are_filled_in_steps_the_newest_first_and_right_at_each(client, session_id, writer):
    read(writer, session_id, 1000, seconds=40)
    until = START + timedelta(days=1)
    writer.execute("select number_changes()")
    steps = 0
    while True:
        writer.execute("select fill_readings(150)")
        if writer.fetchone() == (0,):
            break
        steps += 1
        for end in (until, START + timedelta(days=30)):
            found = series(client, session_id, until=end)
            agrees(found, plain(writer, session_id, found, until=end))
        writer.execute("select min(start) from reading_minutes")
        assert (writer.fetchone()[0] > START) == (steps < 7)
    assert steps == 7


def test_minutes_are_filled_anew_where_the_log_was_pruned_before_they_were_folded(client, session_id, writer, fold):
    read(writer, session_id, 500, seconds=60)
    fold()
    writer.execute("delete from realtime_metrics where timestamp < %s", [START + timedelta(hours=2)])
    writer.execute("select number_changes()")
    writer.execute("delete from change_log where id < (select max(id) from change_log)")
    until = START + timedelta(days=1)
    for _ in range(2):
        found = series(client, session_id, until=until)
        agrees(found, plain(writer, session_id, found, until=until))
        assert len(found["points"]) < 200
        fold()


def test_nothing_is_left_of_readings_that_were_truncated_and_of_sessions_that_were_deleted(
    client, session_id, writer, fold, age
):
    read(writer, session_id, 500, seconds=60)
    fold()
    age(START + timedelta(hours=3))
    writer.execute("truncate realtime_metrics")
    assert series(client, session_id, until=START + timedelta(days=1))["points"] == []
    read(writer, session_id, 1, start=START)
    assert [p["readings"] for p in series(client, session_id, until=START + timedelta(days=1))["points"]] == [1]
    fold()
    assert [p["readings"] for p in series(client, session_id, until=START + timedelta(days=1))["points"]] == [1]
    client.delete(f"/api/sessions/{session_id}")
    fold()
    assert stored(writer, "reading_minutes") == stored(writer, "reading_hours") == []


def test_a_change_that_cannot_be_read_keeps_no_minute_from_being_right(client, session_id, writer, fold):
    read(writer, session_id, 100, seconds=60)
    fold()
    writer.execute("delete from realtime_metrics where timestamp >= %s", [START + timedelta(minutes=50)])
    writer.execute("select number_changes()")
    writer.execute(
        "insert into change_log select max(id) + 1, 'realtime_metrics', 'INSERT', null, null,"
        """ '{"data":{"session_id":"x","timestamp":"y"}}', now() from change_log"""
    )
    fold()
    found = series(client, session_id, until=START + timedelta(days=1))
    assert sum(point["readings"] for point in found["points"]) == 50


def test_what_no_camera_can_mean_neither_stops_the_fold_nor_breaks_the_answer(client, session_id, writer, fold):
    read(writer, session_id, 10)
    writer.execute("update realtime_metrics set fps_current = 1.7e308, memory_usage_mb = 1.7e308")
    for time in ("infinity", "-infinity", "294276-12-31", "4713-01-01 BC"):
        writer.execute("insert into realtime_metrics (session_id, timestamp) values (%s, %s)", [session_id, time])
    fold()
    [point] = series(client, session_id, until=START + timedelta(days=1))["points"]
    assert point["fps_current"] == point["memory_usage_mb"] == {"min": 1e290, "mean": 1e290, "max": 1e290}
    assert series(client, session_id)["points"][0]["fps_current"] == point["fps_current"]


def test_what_readings_said_stays_when_they_age_out(client, session_id, writer, fold, age):
    read(writer, session_id, 3000, seconds=20)
    until = START + timedelta(days=1)
    asked = ((START, until), (START, START + timedelta(days=30)))
    before = [series(client, session_id, *one)["points"] for one in asked]
    fold()
    # In the middle of a minute and an hour; once with changes that are not folded.
    writer.execute("update realtime_metrics set fps_current = fps_current + 1")
    changed = [series(client, session_id, *one)["points"] for one in asked]
    assert changed != before
    assert age(START + timedelta(hours=4, minutes=17, seconds=30)) == 257 * 3
    writer.execute("select count(*) from realtime_metrics")
    assert writer.fetchone() == (3000 - 257 * 3,)
    for _ in range(2):
        for one, points in zip(asked, changed, strict=True):
            agrees(series(client, session_id, *one), read_again(points))
        fold()
    assert series(client, session_id)["resolution"] == "minutes"
    # A reading that comes late is added to what is left of its minute, before and after it ages out as well.
    read(writer, session_id, 30, start=START + timedelta(minutes=5), people="500")
    added = [series(client, session_id, *one)["points"] for one in asked]
    assert [sum(point["readings"] for point in points) for points in added] == [3030, 3030]
    assert added[0][1]["current_people_count"]["max"] == 500
    fold()
    assert age(START + timedelta(hours=4, minutes=17, seconds=30)) == 30
    for one, points in zip(asked, added, strict=True):
        agrees(series(client, session_id, *one), read_again(points))


def test_what_has_aged_out_is_counted_once_while_the_minutes_are_to_be_filled_anew(
    client, session_id, writer, fold, age
):
    read(writer, session_id, 600, seconds=60)
    fold()
    age(START + timedelta(hours=4, minutes=17))
    until = START + timedelta(days=30)
    hours = series(client, session_id, until=until)["points"]
    writer.execute("update reading_rollups_cursor set filled = default")
    agrees(series(client, session_id, until=until), read_again(hours))


def test_hours_stay_when_minutes_age_out(client, session_id, writer, fold, age):
    read(writer, session_id, 1000, seconds=60)
    fold()
    long = START + timedelta(days=30)
    hours = series(client, session_id, until=long)["points"]
    assert age(START + timedelta(hours=6), START + timedelta(hours=3)) == 360 + 180
    assert series(client, session_id, until=long)["points"] == hours
    short = series(client, session_id)
    assert (short["resolution"], short["points"][0]["readings"]) == ("hours", 60)
    assert series(client, session_id, START + timedelta(hours=3), START + timedelta(hours=4))["resolution"] == "minutes"
    read(writer, session_id, 10)
    assert age(START + timedelta(hours=6), START + timedelta(hours=3)) == 10
    assert series(client, session_id)["points"][0]["readings"] == 70


def test_readings_that_came_after_a_truncate_stay_when_they_age_out_before_it_is_folded(
    client, session_id, writer, fold, age
):
    read(writer, session_id, 60, seconds=60)
    fold()
    for is_numbered in (False, True):
        writer.execute("truncate realtime_metrics")
        read(writer, session_id, 100, seconds=60)
        if is_numbered:
            writer.execute("select number_changes()")
        assert age(START + timedelta(minutes=50)) == 0
        fold()
        assert age(START + timedelta(minutes=50)) == 50
        found = series(client, session_id, until=START + timedelta(days=1))
        assert sum(point["readings"] for point in found["points"]) == 100


def test_readings_may_be_kept_longer_than_there_are_years(client, session_id, writer, connection):
    read(writer, session_id, 10)
    assert list(prune_readings(connection, days=9999 * 365, minutes_days=9999 * 365)) == [0, 0]
    assert series(client, session_id)["points"]


def test_nobody_is_told_of_readings_that_age_out_and_everybody_of_others_that_go(session_id, writer, fold, age):
    read(writer, session_id, 100, seconds=60)
    fold()
    writer.execute("select max(id) from change_log")
    [newest] = writer.fetchone()
    assert age(START + timedelta(minutes=50)) == 50
    writer.execute("delete from realtime_metrics where timestamp < %s", [START + timedelta(minutes=52)])
    fold()
    writer.execute("select action from change_log where id > %s", [newest])
    assert writer.fetchall() == [("DELETE",), ("DELETE",)]


def test_readings_age_out_in_small_steps(connection, session_id, writer, age):
    read(writer, session_id, 12_000, seconds=1)
    before = (datetime.now(UTC) - START - timedelta(minutes=190)) / timedelta(days=1)
    steps = list(prune_readings(connection, days=before, minutes_days=None))
    assert sum(steps) == 190 * 60
    assert max(steps) <= 5000
    assert len(steps) == 3
    # A minute goes at once, however much is in it.
    read(writer, session_id, 6000, start=START + timedelta(hours=5), seconds=0.001)
    assert age(START + timedelta(hours=6)) == 6000 + 600


def test_the_pruner_lets_readings_age_out_as_it_is_told(connection, session_id, writer, database_url):
    read(writer, session_id, 48, start=datetime.now(UTC) - timedelta(hours=47.5), seconds=3600)
    opened = partial(connect, database_url, application_name="pruner")
    for days, aged in ((None, 0), (1.0, 24)):
        pruner = Pruner(opened, hours=72, most_bytes=1024**4, readings_days=days)
        pruner.work(lambda _seconds: False)
        assert pruner.totals["aged"] == aged
    # Whoever folds has the same turn: then it waits for the next time.
    connection.autocommit = False
    writer.execute("select from reading_rollups_cursor for update")
    pruner = Pruner(opened, hours=72, most_bytes=1024**4, readings_days=0.5)
    assert pruner.work(lambda _seconds: False) == 60
    assert pruner.totals["aged"] == 0
    connection.rollback()
    pruner.work(lambda _seconds: False)
    assert pruner.totals["aged"] == 12


def test_a_reading_that_is_committed_meanwhile_is_counted_once(client, session_id, writer, fold, age, database_url):
    read(writer, session_id, 10)
    with closing(connect(database_url, application_name="late")) as late:
        late.autocommit = False
        read(late.cursor(), session_id, 5)
        fold()
        assert age(START + timedelta(minutes=1)) == 10
        late.commit()
    for _ in range(2):
        found = series(client, session_id, until=START + timedelta(days=1))
        assert [point["readings"] for point in found["points"]] == [15]
        fold()
    assert age(START + timedelta(minutes=1)) == 5
    assert [point["readings"] for point in series(client, session_id)["points"]] == [15]


def test_a_series_has_the_cursor_from_which_a_stream_continues(client, session_id):
    response = client.get(f"/api/metrics/series?session_id={session_id}")
    assert response.headers["Last-Event-ID"] == client.get("/api/metrics").json["cursor"]
    assert (response.json["resolution"], response.json["seconds"], response.json["points"]) == ("readings", 7.2, [])


def test_wrong_ranges_and_points_are_named(client, session_id):
    session = f"session_id={session_id}"
    for query, field in (
        ("", "session_id"),
        ("session_id=door", "session_id"),
        (f"{session}&points=1", "points"),
        (f"{session}&points=2001", "points"),
        (f"{session}&from=yesterday", "from"),
        (f"{session}&until=2026-01-01T00:00:00Z", "until"),
        (f"{session}&figures=", "figures"),
        (f"{session}&figures=fps_current,cpu", "figures"),
    ):
        response = client.get(f"/api/metrics/series?{query}")
        assert (response.status_code, response.json["errors"][0]["field"]) == (400, field), query
    unknown = client.get(f"/api/metrics/series?{session}&figures=fps_current,cpu").json["errors"][0]["message"]
    assert unknown == f"'cpu' is none of {', '.join(COLUMNS)}"
    assert client.get("/api/metrics/series?session_id=00000000-0000-4000-8000-000000000001").status_code == 404


def test_ranges_may_reach_from_the_first_to_the_last_of_all_days(client, session_id, writer, fold):
    read(writer, session_id, 10)
    for _ in range(2):
        found = series(client, session_id, datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))
        assert [point["readings"] for point in found["points"]] == [10]
        for to in ("0001-01-01T00:00:00Z", START.isoformat().replace("+", "%2B")):
            empty = client.get(f"/api/metrics/series?session_id={session_id}&from={START:%Y-%m-%dT%H:%M:%SZ}&to={to}")
            assert (empty.status_code, empty.json["points"], empty.json["seconds"]) == (200, [], 0.001)
        assert client.get(f"/api/metrics/series?session_id={session_id}&to=0001-01-01T00:00:00Z").json["points"] == []
        fold()
