"""What writers and the change log do to clients: bulk, TRUNCATE, a full queue, a wrong clock, overtaking commits.

Rollbacks, savepoints, payloads around 8000 bytes, 100 000 rows in a transaction: test_change_log.py and test_stream.py
in tests/integration.
"""

from __future__ import annotations

import psycopg2

from app.feed.change import TOPICS
from tests.event_stream import open_stream, wait_until_ready
from tests.fault.feed import execute


def test_thousands_of_rows_in_one_transaction_cost_nobody_a_change(stage):
    with stage.writing():
        stage.faults.write_bulk()
        stage.faults.write_bulk()
    stage.check()


def test_tables_that_are_truncated_are_told_and_leave_everyone_with_the_rows_that_are_there(stage):
    with stage.writing():
        for _ in range(3):
            stage.faults.commit("truncate_a_table")  # perhaps in vain, where a writer is in the way
    stage.check()


def test_a_notification_queue_that_is_nearly_full_costs_nobody_a_change(stage):
    """The queue of this server is small where the version lets it be; elsewhere it would take gigabytes to fill."""
    with stage.writing():
        stage.faults.hold_notify_queue()
    stage.check()


def test_a_clock_that_is_set_back_costs_nobody_a_change(stage):
    with stage.writing():
        stage.faults.set_clock_back()
    stage.check()


def test_changes_come_in_the_order_of_ids_while_the_clock_goes_back(stage):
    with open_stream(f"http://127.0.0.1:{stage.feed.port}", "/api/sse/alerts") as stream:
        for interval in ("0", "-1 hour", "-2 hours", "0"):
            stage.database.set_clock(interval)
            stage.database.execute("insert into alert_logs (alert_type) values ('clock')")
        changes = stream.changes(4)
    first = changes[0]["id"]
    assert [change["id"] for change in changes] == [first, first + 1, first + 2, first + 3]
    times = [change["timestamp"] for change in changes]
    assert times[3] > times[0] > times[1] > times[2]
    with open_stream(f"http://127.0.0.1:{stage.feed.port}", "/api/sse/alerts", first) as resumed:
        assert resumed.changes(3) == changes[1:]


def test_transactions_that_overtake_each_other_reach_a_client_that_resumes_between_them(gunicorn, admin_url):
    """The first to begin is the last to commit; a client that saw only the others still gets it."""
    server = gunicorn(WEB_CONCURRENCY=1)
    wait_until_ready(server)
    early = psycopg2.connect(admin_url)
    insert = "insert into alert_logs (alert_type) values (%s)"
    early.cursor().execute(insert, ("began first",))
    execute(admin_url, insert, ("began last",))
    with open_stream(server.url, "/api/sse/alerts", 0) as stream:
        assert stream.changes(1)[0]["data"]["alert_type"] == "began last"
        seen = stream.last_event_id
    early.commit()
    early.close()
    with open_stream(server.url, "/api/sse/alerts", seen) as stream:
        assert stream.changes(1)[0]["data"]["alert_type"] == "began first"
    with open_stream(server.url, f"/api/sse?topics={','.join(TOPICS)}", 0) as stream:
        assert [change["data"]["alert_type"] for change in stream.changes(2)] == ["began last", "began first"]
