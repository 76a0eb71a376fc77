"""The figures of now: from whatever producers send, whatever their clocks say, in whatever order it comes."""

from __future__ import annotations

import json
import random
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from app.feed.counts import Counts
from app.postgres.connections import connect


@pytest.fixture(autouse=True)
def context(app):
    with app.app_context():
        yield


@pytest.fixture
def sql(database_url):
    with closing(connect(database_url, application_name="test")) as connection:
        yield connection.cursor()


@pytest.fixture
def door(client):
    """Makes sessions; returns their ids."""
    return lambda: client.post("/api/sessions", json={"session_name": "door"}).json["id"]


@pytest.fixture
def keep(database_url):
    """Let a worker's loops do their work once."""

    def work(silence_seconds=3600.0):
        with closing(connect(database_url, application_name="keeper")) as connection:
            counts = Counts(lambda: connection, silence_seconds=silence_seconds)
            with connection.cursor() as cursor:
                cursor.execute("select number_changes(); select evaluate_alerts()")
            counts.update(connection)

    return work


def ago(**units):
    return (datetime.now(UTC) - timedelta(**units)).isoformat()


def read(client, session_id, people, taken_at=None):
    row = {"session_id": session_id, "current_people_count": people} | ({"timestamp": taken_at} if taken_at else {})
    assert client.post("/api/metrics", json=row).status_code == 201


def move(client, session_id, *directions, at=None):
    when = {"movement_time": at} if at else {}
    rows = [{"session_id": session_id, "person_id": 1, "movement_direction": one} | when for one in directions]
    assert client.post("/api/movements", json=rows).status_code in (200, 201)


def stats(client):
    return client.get("/api/stats").json


def now(client):
    return stats(client)["now"]


def alerts(client):
    return [(row["current_value"], row["is_resolved"]) for row in client.get("/api/alerts").json["items"]]


def status(client, session_id):
    return client.get(f"/api/sessions/{session_id}").json["status"]


@pytest.mark.parametrize("is_folded", [False, True])
def test_a_producer_that_sends_only_movements_is_counted(client, door, keep, is_folded):
    first, second = door(), door()
    move(client, first, "in", "in", "in", "out")
    move(client, second, "out", "out", at=ago(minutes=2))  # they were there before midnight: never below 0
    move(client, second, "in")
    if is_folded:
        keep()
    assert now(client)["inside"] == 2 + 1
    read(client, second, 7)
    assert now(client)["inside"] == 2 + 7


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kathmandu", "America/St_Johns"])
def test_what_is_inside_is_the_sum_of_its_doors_folded_or_not(client, door, keep, sql, zone):
    chance = random.Random(zone)
    doors = [door() for _ in range(4)]
    for part in range(3):
        for session_id in doors:
            sql.execute(
                "insert into people_movements (session_id, person_id, movement_direction, movement_time)"
                " select %s, 1, direction::movement_direction, now() - minutes * interval '1 minute'"
                " from unnest(%s, %s) as moves (direction, minutes)",
                (
                    session_id,
                    [chance.choice(["in", "in", "out", "out", "in"]) for _ in range(150)],
                    [chance.randrange(26 * 60) for _ in range(150)],
                ),
            )
        each = [client.get(f"/api/sessions/{one}/statistics?tz={zone}").json["inside"] for one in doors]
        assert client.get(f"/api/stats?tz={zone}").json["now"]["inside"] == sum(each)
        assert sum(each) > 0
        if part != 1:
            keep()


def test_what_is_ahead_of_now_steers_no_figure_and_no_alert(client, door, keep):
    client.post("/api/thresholds", json={"threshold_name": "crowd", "threshold_value": 50})
    session_id = door()
    read(client, session_id, 5)
    read(client, session_id, 99, ago(hours=-7))
    move(client, session_id, "in", at=ago(seconds=0))
    move(client, session_id, "in", at=ago(minutes=-5))
    keep()
    assert now(client)["inside"] == 5
    assert stats(client)["today"]["entered"] == 1
    assert alerts(client) == []
    read(client, session_id, 60, ago(seconds=-60))  # within the margin
    keep()
    assert now(client)["inside"] == 60
    assert alerts(client) == [(60, False)]
    assert client.get("/api/metrics?count=true").json["total"] == 3  # all of them are kept


