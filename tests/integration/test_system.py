"""/api/system/workers and /api/system/history: what all workers of all hosts report, and what the triggers cost."""

from __future__ import annotations

import json
import os
import signal
import socket
import urllib.request
from contextlib import closing

import pytest

from app.postgres.connections import connect
from app.postgres.reports import prune_reports
from app.postgres.tables import db
from tests.event_stream import open_stream
from tests.waiting import until


@pytest.fixture
def sql(database_url):
    with closing(connect(database_url, application_name="test")) as connection:
        yield connection.cursor()


def get(url):
    with urllib.request.urlopen(url, timeout=30) as response:
        return json.load(response)


# A worker that reported six times, ten seconds apart, up to so many seconds ago; totals grow by so many in between.
REPORTS = """
insert into worker_reports
select %(host)s, 1, %(slot)s, now() - (%(ago)s + 10 * n) * interval '1 second', 7, '1.0', now() - interval '1 day',
       %(listener)s, 5, %(grow)s * (6 - n), 3 * %(grow)s * (6 - n), 0, 0, 0, 0, 0, 0, 1.5, 9.5, 100 - n, 5e7, 0.25, 0.5
from generate_series(0, 5) as n
"""


def report(sql, host="north", slot=0, ago=0, grow=20, listener="live"):
    sql.execute(REPORTS, {"host": host, "slot": slot, "ago": ago, "grow": grow, "listener": listener})


def test_every_worker_is_listed_and_one_that_is_killed_gives_way_to_its_successor(gunicorn, sql):
    feed = gunicorn(WEB_CONCURRENCY=2)

    def listed():
        return {worker["process"]: worker for worker in get(f"{feed.url}/api/system/workers")["workers"]}

    until(lambda: set(listed()) == set(feed.workers()), what="both")
    assert {(one["host"], one["worker"]) for one in listed().values()} == {(socket.gethostname(), n) for n in (0, 1)}
    with open_stream(feed.url) as client:
        sql.execute("insert into sessions (session_name) select 'door ' || n from generate_series(1, 30) n")
        client.changes(30)
        until(lambda: all(one["changes"] == 30 for one in listed().values()), what="the next reports")
        workers = listed().values()
        assert [sum(one[name] for one in workers) for name in ("streams", "deliveries")] == [1, 30]
        for one in workers:
            assert one["listener"] == "live"
            assert one["changes_per_second"] > 1
            assert one["commit_to_publish_ms"]["p99"] >= one["commit_to_publish_ms"]["p50"] > 0
            assert one["cpu_percent"] >= 0
            assert one["resident_bytes"] > 10_000_000
    killed = feed.workers()[0]
    slot = listed()[killed]["worker"]
    os.kill(killed, signal.SIGKILL)
    until(lambda: killed not in listed() and set(listed()) == set(feed.workers()), what="its successor")
    [successor] = [one for one in listed().values() if one["worker"] == slot]
    assert (successor["changes"], successor["changes_per_second"]) == (0, None)
    feed.stop()
    sql.execute("select distinct on (host, arbiter, slot) listener from worker_reports"
                " order by host, arbiter, slot, reported_at desc")  # fmt: skip
    assert sql.fetchall() == [("stopped",), ("stopped",)]


def test_history_is_the_sum_of_all_hosts(client, sql):
    report(sql, "north", ago=60)
    report(sql, "south", ago=60)
    history = client.get("/api/system/history?minutes=10").json
    assert (history["seconds"], len(history["points"])) == (20, 30)
    reported = [point for point in history["points"] if point["workers"]]
    middle = reported[len(reported) // 2]
    del middle["start"]
    assert middle == {
        "workers": 2,
        "streams": 10,
        "changes_per_second": 2,  # each publishes all
        "deliveries_per_second": 12,
        "sequencer_lag_seconds": 0.25,
        "notify_queue_usage": 0.5,
    }
    assert history["points"][0] | {"start": None} == dict.fromkeys(middle) | {"start": None, "workers": 0}


@pytest.mark.parametrize(("minutes", "points", "seconds"), [(1, 3, 20), (45, 120, 22.5), (60, 120, 30), (120, 120, 60)])
def test_history_has_at_most_120_points(shared_client, minutes, points, seconds):
    history = shared_client.get(f"/api/system/history?minutes={minutes}").json
    assert (len(history["points"]), history["seconds"]) == (points, seconds)


@pytest.mark.parametrize("query", ["minutes=0", "minutes=121", "minutes=x", "minutes=1.5", "hours=1"])
def test_history_that_is_too_long_is_refused(shared_client, query):
    assert shared_client.get(f"/api/system/history?{query}").status_code == 400


def test_what_has_stopped_or_fallen_silent_is_not_listed(client, sql):
    report(sql, slot=0, listener="stopped")
    report(sql, slot=1, ago=40)
    report(sql, slot=2)
    [worker] = client.get("/api/system/workers").json["workers"]
    assert (worker["worker"], worker["changes_per_second"], worker["deliveries_per_second"]) == (2, 2, 6)
    assert worker["cpu_percent"] == 10


def test_reports_are_kept_for_two_hours(sql):
    report(sql, ago=7180)
    prune_reports(sql.connection)
    sql.execute("select count(*) from worker_reports")
    assert sql.fetchall() == [(2,)]


def test_what_the_triggers_cost_is_what_postgresql_measures(client, sql, admin_url):
    def track(functions):
        with closing(connect(admin_url, application_name="test")) as connection, connection.cursor() as cursor:
            cursor.execute("select current_database()")
            [(name,)] = cursor.fetchall()
            cursor.execute(f"alter database {name} set track_functions = {functions}")
        with client.application.app_context():
            db.engine.dispose()  # connections made from now on know the setting

    track("none")
    assert client.get("/api/system/workers").json["trigger_cost"] is None
    track("pl")
    before = client.get("/api/system/workers").json["trigger_cost"]
    with closing(connect(admin_url, application_name="test")) as connection, connection.cursor() as cursor:
        cursor.execute("insert into sessions (session_name) select 'door ' || n from generate_series(1, 30) n")
        cursor.execute("select number_changes(); select pg_stat_force_next_flush(); select 1")
    cost = client.get("/api/system/workers").json["trigger_cost"]
    assert (cost["record"]["calls"], cost["numbering"]["calls"] - before["numbering"]["calls"]) == (30, 1)
    assert 1 < cost["record"]["mean_us"] < 1e5
    assert 1 < cost["numbering"]["mean_us"] < 1e6
