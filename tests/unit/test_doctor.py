"""What the doctor says of what it sees, without a database."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import Any

import pytest

from app.cli.doctor import check_clock
from app.config import Config


class _Connection:
    """Answers the question for the time with ours, shifted."""

    def __init__(self, seconds):
        self._seconds = seconds

    @contextmanager
    def cursor(self):
        yield self

    def execute(self, *_question):
        pass

    def fetchall(self):
        return [(time.time() + self._seconds,)]


@pytest.mark.parametrize(
    ("ahead", "said", "is_wrong"),
    [(-0.0002, "+0.000", False), (0.0002, "+0.000", False), (-0.25, "-0.250", False), (7200, "+7200.000", True)],
)
def test_clocks_that_agree_are_never_behind_by_nothing(monkeypatch, ahead, said, is_wrong):
    monkeypatch.setattr(time, "time", lambda: 1_795_737_431.0)
    connection: Any = _Connection(ahead)
    [finding] = check_clock(connection, Config())
    assert finding.seen == f"the database is {said} s from here"
    assert bool(finding.advice) == is_wrong