def test_clocks_that_are_ahead_are_counted_and_said(client, door):
    steady, ahead, moving = door(), door(), door()
    read(client, steady, 5, ago(seconds=-60))
    read(client, ahead, 5, ago(hours=-7))
    move(client, moving, "in", at=ago(days=-1))
    assert now(client)["ahead_sessions"] == 2
    seconds = [client.get(f"/api/sessions/{one}/statistics").json["ahead_seconds"] for one in (steady, ahead, moving)]
    assert seconds[0] == 0
    assert 25_190 <= seconds[1] <= 25_200
    assert 86_390 <= seconds[2] <= 86_400
    client.post(f"/api/sessions/{ahead}/stop")
    assert now(client)["ahead_sessions"] == 1


def test_a_reading_says_when_it_came_beside_when_it_was_taken(client, door):
    row = {"session_id": door(), "timestamp": "2020-01-01T00:00:00Z", "created_at": "2019-01-01T00:00:00Z"}
    kept = client.post("/api/metrics", json=row).json
    assert kept["timestamp"].startswith("2020-01-01")
    assert kept["created_at"] >= ago(minutes=1)


def test_late_readings_steer_nothing(client, door, keep):
    client.post("/api/thresholds", json={"threshold_name": "crowd", "threshold_value": 20})
    session_id = door()
    read(client, session_id, 25)
    keep()
    read(client, session_id, 0, ago(minutes=5))
    keep()
    assert (alerts(client), now(client)["inside"]) == ([(25, False)], 25)
    read(client, session_id, 3)
    keep()
    read(client, session_id, 90, ago(minutes=8))
    keep()
    assert (alerts(client), now(client)["inside"]) == ([(3, True)], 3)


def test_history_raises_no_alert_and_brings_no_session_back(client, door, keep):
    client.post("/api/thresholds", json={"threshold_name": "crowd", "threshold_value": 20})
    session_id = door()
    read(client, session_id, 90, ago(days=3))
    move(client, session_id, "in", at=ago(days=3))
    keep()
    assert (alerts(client), now(client)["inside"]) == ([], 0)
    read(client, session_id, 1)
    keep(silence_seconds=0.001)
    assert status(client, session_id) == "error"
    read(client, session_id, 90, ago(days=3))
    keep()
    assert status(client, session_id) == "error"


def test_a_session_that_was_silent_is_active_again_when_it_reports(client, door, keep):
    session_id = door()
    read(client, session_id, 4)
    keep(silence_seconds=0.001)
    assert (status(client, session_id), now(client)["inside"]) == ("error", 0)
    move(client, session_id, "in")
    keep()
    row = client.get(f"/api/sessions/{session_id}").json
    assert (row["status"], row["end_time"], row["duration_seconds"]) == ("active", None, None)


def test_a_session_that_was_stopped_by_hand_stays_so_and_raises_nothing(client, door, keep):
    client.post("/api/thresholds", json={"threshold_name": "crowd", "threshold_value": 20})
    stopped, silent = door(), door()
    read(client, silent, 1)
    keep(silence_seconds=0.001)
    client.post(f"/api/sessions/{stopped}/stop")
    client.patch(f"/api/sessions/{silent}", json={"status": "cancelled"})
    for _ in range(3):
        for session_id in (stopped, silent):
            read(client, session_id, 99)
        keep()
    assert (status(client, stopped), status(client, silent), alerts(client)) == ("completed", "cancelled", [])


def test_a_silent_door_counts_with_its_last_figure_and_is_said_to_be_silent(client, door):
    loud, silent, dead = door(), door(), door()
    read(client, loud, 10)
    read(client, silent, 4, ago(minutes=10))
    read(client, dead, 100, ago(hours=2))
    figures = now(client)
    assert (figures["inside"], figures["silent_sessions"], figures["inside_silent"]) == (14, 1, 4)


