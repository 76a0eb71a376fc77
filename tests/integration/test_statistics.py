"""Statistics and flow, against what plain SQL says of the same movements."""

from __future__ import annotations

from contextlib import closing

import pytest

from app.feed.counts import Counts
from app.postgres.connections import connect

DAY = "2026-03-29"  # in Berlin the clocks go forward at 01:00 UTC


@pytest.fixture
def session_id(client):
    return client.post("/api/sessions", json={"session_name": "door", "start_time": f"{DAY}T00:00:00Z"}).json["id"]


@pytest.fixture
def writer(database_url):
    with closing(connect(database_url, application_name="writer")) as connection:
        yield connection.cursor()


@pytest.fixture
def fold(database_url):
    """Let the bookkeeper do its work once."""

    def work(silence_seconds=3600.0):
        keeper = Counts(lambda: connect(database_url, application_name="keeper"), silence_seconds=silence_seconds)
        with closing(connect(database_url, application_name="keeper")) as connection:
            keeper.update(connection)
        return keeper.totals

    return work


def move(writer, session_id, *moves):
    """("12:00", "in", 3) writes three persons."""
    for time, direction, count in moves:
        time = time if "-" in time or time == "infinity" else f"{DAY}T{time}:00Z"
        writer.execute(
            "insert into people_movements (session_id, person_id, movement_direction, movement_time)"
            " select %s, n, %s, %s from generate_series(1, %s) as n",
            [session_id, direction, time, count],
        )


def statistics(client, session_id, query=""):
    response = client.get(f"/api/sessions/{session_id}/statistics{query}")
    assert response.status_code == 200, response.json
    return response.json


def flow(client, query):
    response = client.get(f"/api/analytics/flow?{query}")
    assert response.status_code == 200, response.json
    return response.json


def counted(writer):
    writer.execute("select session_id, minute, entered, exited from movement_counts order by 1, 2")
    return writer.fetchall()


def plain(writer):
    writer.execute(
        "select session_id, date_trunc('minute', movement_time), count(*) filter (where movement_direction = 'in'),"
        " count(*) filter (where movement_direction = 'out') from people_movements group by 1, 2 order by 1, 2"
    )
    return writer.fetchall()


def test_statistics_are_the_same_before_and_after_folding(client, session_id, writer, fold):
    move(writer, session_id, ("08:00", "in", 4), ("08:10", "out", 1), ("08:20", "in", 2), ("08:30", "out", 6))
    before = statistics(client, session_id)
    assert (before["entered"], before["exited"], before["peak"]) == (6, 7, 5)
    assert before["average"] == pytest.approx((4 * 10 + 3 * 10 + 5 * 10) / 31, abs=0.001)
    assert fold()["folded"] > 0
    assert statistics(client, session_id) == before
    move(writer, session_id, ("09:00", "in", 1))
    assert statistics(client, session_id)["entered"] == 7


def test_counts_follow_updates_deletes_and_truncate(client, session_id, writer, fold):
    move(writer, session_id, ("08:00", "in", 3), ("08:01", "out", 2), ("08:02", "in", 1))
    fold()
    writer.execute("update people_movements set movement_time = movement_time + interval '1 hour' where person_id = 1")
    writer.execute("update people_movements set movement_direction = 'out' where person_id = 3")
    writer.execute("delete from people_movements where person_id = 2")
    fold()
    assert [row for row in counted(writer) if row[2] or row[3]] == plain(writer)
    writer.execute("truncate people_movements")
    move(writer, session_id, ("10:00", "in", 1))
    fold()
    assert counted(writer) == plain(writer)


def test_counts_are_recomputed_if_the_log_was_pruned_too_early(session_id, writer, fold):
    move(writer, session_id, ("08:00", "in", 3), ("08:01", "out", 2))
    writer.execute("delete from change_log where id < (select max(id) from change_log)")
    fold()
    assert counted(writer) == plain(writer)


