"""flask replay against a real database."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys

import pytest

from app.config import CHECKOUT
from app.postgres.connections import connect

_COUNTS = """\
7,07/24/05,12:30:00,4
9,07/24/05,12:30:00,3
7,07/24/05,13:00:00,0
9,07/24/05,13:00:00,600
7,07/25/05,00:30:00,0
9,07/25/05,00:30:00,2
"""


@pytest.fixture
def counts(tmp_path):
    file = tmp_path / "door.data"
    file.write_text(_COUNTS)
    return file


@pytest.fixture
def query(database_url):
    connection = connect(database_url, application_name="test")

    def rows(statement):
        with connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall()

    yield rows
    connection.close()


def _flask(database_url, *arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "flask", "--app", "app.cli:create_app", *map(str, arguments)],
        cwd=CHECKOUT,
        text=True,
        env=os.environ | {"DATABASE_URL": database_url},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def _replay(database_url, *arguments):
    process = _flask(database_url, "replay", *arguments)
    output, errors = process.communicate(timeout=60)
    return process.returncode, output, errors


def test_replay_writes_a_movement_for_each_person_and_completes_its_session(database_url, counts, query):
    status, output, _ = _replay(database_url, counts, "--speed", 0)
    assert status == 0
    assert "609 of 609 movements" in output
    assert query("select movement_direction, count(*) from people_movements group by 1 order by 1") == [
        ("in", 605),
        ("out", 4),
    ]
    assert query("select status, end_time >= start_time, duration_seconds >= 0 from sessions") == [
        ("completed", True, True)
    ]
    assert query("select count(distinct person_id), count(*) from people_movements") == [(609, 609)]


def test_the_count_inside_starts_at_zero_every_day_and_is_never_below(database_url, counts, query):
    _replay(database_url, counts, "--speed", 0)
    assert query("select current_people_count from realtime_metrics order by timestamp") == [(0,), (600,), (2,)]


def test_the_log_has_every_row_that_replay_wrote(database_url, counts, query):
    _replay(database_url, counts, "--speed", 0)
    query("select number_changes()")
    assert query("select table_name, action, count(*) from change_log group by 1, 2 order by 1, 2") == [
        ("people_movements", "INSERT", 609),
        ("realtime_metrics", "INSERT", 3),
        ("sessions", "INSERT", 1),
        ("sessions", "UPDATE", 1),
    ]


def test_replay_at_a_speed_writes_the_same_rows(database_url, counts, query):
    status, _, _ = _replay(database_url, counts, "--speed", 100_000)
    assert status == 0
    assert query("select count(*), max(movement_time) - min(movement_time) > '11 hours' from people_movements") == [
        (609, True)
    ]


@pytest.mark.parametrize(("speed", "span"), [(0, "13 hours"), (100_000, "2 seconds")])
def test_replay_as_now_steers_the_figures_of_now(database_url, counts, query, client, app, speed, span):
    status, _, _ = _replay(database_url, counts, "--speed", speed, "--as-now")
    assert status == 0
    [(oldest, newest, ahead)] = query(
        f"select min(movement_time) between now() - interval '{span}' - interval '20 seconds' and now(),"
        " now() - max(movement_time) < '31 minutes', bool_or(movement_time > now()) from people_movements"
    )
    assert (oldest, newest, ahead) == (True, True, False)
    assert query("select count(*) from realtime_metrics where timestamp > now() - interval '13 hours'") == [(3,)]


def test_replay_says_from_the_first_second_where_it_is(database_url, tmp_path, query):
    night = tmp_path / "night.data"  # nobody comes for an hour, which is a minute at this speed
    night.write_text("9,07/24/05,00:30:00,0\n9,07/24/05,01:00:00,0\n9,07/24/05,01:30:00,30\n")
    process = _flask(database_url, "replay", night, "--speed", 60)
    lines = [process.stderr.readline() for _ in range(2)]
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert lines == [
        "Replaying 30 movements of 2005-07-24 00:00 to 2005-07-24 01:30 in 0.025 hours. Ctrl-C stops.\n",
        "0 of 30 movements written; the file is at 2005-07-24 00:00.\n",
    ]
    assert query("select count(*) from people_movements") == [(0,)]


def test_who_has_no_file_is_told_where_to_get_one(database_url, counts):
    where = "https://archive.ics.uci.edu/dataset/156/calit2+building+people+counts"
    status, _, errors = _replay(database_url, "CalIt2.data")
    assert (status, where in errors, "'CalIt2.data' does not exist." in errors) == (2, True, True)
    counts.write_text("<html>\n")
    status, _, errors = _replay(database_url, counts)
    assert (status, where in errors, "Nothing was written." in errors) == (1, True, True)


def test_a_malformed_line_writes_nothing(database_url, counts, query):
    counts.write_text(_COUNTS + "9,07/25/05,01:00:00,many\n")
    status, _, errors = _replay(database_url, counts, "--speed", 0)
    assert status == 1
    assert "line 7: count 'many' is not a whole number" in errors
    assert query("select to_regclass('sessions') is null or not exists (select from sessions)") == [(True,)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_completes_the_session_as_cancelled(database_url, counts, query, number):
    listening = connect(database_url, application_name="test")
    with listening.cursor() as cursor:
        cursor.execute("listen change_bell")
    process = _flask(database_url, "replay", counts, "--speed", 600)
    while not listening.notifies:
        assert select.select([listening], [], [], 30)[0], "nobody rang"
        listening.poll()
    listening.close()
    process.send_signal(number)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "Stopped" in output
    assert query("select status, end_time is not null, duration_seconds > 0 from sessions") == [
        ("cancelled", True, True)
    ]