def test_the_peak_is_never_below_what_is_inside(client, door):
    read(client, door(), 148)
    figures = stats(client)
    assert (figures["now"]["inside"], figures["today"]["peak"]) == (148, 148)


def test_the_api_the_command_and_plain_sql_agree_on_random_rows(client, app, door, keep, sql):
    chance = random.Random(5)
    doors = [door() for _ in range(6)]
    expected, entered = {}, 0
    for number in range(200):
        session_id = chance.choice(doors)
        if chance.random() < 0.5:
            move(client, session_id, "in")
            entered += 1
        elif session_id in doors[:3]:  # the others send movements only
            seconds = chance.choice([-3600, -130, 0, 30, 500])
            taken_at, people = ago(seconds=seconds), chance.randrange(50)
            read(client, session_id, people, taken_at)
            if seconds >= 0:
                expected[session_id] = max(expected.get(session_id, ("", 0)), (taken_at, people))
        if number % 50 == 0:
            keep()
    figures = stats(client)
    sql.execute("select session_id::text, count(*) from people_movements group by 1")
    moved = dict(sql.fetchall())
    inside = sum(expected[one][1] if one in expected else moved.get(one, 0) for one in doors)
    assert (figures["now"]["inside"], figures["today"]["entered"]) == (inside, entered)
    shown = app.test_cli_runner().invoke(args=["stats"]).stdout
    assert f"inside now            {inside}\n" in shown
    assert f"entered today         {entered}\n" in shown
    assert json.dumps(figures["today"]["peak"]) in shown


# When the clocks of each zone change in 2024 to 2027; zones that share all changes are there once. Days are looked at
# first, then the minutes of those in which a clock changes.
_CHANGES = """
with days as materialized (
    select name, day, (day at time zone name) - (day at time zone 'UTC') as shift
    from pg_timezone_names,
         generate_series('2024-01-01T00:00Z'::timestamptz, '2028-01-01T00:00Z', interval '1 day') as day
    where name !~ '^(posix/|localtime|Factory)'
), changed as (
    select *, lead(shift) over (partition by name order by day) as next from days
), changes as (
    select name, min(minute) as moment
    from changed, generate_series(day, day + interval '1 day', interval '1 minute') as minute
    where next <> shift and (minute at time zone name) - (minute at time zone 'UTC') <> shift
    group by name, day
), zones as (
    select name, array_agg(moment order by moment) as moments,
           array_agg(((moment at time zone name) - (moment at time zone 'UTC'))::text order by moment) as shifts
    from changes group by name
)
select min(name), moments from zones group by moments, shifts order by 1
"""
# In these a midnight comes twice, or not at all; more than a few there are not.
_MIDNIGHTS = {
    "Africa/Cairo", "America/Asuncion", "America/Coyhaique", "America/Havana", "America/Godthab", "America/Santiago",
    "America/Scoresbysund", "Asia/Beirut", "Atlantic/Azores",
}  # fmt: skip


def test_days_and_hours_are_those_of_the_wall_clock_whatever_clocks_do_in_any_zone(app, door, keep, sql):
    session_id, chance = door(), random.Random(1)
    sql.execute(_CHANGES)
    zones = dict(sql.fetchall())
    assert len(zones) > 30
    assert set(zones) >= _MIDNIGHTS, sorted(zones)
    asked = [
        (zone, moment)
        for zone, moments in zones.items()
        for moment in (moments if zone in _MIDNIGHTS else chance.sample(moments, min(2, len(moments))))
    ]
    rows = {
        moment + timedelta(minutes=minutes)
        for _, moment in asked
        for minutes in [chance.randrange(-1500, 1500) for _ in range(60)] + [-61, -60, -31, -30, -1, 0, 1, 29, 30, 59]
    }
    sql.execute(
        "insert into people_movements (session_id, person_id, movement_direction, movement_time)"
        " select %s, 1, 'in', unnest(%s)",
        (session_id, list(rows)),
    )
    keep()
    client = app.test_client()
    for zone, moment in asked:
        since, until = moment - timedelta(hours=20), moment + timedelta(hours=20)
        of_day, hours = (counted(sql, since, until, zone, bucket) for bucket in ("day", "hour"))
        query = f"tz={zone}&from={since:%FT%TZ}&to={until:%FT%TZ}"
        for bucket, found in (("day", of_day), ("hour", hours)):
            answer = client.get(f"/api/analytics/flow?bucket={bucket}&{query}").json
            shown = [(datetime.fromisoformat(one["start"]), one["entered"]) for one in answer]
            assert shown == [row[:2] for row in found], (zone, moment, bucket)
        typical: dict[tuple[int, int], list[int]] = {}
        for _, number, local in hours:
            typical.setdefault((local.isoweekday(), local.hour), []).append(number)
        answer = client.get(f"/api/analytics/profile?{query}").json
        assert [(one["weekday"], one["hour"], one["hours"], one["entered_mean"]) for one in answer] == [
            (*key, len(numbers), round(sum(numbers) / len(numbers), 3)) for key, numbers in sorted(typical.items())
        ], (zone, moment)