def test_inside_starts_at_zero_at_every_local_midnight_and_is_never_below(client, session_id, writer):
    move(writer, session_id, ("22:30", "in", 5), ("2026-03-30T00:30:00Z", "out", 2), ("2026-03-30T00:40:00Z", "in", 1))
    query = "bucket=day&from=2026-03-29T00:00:00Z&to=2026-03-31T00:00:00Z"
    assert [bucket["occupancy"] for bucket in flow(client, query)] == [5, 1]
    local = flow(client, query.replace("from=2026-03-29T00:00:00Z", "from=2026-03-28T23:00:00Z") + "&tz=Europe/Berlin")
    assert [(bucket["start"], bucket["entered"], bucket["occupancy"]) for bucket in local][:2] == [
        ("2026-03-28T23:00:00+00:00", 0, 0),
        ("2026-03-29T22:00:00+00:00", 6, 4),
    ]


def test_a_day_with_a_change_of_the_clocks_has_23_or_25_hours(client):
    spring = flow(client, "bucket=hour&tz=Europe/Berlin&from=2026-03-28T23:00:00Z&to=2026-03-29T22:00:00Z")
    autumn = flow(client, "bucket=hour&tz=Europe/Berlin&from=2026-10-24T22:00:00Z&to=2026-10-25T23:00:00Z")
    assert (len(spring), len(autumn)) == (23, 25)
    assert len({bucket["start"] for bucket in autumn}) == 25
    days = flow(client, "bucket=day&tz=Europe/Berlin&from=2026-03-28T23:00:00Z&to=2026-03-30T22:00:00Z")
    assert [bucket["start"][11:13] for bucket in days] == ["23", "22"]


def test_empty_buckets_are_there_and_keep_the_count_inside(client, session_id, writer):
    move(writer, session_id, ("08:59", "in", 3), ("10:05", "out", 1), ("10:06", "in", 2))
    buckets = flow(client, f"from={DAY}T09:00:00Z&to={DAY}T12:00:00Z&session_id={session_id}")
    assert [(b["entered"], b["exited"], b["occupancy"], b["peak"]) for b in buckets] == [
        (0, 0, 3, 3),
        (2, 1, 4, 4),
        (0, 0, 4, 4),
    ]


@pytest.mark.parametrize("bucket", ["minute", "hour", "day", "week"])
def test_buckets_sum_up_to_what_plain_sql_counts(client, session_id, writer, fold, bucket):
    writer.execute(
        "insert into people_movements (session_id, person_id, movement_direction, movement_time)"
        " select %s, n, case when n %% 3 = 0 then 'out' else 'in' end::movement_direction,"
        " timestamptz '2026-03-28' + n * interval '97 seconds' from generate_series(1, 2000) as n",
        [session_id],
    )
    fold()
    move(writer, session_id, ("12:00", "in", 7))
    span = "from=2026-03-28T00:00:00Z&to=2026-04-03T00:00:00Z"
    for zone in ("UTC", "Europe/Berlin", "Asia/Kathmandu"):
        buckets = flow(client, f"bucket={bucket}&{span}&tz={zone}")
        writer.execute(
            "select date_trunc(%s, movement_time, %s), count(*) filter (where movement_direction = 'in'),"
            " count(*) filter (where movement_direction = 'out') from people_movements group by 1 order by 1",
            [bucket, zone],
        )
        wanted = [(start.isoformat(), entered, exited) for start, entered, exited in writer.fetchall()]
        found = [(b["start"], b["entered"], b["exited"]) for b in buckets if b["entered"] or b["exited"]]
        if bucket in ("day", "week"):  # the first ones begin before the range
            assert sum(row[1] for row in found) == sum(row[1] for row in wanted)
        else:
            assert found == wanted


def test_the_first_bucket_is_whole_also_if_from_lies_within_it(client, session_id, writer):
    move(writer, session_id, ("2026-03-02T09:10:00Z", "in", 2), ("2026-03-04T09:10:00Z", "in", 1))
    for bucket, since, entered in (
        ("week", "2026-03-04T09:30", 3),
        ("day", "2026-03-04T09:30", 1),
        ("hour", "2026-03-04T09:30", 1),
        ("minute", "2026-03-04T09:10:30", 1),
    ):
        first, *_ = flow(client, f"bucket={bucket}&from={since}%2B00:00&to=2026-03-05T00:00:00Z")
        assert (bucket, first["entered"]) == (bucket, entered)


