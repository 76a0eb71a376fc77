"""Thousands of mutated requests: health, streams, memory and descriptors of the worker stay as they were."""

from __future__ import annotations

import urllib.request
from pathlib import Path

import pytest

from app.postgres.connections import connect
from tests.event_stream import open_stream, wait_until_ready
from tests.hostile.fuzz import fuzz
from tests.waiting import until

REQUESTS = 2000


def resident_bytes(pid):
    [line] = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1]) * 1024


def files(pid):
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


@pytest.mark.parametrize("seed", [20261126])
def test_mutated_requests_disturb_nobody(gunicorn, database_url, seed):
    server = gunicorn(HEARTBEAT_SECONDS=0.5, STUCK_SECONDS=2)
    wait_until_ready(server)
    [worker] = server.workers()
    connection = connect(database_url, application_name="test")
    sql = connection.cursor()
    fuzz(server.url, seed - 1, 300)  # what is imported and pooled on first use is there now
    before = resident_bytes(worker)
    with open_stream(server.url, "/api/sse/metrics") as stream:
        sql.execute("insert into sessions (session_name) values ('door') returning id")
        [session_id] = sql.fetchone()

        def look(sent):
            with urllib.request.urlopen(f"{server.url}/api/health", timeout=60) as response:
                assert response.status == 200
            sql.execute(
                "insert into realtime_metrics (session_id, current_people_count) values (%s, %s)", (session_id, sent)
            )
            assert stream.changes(1)[0]["data"]["current_people_count"] == sent

        fuzz(server.url, seed, REQUESTS, look)
    assert server.workers() == [worker], server.log
    assert "Traceback" not in server.log, server.log
    until(lambda: files(worker) < 40, what="the connections are closed")
    assert resident_bytes(worker) - before < 40_000_000
    connection.close()
