"""A database that stops, dies, or cuts us off: streams stay open, and nothing is missed."""

from __future__ import annotations

from tests.event_stream import EventStream


def test_a_database_that_is_stopped_fast_costs_nobody_a_change(stage):
    with stage.writing():
        stage.faults.stop_database_fast()
    stage.check()


def test_a_database_that_is_stopped_immediately_costs_nobody_a_change(stage):
    with stage.writing():
        stage.faults.stop_database_immediately()
    stage.check()


def test_a_killed_postmaster_costs_nobody_a_change(stage):
    with stage.writing():
        stage.faults.kill_postmaster()
    stage.check()


def test_a_killed_backend_costs_nobody_a_change(stage):
    with stage.writing():
        stage.faults.kill_a_backend()
    stage.check()


def test_a_listener_whose_connection_is_terminated_misses_nothing(stage):
    with stage.writing():
        for _ in range(3):
            stage.faults.terminate_listeners()
    stage.check()


def test_losing_every_connection_at_once_costs_nobody_a_change(stage):
    with stage.writing():
        for _ in range(3):
            stage.faults.terminate_all_connections()
    stage.check()


def test_a_stream_stays_open_and_tells_that_the_database_is_away_and_back(stage):
    stage.crowd.is_calm = True
    with EventStream(f"http://127.0.0.1:{stage.feed.port}", "/api/sse/alerts") as stream:
        stream.next_of("connection")
        stage.database.proxy.stop()
        assert stream.next_of("error")["error"] == "database_unavailable"
        stream.next_of("heartbeat")
        stage.database.execute("insert into alert_logs (alert_type) values ('while away')")
        stage.database.proxy.start()
        told = {}
        while len(told) < 2:  # in which order the two come is open
            message = stream.next()
            if message["type"] in ("connection", "data"):
                told[message["type"]] = message["data"]
    assert told["connection"]["status"] == "live"
    assert told["data"]["data"]["alert_type"] == "while away"
    stage.check()