def test_a_range_may_end_with_the_first_of_all_days(client):
    assert flow(client, "to=0001-01-01T00:00:00Z&bucket=week") == []
    assert client.get("/api/analytics/profile?to=0001-01-02T00:00:00Z").status_code == 200


def test_the_profile_is_a_typical_week(client, session_id, writer):
    move(writer, session_id, ("2026-03-02T09:30:00Z", "in", 2), ("2026-03-09T09:30:00Z", "in", 4))
    profile = client.get("/api/analytics/profile?from=2026-03-02T00:00:00Z&to=2026-03-16T00:00:00Z").json
    assert len(profile) == 7 * 24
    [monday] = [hour for hour in profile if (hour["weekday"], hour["hour"]) == (1, 9)]
    assert (monday["entered_mean"], monday["entered_quartiles"]) == (3, [2.5, 3, 3.5])


def test_stats_show_today_and_now(client, session_id, writer):
    move(writer, session_id, ("2000-01-01T00:00:00Z", "in", 1), ("2100-01-01T00:00:00Z", "in", 1))
    writer.execute(
        "insert into people_movements (session_id, person_id, movement_direction) values (%s, 1, 'in')", [session_id]
    )
    client.post("/api/metrics", json={"session_id": session_id, "current_people_count": 9})
    client.post("/api/alerts", json={"alert_type": "count"})
    shown = client.get("/api/stats").json
    assert shown["today"] == {"entered": 1, "exited": 0, "peak": 9}
    assert shown["now"] == {
        "inside": 9, "active_sessions": 1, "silent_sessions": 0, "inside_silent": 0, "ahead_sessions": 1,
        "open_alerts": 1, "alerts_in_hand": 0, "alerts_muted": 0, "mute_ends_seconds": None,
    }  # fmt: skip


def test_stats_tell_alerts_that_wait_from_those_in_hand_and_muted(client, writer):
    kinds = ("waits", "taken", "muted", "muted and taken", "resolved")
    ids = {kind: client.post("/api/alerts", json={"alert_type": kind}).json["id"] for kind in kinds}
    muted = [ids["muted"], ids["muted and taken"], ids["resolved"]]
    client.post("/api/alerts/mute", json={"ids": muted, "minutes": 15})
    client.post("/api/alerts/acknowledge", json={"ids": [ids["taken"], ids["muted and taken"]]})
    client.post("/api/alerts/resolve", json={"ids": [ids["resolved"]]})
    now = client.get("/api/stats").json["now"]
    assert [now[name] for name in ("open_alerts", "alerts_in_hand", "alerts_muted")] == [4, 2, 1]
    assert 890 <= now["mute_ends_seconds"] <= 900
    writer.execute("update alert_logs set muted_until = 'infinity' where muted_until is not null")
    assert client.get("/api/stats").json["now"]["mute_ends_seconds"] == 7 * 24 * 3600


def test_wrong_zones_and_ranges_are_named(client):
    for query, field, status in (
        ("tz=Mars", "tz", 400),
        ("bucket=year", "bucket", 400),
        ("from=2000-01-01T00:00:00Z&bucket=minute", "from", 400),
        ("from=0001-01-01T00:00:00Z&to=2026-01-01T00:00:00Z&bucket=day", "from", 400),
    ):
        response = client.get(f"/api/analytics/flow?{query}")
        assert (response.status_code, response.json["errors"][0]["field"]) == (status, field)


def test_a_profile_of_too_many_hours_is_named(client):
    response = client.get("/api/analytics/profile?from=2000-01-01T00:00:00Z")
    assert (response.status_code, response.json["errors"][0]["field"]) == (400, "from")


def test_stopping_a_session_sets_its_end_once(client, session_id):
    stopped = client.post(f"/api/sessions/{session_id}/stop").json
    assert stopped["status"] == "completed"
    assert stopped["end_time"] > stopped["start_time"]
    assert stopped["duration_seconds"] > 0
    assert client.post(f"/api/sessions/{session_id}/stop").json == stopped


