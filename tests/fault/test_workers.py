"""Workers that are killed, stopped, replaced, or stand still: clients go on where they were."""

from __future__ import annotations

import os
import signal
import threading
import urllib.request
from contextlib import suppress

from tests.event_stream import EventStream
from tests.fault.feed import execute, locked, stopped_reader
from tests.serving import status
from tests.waiting import until


def test_a_killed_worker_costs_nobody_a_change(stage):
    with stage.writing():
        stage.faults.kill_worker()
        stage.faults.kill_worker()
    stage.check()


def test_a_killed_arbiter_costs_nobody_a_change(stage):
    with stage.writing():
        stage.faults.kill_arbiter()
    stage.check()


def test_a_worker_that_is_told_to_leave_under_load_costs_nobody_a_change(stage):
    with stage.writing():
        stage.faults.terminate_worker()
    stage.check()


def test_other_workers_in_place_of_all_cost_nobody_a_change(stage):
    with stage.writing():
        stage.faults.reload_workers()
        stage.faults.reload_workers()
    stage.check()


def test_a_restart_of_gunicorn_costs_nobody_a_change(stage):
    with stage.writing():
        stage.faults.restart_gunicorn()
    stage.check()


def test_a_worker_that_stands_still_for_seconds_costs_nobody_a_change(stage):
    with stage.writing():
        stage.faults.pause_worker()
    stage.check()


def test_workers_that_are_replaced_by_max_requests_cost_nobody_a_change(stage):
    stage.feed.stop()
    stage.feed.start("--max-requests", "40")
    seen = set()
    with stage.writing():
        while len(seen) < 6:  # two at a time: each has been replaced twice
            seen |= set(stage.feed.workers())
            with suppress(OSError):  # a worker that leaves may take a connection with it
                status(f"http://127.0.0.1:{stage.feed.port}/api/health")
    stage.feed.stop()
    stage.feed.start()
    stage.check()


def test_streams_are_ended_while_a_running_request_is_let_finish(gunicorn, admin_url):
    server = gunicorn(WEB_CONCURRENCY=1)
    [worker] = until(server.workers)
    answers = []

    def create():
        body = b'{"session_name": "slow"}'
        request = urllib.request.Request(f"{server.url}/api/sessions", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=20) as response:
            answers.append(response.status)

    with EventStream(server.url) as stream:
        stream.next_of("connection")
        with locked(admin_url, "sessions") as is_waited_for:
            request = threading.Thread(target=create)
            request.start()
            until(is_waited_for, what="the request to wait for the lock")
            os.kill(worker, signal.SIGTERM)
            while stream.next() is not None:
                pass
            assert not answers
        request.join(20)
    assert answers == [201]
    assert stream.retry_ms


def test_a_client_that_takes_nothing_does_not_hold_up_the_drain(gunicorn, admin_url):
    server = gunicorn(WEB_CONCURRENCY=1, STUCK_SECONDS=300)
    [worker] = until(server.workers)
    with stopped_reader(server.url):
        execute(
            admin_url,
            "insert into alert_logs (alert_type, alert_message)"
            " select 'x', repeat(md5(n::text), 200) from generate_series(1, 1000) n",
        )
        os.kill(worker, signal.SIGTERM)
        until(lambda: worker not in server.workers(), 10, "the worker to leave")
