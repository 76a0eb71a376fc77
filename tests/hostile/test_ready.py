"""Ready tells the truth, and in time, whatever the database does."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from app.postgres import probe
from app.postgres.connections import connect
from app.postgres.embedded import Server
from app.postgres.probe import hindrance
from tests.event_stream import wait_until_ready
from tests.waiting import until


def ready(server):
    """Status, document and seconds of an answer."""
    began = time.monotonic()
    try:
        with urllib.request.urlopen(f"{server.url}/api/ready", timeout=60) as response:
            answer = response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            answer = error.code, json.load(error)
    return *answer, time.monotonic() - began


def run(url, statement):
    connection = connect(url, application_name="test", default_transaction_read_only="off")
    with connection.cursor() as cursor:
        cursor.execute(statement)
    connection.close()


def test_a_database_that_stands_still_is_not_ready_within_two_seconds(embedded, data_dir):
    server = embedded(LISTENER_CHECK_SECONDS=1)
    wait_until_ready(server)
    lines = (data_dir / "postgres/data/postmaster.pid").read_bytes().splitlines()
    postmaster = int(lines[0])
    children = [int(pid) for pid in Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()]
    stopped = [postmaster, *children]
    try:
        for pid in stopped:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
        status, problem, seconds = ready(server)
        assert (status, problem["database"]) == (503, "unavailable")
        assert "does not answer within 1.5 s" in problem["detail"], server.log
        assert seconds < 10  # a busy machine; 15 before
    finally:
        for pid in stopped:
            # A worker that had ended before it was stopped is reaped as soon as the postmaster goes on.
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
    until(lambda: ready(server)[0] == 200)


@pytest.mark.parametrize(
    ("break_it", "mend_it", "said"),
    [
        (
            "alter database {name} set default_transaction_read_only = on",
            "alter database {name} reset default_transaction_read_only",
            "is read-only",
        ),
        ("alter table change_log rename to gone", "alter table gone rename to change_log", "has no change log"),
    ],
)
def test_a_database_that_cannot_serve_says_why(gunicorn, admin_url, break_it, mend_it, said):
    server = gunicorn()
    wait_until_ready(server)
    name = admin_url.partition("?")[0].rpartition("/")[2]
    run(admin_url, break_it.format(name=name))
    status, problem, _ = ready(server)
    run(admin_url, mend_it.format(name=name))
    assert (status, problem["database"]) == (503, "unavailable")
    assert said in problem["detail"]
    until(lambda: ready(server)[0] == 200)


def test_a_full_disk_is_not_ready(embedded, data_dir, monkeypatch):
    server = embedded()
    wait_until_ready(server)
    url = Server(data_dir).url()
    assert hindrance(url, 5, data_dir / "postgres") == ""
    monkeypatch.setattr(probe, "_LEAST_FREE_BYTES", 2**60)
    assert re.fullmatch(r"has only \d+ MB left on its disk", hindrance(url, 5, data_dir / "postgres"))


def test_a_problem_names_no_host_and_no_role(gunicorn):
    server = gunicorn(DATABASE_URL="postgresql://secret_role:secret_word@127.0.0.1:1/secret_name")
    _, problem, _ = ready(server)
    assert "secret" not in json.dumps(problem)
    assert "127.0.0.1" not in json.dumps(problem)
