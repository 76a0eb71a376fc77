"""Periodic: calls again and again, through failures, until stopped."""

from __future__ import annotations

import logging

import gevent
import psycopg2
import pytest

from app.feed.periodic import Periodic


@pytest.fixture
def started():
    """A function that starts a loop and waits until it has been called so often."""
    loops = []

    def start(work, calls, **options):
        count = []

        def counted(pause):
            count.append(True)
            return work(pause)

        loop = Periodic("working", counted, **options)
        loops.append(loop)
        loop.start()
        with gevent.Timeout(30):
            while len(count) < calls:
                gevent.sleep(0.001)
        return loop

    yield start
    for loop in loops:
        loop.stop()


def test_it_calls_again_after_the_time_that_the_call_asked_for(started):
    started(lambda _pause: 0.001, calls=3)


def test_a_failure_is_logged_and_the_next_call_follows(started, caplog):
    def fail(_pause):
        raise RuntimeError("out of order")

    with caplog.at_level(logging.ERROR):
        loop = started(fail, calls=2, retry_seconds=0.001)
    assert loop.counts["failures"] >= 1
    assert "working failed, next try in 0.001 s" in caplog.text
    assert "RuntimeError: out of order" in caplog.text


def test_an_unavailable_database_is_one_line_however_long_and_no_traceback(started, caplog):
    def fail(_pause):
        raise psycopg2.OperationalError("connection refused")

    with caplog.at_level(logging.INFO):
        started(fail, calls=5, retry_seconds=0.001)
    assert caplog.text.count("working failed, next try in 0.001 s: connection refused") == 1
    assert "Traceback" not in caplog.text


def test_stop_ends_a_pause_and_releases_what_was_held(started):
    ended = []
    loop = started(lambda pause: float(pause(60)), calls=1, at_end=lambda: ended.append(True))
    with gevent.Timeout(0.9):  # less than a call that does not pause may take
        loop.stop()
    loop.stop()
    assert ended == [True]


def test_stop_ends_a_call_that_does_not_listen(started):
    loop = started(lambda _pause: gevent.sleep(60), calls=1, grace_seconds=0.01)
    with gevent.Timeout(30):
        loop.stop()


def test_it_may_be_stopped_before_it_starts_and_started_again(started):
    calls = []
    loop = Periodic("working", lambda _pause: calls.append(True) or 0.001)
    loop.stop()
    loop.start()
    loop.start()
    with gevent.Timeout(30):
        while not calls:
            gevent.sleep(0.001)
    loop.stop()
    seen = len(calls)
    gevent.sleep(0.01)
    assert len(calls) == seen
