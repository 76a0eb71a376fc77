"""flask simulate against a real database, and what its cameras write."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys

import pytest

from app.cli.simulate import Camera
from app.config import CHECKOUT
from app.postgres.connections import connect


@pytest.fixture
def connection(database_url):
    opened = connect(database_url, application_name="test")
    yield opened
    opened.close()


def _query(connection, statement):
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall()


@pytest.fixture
def day(connection):
    """A camera that has seen 400 people in 400 seconds."""
    camera = Camera(connection, "Front door", seed=7)
    for second in range(400):
        camera.see_person(float(second))
        camera.measure(float(second))
    return camera


def test_the_count_inside_is_what_went_in_less_what_went_out_and_never_below_zero(connection, day):
    [(inside,)] = _query(
        connection, "select sum(case movement_direction when 'in' then 1 else -1 end) from people_movements"
    )
    assert inside == day.inside
    assert _query(connection, "select count(*), min(current_people_count) >= 0 from realtime_metrics") == [(400, True)]


def test_the_tide_of_people_raises_alerts_one_after_the_other(connection, day):
    while _query(connection, "select number_changes(); select evaluate_alerts()") != [(0,)]:
        pass
    [(alerts, opened)] = _query(connection, "select count(*), count(*) filter (where not is_resolved) from alert_logs")
    assert alerts > 1
    assert opened <= 1


def test_centroids_lie_beyond_the_line_on_the_side_that_was_entered(connection, day):
    assert _query(
        connection, "select bool_and((centroid_y > 360) = (movement_direction = 'in')) from people_movements"
    ) == [(True,)]


def test_the_same_seed_sees_the_same_people(connection):
    for _ in range(2):
        camera = Camera(connection, "Twin", seed=11)
        for second in range(50):
            camera.see_person(float(second))
    assert _query(
        connection,
        "select count(distinct (person_id, movement_direction, centroid_x, frame_number)),"
        " count(*) from people_movements",
    ) == [(50, 100)]


def test_a_signal_completes_every_session(connection, database_url):
    _query(connection, "listen change_bell; select")
    process = subprocess.Popen(
        [sys.executable, "-m", "flask", "--app", "app.cli:create_app", "simulate", "--sessions", "2", "--rate", "50"],
        cwd=CHECKOUT,
        text=True,
        env=os.environ | {"DATABASE_URL": database_url},
        stdout=subprocess.PIPE,
    )
    while not connection.notifies:
        assert select.select([connection], [], [], 30)[0], "nobody rang"
        connection.poll()
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "2 sessions completed" in output
    assert _query(connection, "select status, count(*), bool_and(end_time is not null) from sessions group by 1") == [
        ("completed", 2, True)
    ]
