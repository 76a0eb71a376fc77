"""Many writers and thresholds: no writer fails or waits for an alert, and the alerts are those of the log."""

from __future__ import annotations

import json
import random
import threading
import time
from contextlib import closing

import psycopg2
import pytest

from app.postgres.connections import connect
from tests.event_stream import open_stream, wait_until_ready

SESSIONS = [f"00000000-0000-4000-8000-{number:012}" for number in range(16)]
VALUES = (5, 10, 20, 40, 80)
ISOLATION = ["read committed", "repeatable read", "serializable"]


@pytest.fixture
def sql(database_url):
    with closing(connect(database_url, application_name="test")) as connection:
        yield connection.cursor()


def prepare(sql):
    sql.execute("insert into sessions (id, session_name) select unnest(%s::uuid[]), 'door'", (SESSIONS,))
    sql.execute(
        "insert into alert_thresholds (threshold_name, threshold_value, resolve_margin)"
        " select 'at ' || value, value, 1 from unnest(%s::integer[]) as value",
        (list(VALUES),),
    )


def write(url, seed, isolation, failures, stop_after=25):
    """Transactions over four sessions each, in random order."""
    chance = random.Random(seed)
    with closing(psycopg2.connect(url)) as connection:
        connection.set_session(isolation_level=isolation)
        for _ in range(stop_after):
            try:
                with connection, connection.cursor() as cursor:
                    for session_id in chance.sample(SESSIONS, 4):
                        cursor.execute(
                            "insert into realtime_metrics (session_id, timestamp, current_people_count)"
                            " values (%s, clock_timestamp(), %s)",
                            (session_id, chance.choice([0, 4, 6, 12, 25, 50, 100])),
                        )
            except psycopg2.Error as error:
                failures.append(str(error))


def evaluate(sql):
    while True:
        sql.execute("select number_changes(); select evaluate_alerts()")
        if sql.fetchone() == (0,):
            return


def model(sql):
    """What plain evaluation of the log gives: per session and threshold, the values of each alert and its state."""
    sql.execute("select payload from change_log where table_name = 'realtime_metrics' order by id")
    alerts, lasting, newest = [], {}, {}
    for (payload,) in sql.fetchall():
        row = json.loads(payload)["data"]
        if row["timestamp"] < newest.get(row["session_id"], ""):
            continue  # late: it was taken before one that has been followed
        newest[row["session_id"]] = row["timestamp"]
        for threshold in VALUES:
            key, value = (row["session_id"], threshold), row["current_people_count"]
            if value < threshold - 1:
                if key in lasting:
                    lasting.pop(key)["state"] = (value, True)
            elif key in lasting:
                lasting[key]["state"] = (value, False)
            elif value >= threshold:
                lasting[key] = {"key": key, "state": (value, False)}
                alerts.append(lasting[key])
    return sorted((*alert["key"], *alert["state"]) for alert in alerts)


def raised(sql):
    sql.execute("select session_id, threshold_value, current_value, is_resolved from alert_logs")
    return sorted(sql.fetchall())


@pytest.mark.parametrize("isolation", ISOLATION)
def test_16_writers_meet_no_deadlock_and_raise_what_the_log_says(sql, database_url, isolation):
    prepare(sql)
    failures: list[str] = []
    threads = [threading.Thread(target=write, args=(database_url, seed, isolation, failures)) for seed in range(16)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        sql.execute("select number_changes(100); select evaluate_alerts(50)")
    for thread in threads:
        thread.join()
    evaluate(sql)
    assert failures == []
    expected = model(sql)
    assert len(expected) > 100
    assert raised(sql) == expected


def test_two_evaluators_at_once_evaluate_once(sql, database_url):
    prepare(sql)
    write(database_url, 1, "read committed", [], stop_after=100)

    def work():
        with closing(connect(database_url, application_name="evaluator")) as connection, connection.cursor() as cursor:
            for _ in range(200):
                cursor.execute("select number_changes(3); select evaluate_alerts(5)")

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    evaluate(sql)
    assert raised(sql) == model(sql)


def test_a_batch_of_any_size_gives_the_same_alerts(sql, database_url):
    prepare(sql)
    write(database_url, 2, "read committed", [], stop_after=60)
    for most in (1, 2, 3, 7, 50, 1000):
        sql.execute(
            "delete from alert_logs; delete from alert_states; delete from newest_readings;"
            " update alert_cursor set evaluated = 0"
        )
        while sql.execute("select number_changes(); select evaluate_alerts(%s)", (most,)) or sql.fetchone() != (0,):
            pass
        assert raised(sql) == model(sql), most


def test_sessions_and_thresholds_that_are_gone_stop_nothing(sql, database_url):
    prepare(sql)
    write(database_url, 3, "read committed", [], stop_after=20)
    sql.execute("delete from sessions where id = any(%s::uuid[])", (SESSIONS[:8],))
    sql.execute("delete from alert_thresholds where threshold_value > 20")
    evaluate(sql)
    sql.execute("select count(*), count(distinct session_id) <= 8, max(threshold_value) from alert_logs")
    count, is_of_the_rest, highest = sql.fetchone()
    assert (count > 0, is_of_the_rest, highest) == (True, True, 20)


def test_what_was_pruned_is_passed_over(sql, database_url):
    prepare(sql)
    write(database_url, 4, "read committed", [], stop_after=20)
    sql.execute("delete from change_log where id < (select max(id) - 10 from change_log)")
    evaluate(sql)
    assert raised(sql) == model(sql)


def test_a_worker_raises_alerts_within_moments_of_the_commit(gunicorn, sql):
    server = gunicorn(WEB_CONCURRENCY=2)
    wait_until_ready(server)
    prepare(sql)
    with open_stream(server.url, "/api/sse/alerts") as stream:
        began = time.monotonic()
        sql.execute("insert into realtime_metrics (session_id, current_people_count) values (%s, 10)", (SESSIONS[0],))
        values = sorted(change["data"]["threshold_value"] for change in stream.changes(2))
        assert values == [5, 10]
        assert time.monotonic() - began < 10  # 0.2 s on a quiet machine
