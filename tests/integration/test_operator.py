"""flask tail, doctor and stats, as an operator types them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import pytest

from app.config import CHECKOUT
from app.postgres.connections import connect
from tests.serving import environment, status
from tests.waiting import until


@pytest.fixture
def sql(database_url):
    connection = connect(database_url, application_name="test")
    yield connection.cursor()
    connection.close()


@pytest.fixture
def session(sql):
    sql.execute("insert into sessions (session_name) values ('door') returning id")
    return sql.fetchone()[0]


def move(sql, session, *people):
    for person in people:
        sql.execute(
            "insert into people_movements (session_id, person_id, movement_direction) values (%s, %s, 'in')",
            [session, person],
        )


def flask(*words, **settings):
    return [sys.executable, "-m", "flask", "--app", "app.cli:create_app", *map(str, words)], environment(**settings)


def run(*words, **settings):
    command, environ = flask(*words, **settings)
    return subprocess.run(command, cwd=CHECKOUT, env=environ, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture
def tail(tmp_path, database_url):
    """Start `flask tail`: the process, and a function that reads what it has printed."""
    processes = []

    def start(*words):
        command, environ = flask("tail", *words, DATABASE_URL=database_url)
        output = tmp_path / f"tail-{len(processes)}"
        with output.open("wb") as target:
            process = subprocess.Popen(command, cwd=CHECKOUT, env=environ, stdout=target, stderr=subprocess.PIPE)
        processes.append(process)
        return process, lambda: [json.loads(line) for line in output.read_text().splitlines()]

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def test_tail_shows_each_change_once_through_a_restart_of_the_feed(gunicorn, tail, sql, session):
    feed = gunicorn(RETRY_SECONDS=0.2)
    process, changes = tail("movements", "--url", feed.url, "--json", "--after", 0)
    move(sql, session, 1, 2)
    until(lambda: len(changes()) == 2, what="two changes")
    feed.stop()
    move(sql, session, 3)
    gunicorn(PORT=feed.url.rpartition(":")[2], RETRY_SECONDS=0.2)
    move(sql, session, 4)
    until(lambda: len(changes()) >= 4, what="four changes")
    assert [change["data"]["person_id"] for change in changes()] == [1, 2, 3, 4]
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0


def test_tail_says_what_changed_in_a_line(gunicorn, sql, session):
    feed = gunicorn()
    sql.execute("update sessions set fps = 25 where id = %s", [session])
    command, environ = flask("tail", "sessions", "--url", feed.url, "--after", 0)
    with subprocess.Popen(command, cwd=CHECKOUT, env=environ, stdout=subprocess.PIPE, text=True) as process:
        inserted, updated = process.stdout.readline(), process.stdout.readline()
        process.stdout.close()  # as head does
        move(sql, session, 1)
        sql.execute("update sessions set fps = 30 where id = %s", [session])
        assert process.wait(30) == 0
    assert "INSERT" in inserted
    assert "session_name=door" in inserted
    assert "UPDATE" in updated
    assert "fps=-→25" in updated
    assert "\x1b" not in updated  # plain where nobody sees colours


def test_tail_gives_up_where_it_is_refused(gunicorn):
    feed = gunicorn()
    refused = run("tail", "alerts", "--url", f"{feed.url}/elsewhere")
    assert (refused.returncode, refused.stderr) == (1, "Error: There is nothing at /elsewhere/api/sse/alerts.\n")


@pytest.mark.parametrize(
    ("url", "right"),
    [
        ("localhost:8000", "http://localhost:8000"),
        ("127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("feed.example.org", "http://feed.example.org"),
        ("ftp://feed.example.org", "http://127.0.0.1:8000"),
        ("http://feed.example.org:port", "http://127.0.0.1:8000"),
        ("http://", "http://127.0.0.1:8000"),
    ],
)
def test_tail_says_what_a_url_lacks(database_url, url, right):
    refused = run("tail", "alerts", "--url", url, DATABASE_URL=database_url)
    assert refused.returncode == 2
    assert f"'{url}' is no URL of a feed: it begins with http:// or https://, as {right} does." in refused.stderr


def test_tail_finds_a_session_by_how_its_id_begins(gunicorn, tail, sql, database_url):
    feed = gunicorn()
    ids = [f"{beginning}-0000-4000-8000-000000000001" for beginning in ("abcd0000", "abcd1111", "ef000000")]
    for person, session_id in enumerate(ids):
        sql.execute("insert into sessions (id, session_name) values (%s, 'door')", [session_id])
        move(sql, session_id, person)
    _, changes = tail("movements", "--url", feed.url, "--json", "--after", 0, "--session", "ABCD1")
    until(changes, what="a change")
    move(sql, ids[0], 8)
    move(sql, ids[1], 9)
    until(lambda: len(changes()) == 2, what="another change")
    assert [change["data"]["person_id"] for change in changes()] == [1, 9]
    for beginning, status_, said in (
        ("abcd", 1, "abcd begins the ids of several sessions, such as abcd"),
        ("12", 1, "There is no session whose id begins with 12."),
        ("door", 2, "'door' is neither the id of a session nor the beginning of one, such as 3f2a9c01."),
    ):
        refused = run("tail", "movements", "--url", feed.url, "--session", beginning, DATABASE_URL=database_url)
        assert (refused.returncode, said in refused.stderr) == (status_, True), refused.stderr


def test_tail_says_that_it_is_connected(gunicorn):
    feed = gunicorn()
    until(lambda: status(f"{feed.url}/api/ready") == 200, what="a live Listener")
    command, environ = flask("tail", "sessions", "--url", feed.url)
    with subprocess.Popen(command, cwd=CHECKOUT, env=environ, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr.readline() == "Connected: changes follow.\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0


def test_the_doctor_finds_a_healthy_feed_well(gunicorn, database_url):
    feed = gunicorn()
    until(lambda: status(f"{feed.url}/api/ready") == 200, what="a live Listener")
    seen = run("doctor", DATABASE_URL=database_url, PORT=feed.url.rpartition(":")[2])
    assert "as the migrations made them" in seen.stdout
    assert "changes of 4 of 4 tables are recorded" in seen.stdout
    assert f"live at {feed.url}" in seen.stdout
    needing = [line for line in seen.stdout.splitlines() if line.startswith("!")]
    # The tests' own server is allowed to forget, and its role to do everything.
    assert all(line.split()[1] in ("fsync", "synchronous_commit", "full_page_writes", "superuser") for line in needing)
    assert seen.returncode == (1 if needing else 0)


def test_the_doctor_names_what_is_broken_and_what_to_do(sql, database_url):
    sql.execute("alter table people_movements disable trigger movement_change_trigger")
    seen = run("doctor", DATABASE_URL=database_url, PORT=1)
    assert seen.returncode == 1
    assert "the trigger movement_change_trigger is switched off" in seen.stdout
    assert "changes of 3 of 4 tables are recorded" in seen.stdout
    assert "does not answer at http://127.0.0.1:1" in seen.stdout
    assert "Start it with ./run" in seen.stdout


def test_the_doctor_and_ready_notice_functions_of_another_program(gunicorn, sql, database_url):
    feed = gunicorn()
    until(lambda: status(f"{feed.url}/api/ready") == 200, what="a live Listener")
    sql.execute("""
        create or replace function notify_session_change() returns trigger language plpgsql as $$
        begin perform pg_notify('session_changes', row_to_json(new)::text); return new; end $$
    """)
    seen = run("doctor", DATABASE_URL=database_url, PORT=feed.url.rpartition(":")[2])
    assert "the function notify_session_change is another one" in seen.stdout
    assert "changes of 3 of 4 tables are recorded" in seen.stdout
    assert status(f"{feed.url}/api/ready") == 503
    sql.execute("select count(*) from sessions")
    assert sql.fetchone() == (0,)  # the doctor's own rows are taken back


def test_the_doctor_names_triggers_of_others_that_run_before_ours(sql, database_url):
    sql.execute(
        "create function peak() returns trigger language plpgsql as"
        " 'begin update realtime_metrics set fps_current = 1 where id = new.id; return null; end';"
        "create trigger a_peak after insert on realtime_metrics for each row execute function peak();"
        "create trigger z_peak after insert on realtime_metrics for each row execute function peak();"
        "create trigger a_fill before insert on realtime_metrics for each row execute function peak();"
        "alter table realtime_metrics disable trigger a_fill;"
        "insert into sessions (session_name) values ('door');"
        "insert into realtime_metrics (session_id) select id from sessions"
    )
    sql.execute("select number_changes()")
    sql.execute("select action from change_log where table_name = 'realtime_metrics' order by id")
    assert [action for (action,) in sql.fetchall()] == ["UPDATE", "INSERT"]  # why it warns
    seen = run("doctor", DATABASE_URL=database_url, PORT=1).stdout
    assert "the trigger a_peak of realtime_metrics runs before metrics_change_trigger" in seen
    assert "z_peak of" not in seen
    assert "a_fill of" not in seen
    sql.execute("alter trigger a_peak on realtime_metrics rename to z_first")
    assert "runs before" not in run("doctor", DATABASE_URL=database_url, PORT=1).stdout


def test_the_doctor_names_clocks_that_are_off_and_thresholds_that_watch_nothing(sql, database_url):
    doors = {}
    for name in ("good", "ahead", "behind", "infinite"):
        sql.execute("insert into sessions (session_name) values (%s) returning id", (name,))
        doors[name] = sql.fetchone()[0]
    for name, taken_at in (
        ("good", "now() - interval '3 hours'"),
        ("good", "now()"),
        ("ahead", "now() + interval '7 hours'"),
        ("behind", "now() - interval '2 hours'"),
        ("infinite", "'infinity'"),
    ):
        sql.execute(f"insert into realtime_metrics (session_id, timestamp) values (%s, {taken_at})", (doors[name],))
    sql.execute("insert into alert_thresholds (threshold_name, threshold_value) values ('detection_accuracy_low', 80)")
    sql.execute("select number_changes()")
    seen = run("doctor", DATABASE_URL=database_url, PORT=1).stdout
    lines = {line[2:26].strip(): line[27:] for line in seen.splitlines()}
    assert lines["clocks ahead"].startswith("infinite by ")
    assert "ahead by 6:59:5" in lines["clocks ahead"] or "ahead by 7:00:00" in lines["clocks ahead"]
    assert "good" not in lines["clocks ahead"] + lines["clocks behind"]
    assert lines["clocks behind"] == "behind by 2:00:00"
    assert lines["thresholds"] == "detection_accuracy_low: watching nothing"


def test_counts_that_lost_touch_with_the_rows_are_found_and_counted_anew(sql, database_url):
    sql.execute("insert into sessions (session_name) values ('door')")
    move = "insert into people_movements (session_id, person_id, movement_direction) select id, 1, 'in' from sessions"
    sql.execute(move)
    assert (
        "1 movements counted, 1 there, 0 minutes" in run("doctor", "--counts", DATABASE_URL=database_url, PORT=1).stdout
    )
    sql.execute("alter table people_movements disable trigger user")
    sql.execute("truncate people_movements")
    sql.execute(f"{move}, generate_series(1, 3)")
    sql.execute("alter table people_movements enable trigger user")
    seen = run("doctor", "--counts", DATABASE_URL=database_url, PORT=1)
    assert "1 movements counted, 3 there, 1 minutes" in seen.stdout
    assert "./run flask recount" in seen.stdout
    assert "clocks" in run("doctor", DATABASE_URL=database_url, PORT=1).stdout
    recounted = run("recount", DATABASE_URL=database_url)
    assert recounted.returncode == 0
    assert recounted.stdout.startswith("Counted 3 movements in 1 minutes of sessions.\n")
    assert (
        "3 movements counted, 3 there, 0 minutes" in run("doctor", "--counts", DATABASE_URL=database_url, PORT=1).stdout
    )


def test_minutes_that_lost_touch_with_the_readings_are_found_and_summed_up_anew(sql, session, database_url):
    reading = (
        "insert into realtime_metrics (session_id, timestamp, current_people_count)"
        " select %s, '2026-03-02T10:00Z'::timestamptz + n * interval '1 minute', n from unnest(%s) as n"
    )

    def examined():
        return run("doctor", "--counts", DATABASE_URL=database_url, PORT=1).stdout

    sql.execute(reading, [session, [1, 2, 3]])
    recounted = run("recount", DATABASE_URL=database_url)
    assert recounted.returncode == 0
    assert recounted.stdout.endswith("Summed up 3 readings in 3 minutes of sessions.\n")
    sql.execute(reading, [session, [5]])  # is not folded: that is as it should be
    assert "3 readings summed up, 3 there, 0 minutes of sessions differ" in examined()
    sql.execute("alter table realtime_metrics disable trigger user")
    sql.execute("update realtime_metrics set current_people_count = 7 where current_people_count = 1")
    sql.execute("delete from realtime_metrics where current_people_count = 2")
    sql.execute(reading, [session, [4]])
    sql.execute("alter table realtime_metrics enable trigger user")
    assert "3 readings summed up, 3 there, 3 minutes of sessions differ" in examined()
    assert run("recount", DATABASE_URL=database_url).stdout.endswith("Summed up 4 readings in 4 minutes of sessions.\n")
    assert "4 readings summed up, 4 there, 0 minutes of sessions differ" in examined()


def test_the_doctor_looks_at_the_rest_while_the_database_is_away():
    seen = run("doctor", DATABASE_URL="postgresql://nobody@127.0.0.1:1/none", PORT=1)
    assert seen.returncode == 1
    assert "Connection refused" in seen.stdout
    assert "Check DATABASE_URL" in seen.stdout
    assert "does not answer at http://127.0.0.1:1" in seen.stdout


def test_stats_count(sql, session, database_url):
    move(sql, session, 1, 2, 3)
    sql.execute("select number_changes()")
    seen = run("stats", DATABASE_URL=database_url)
    figures = dict(line.split("  ", 1) for line in seen.stdout.splitlines())
    assert figures["entered today"].strip() == "3"
    assert figures["active sessions"].strip() == "1"
    assert figures["changes, last minute"].strip() == "4"


def test_stats_refuses_an_unknown_time_zone(database_url):
    seen = run("stats", "--tz", "Mars", DATABASE_URL=database_url)
    assert (seen.returncode, seen.stderr) == (
        1,
        "Error: --tz Mars is not a time zone; use one such as Europe/Berlin.\n",
    )


def test_help_lists_what_works_here_and_not_flasks_own_server(database_url):
    told = run("--help", DATABASE_URL=database_url).stdout
    listed = {line.split()[0] for line in told.partition("Commands:")[2].splitlines() if line.strip()}
    assert {"tail", "doctor", "simulate"} <= listed
    assert not {"run", "routes"} & listed


def test_psql_reaches_the_database_of_the_feed(session, database_url):
    seen = run("psql", "-Atc", "select session_name from sessions", DATABASE_URL=database_url)
    assert (seen.returncode, seen.stdout) == (0, "door\n"), seen.stderr


def test_psql_finds_the_tables_before_the_first_start(data_dir):
    seen = run("psql", "-Atc", "select count(*) from sessions", DATA_DIR=data_dir)
    assert (seen.returncode, seen.stdout) == (0, "0\n"), seen.stderr


def test_psql_opens_a_database_of_ones_own_as_it_is(server_url):
    seen = run("psql", "-Atc", "select to_regclass('sessions') is null", DATABASE_URL=server_url)
    assert (seen.returncode, seen.stdout) == (0, "t\n"), seen.stderr