def counted(sql, since, until, zone, bucket):
    """Minute by minute, in plain SQL: when each day or hour of the wall clock began, and who came in it.

    An hour that comes twice is two; the first bucket is whole."""
    sql.execute(
        "select minute, date_trunc(%s, minute at time zone %s),"
        "       (minute at time zone %s) - (minute at time zone 'UTC'),"
        "       (select count(*) from people_movements m"
        "        where m.movement_time >= minute and m.movement_time < minute + interval '1 minute')"
        " from generate_series(%s - interval '30 hours', %s - interval '1 second', interval '1 minute') as minute",
        (bucket, zone, zone, since, until),
    )
    rows = sql.fetchall()
    buckets: dict[object, list] = {}
    for minute, local, offset, number in rows:
        key = local if bucket == "day" else (local, offset)
        buckets.setdefault(key, [minute, 0, local])[1] += number
    [first] = [key for minute, local, offset, _ in rows if minute <= since < minute + timedelta(minutes=1)
               for key in [local if bucket == "day" else (local, offset)]]  # fmt: skip
    whole = list(buckets)
    return [tuple(buckets[key]) for key in whole[whole.index(first) :]]


def figures(client, **query):
    return {row["session_id"]: row for row in client.get("/api/sessions/figures", query_string=query).json}


def test_the_figures_of_the_doors_add_up_to_what_is_inside(client, door, keep):
    reads, moves, ahead, empty, stopped = (door() for _ in range(5))
    for count in (3, 5, 4):
        read(client, reads, count, ago(seconds=30 - count))
    move(client, moves, "in", "in", "out")
    read(client, ahead, 6, ago(seconds=40))
    read(client, ahead, 99, ago(hours=-7))
    move(client, ahead, "in", "in")
    read(client, stopped, 9)
    client.post("/api/sessions/stop", json={"ids": [stopped]})
    for _ in range(2):
        found = figures(client)
        assert {key: row["inside"] for key, row in found.items()} == {reads: 5, moves: 1, ahead: 6, empty: 0}
        assert sum(row["inside"] for row in found.values()) == now(client)["inside"]
        keep()
    assert found[reads]["counts"] == [3, 4, 5]
    assert (found[reads]["taken_at"] is None, found[reads]["last_movement"]) == (False, None)
    assert (found[moves]["taken_at"], found[moves]["counts"]) == (None, [])
    assert found[moves]["last_movement"] is not None
    assert found[ahead]["counts"] == [6]
    assert set(figures(client, counted="true")) == {moves, empty}
    assert set(figures(client, session_id=moves)) == {moves}


@pytest.mark.parametrize("path", ["/api/sessions/figures", "/api/stats", "/api/analytics/flow?bucket=minute"])
def test_statistics_say_from_where_the_stream_goes_on(client, door, path):
    session_id = door()
    move(client, session_id, "in")
    newest = client.get("/api/movements").headers["Last-Event-ID"]
    assert client.get(path).headers["Last-Event-ID"] == newest
    move(client, session_id, "in")
    assert client.get(path).headers["Last-Event-ID"] == client.get("/api/movements").headers["Last-Event-ID"] != newest