def test_a_session_that_fell_silent_is_ended_at_its_last_report(client, session_id, writer, fold):
    quiet = client.post("/api/sessions", json={"session_name": "never reported"}).json["id"]
    writer.execute(
        "insert into people_movements (session_id, person_id, movement_direction) values (%s, 1, 'in')", [session_id]
    )
    assert fold()["ended"] == 0
    writer.execute("select pg_sleep(0.01)")
    assert fold(silence_seconds=0.001)["ended"] == 1
    ended = client.get(f"/api/sessions/{session_id}").json
    assert (ended["status"], ended["end_time"] is None) == ("error", False)
    assert client.get(f"/api/sessions/{quiet}").json["status"] == "active"


@pytest.mark.parametrize(
    ("day", "zone"),
    [
        ("2026-03-29", "Europe/Berlin"),
        ("2026-10-04", "Australia/Lord_Howe"),  # set forward by half an hour
        ("2026-03-29", "Asia/Kathmandu"),  # midnight at 18:15 UTC
        ("2010-11-06", "America/St_Johns"),  # set back at 00:01, to the day before
        ("1880-06-01", "Europe/Amsterdam"),  # local mean time, 00:19:32 ahead
    ],
)
def test_quarters_of_an_hour_say_what_minutes_say(session_id, writer, fold, day, zone):
    writer.execute("select setseed(0.5)")
    for part in range(2):  # with more going in by day, and more leaving in the evening; the second part is not folded
        writer.execute(
            "insert into people_movements (session_id, person_id, movement_direction, movement_time)"
            " select %s, n, case when random() < 0.55 - (n %% 3) * 0.05 then 'in' else 'out' end::movement_direction,"
            " %s::timestamptz + (floor(random() * 3 * 24 * 60) - 60) * interval '1 minute'"
            " from generate_series(1, %s) as n",
            [session_id, day, (12000, 20)[part]],
        )
        if part == 0:
            fold()
    for hours in range(12, 60, 3):
        asked = {"zone": zone, "day": day, "until": hours * 61.5, "session": (None, session_id)[hours % 2]}
        found = []
        for is_by_minute in (False, True):
            writer.execute(
                "select date_trunc('hour', start, %(zone)s), sum(entered), sum(exited), max(peak),"
                " (array_agg(inside order by start desc))[1], min(first_minute), max(last_minute) from movement_spans("
                " date_trunc('day', %(day)s::timestamptz, %(zone)s), %(day)s::timestamptz + %(until)s * interval"
                " '1 minute', %(session)s, %(zone)s, %(is_by_minute)s) group by 1 order by 1",
                asked | {"is_by_minute": is_by_minute},
            )
            found.append(writer.fetchall())
        assert len(found[0]) > 8
        assert found[0] == found[1]


def test_quarters_are_those_of_a_recount(session_id, writer, fold):
    rows = "select * from movement_quarters order by session_id, start"
    move(writer, session_id, ("08:00", "in", 3), ("08:05", "out", 5), ("08:14", "in", 2), ("08:15", "out", 1))
    move(writer, session_id, ("infinity", "in", 1), ("294276-12-31", "in", 1), ("4713-01-01 BC", "out", 1))
    fold()
    writer.execute("delete from people_movements where person_id = 2")
    fold()
    writer.execute(rows)
    folded = writer.fetchall()
    writer.execute("select recount_movements()")
    writer.execute(rows)
    assert writer.fetchall() == folded
    assert len(folded) == 4  # two of the session, two of all together


def test_what_has_no_id_yet_is_counted_once_before_and_after_it_gets_one(client, session_id, writer, fold):
    def entered():
        return statistics(client, session_id)["entered"]

    move(writer, session_id, ("12:00", "in", 3))
    writer.execute("select count(*) from change_inbox")
    assert writer.fetchone()[0] > 0
    assert entered() == 3  # which gives them their ids, after it has read
    writer.execute("select count(*) from change_inbox")
    assert writer.fetchone() == (0,)
    assert entered() == 3
    fold()
    assert entered() == 3
    move(writer, session_id, ("12:00", "in", 2))
    writer.execute("delete from people_movements where person_id = 1")
    writer.execute("select recount_movements()")
    writer.execute("select sum(entered)::int, (select folded from movement_counts_cursor) from movement_counts")
    assert writer.fetchone() == (3, 4)  # without what has no id
    assert entered() == 3
    fold()
    assert entered() == 3
    writer.execute("select sum(entered)::int, (select folded from movement_counts_cursor) from movement_counts")
    assert writer.fetchone() == (3, 8)
