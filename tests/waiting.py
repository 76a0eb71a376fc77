"""Waiting for a state, with a limit; tests never wait for a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(state: Callable[[], T], seconds: float = 60.0, what: str = "") -> T:
    """The first true value of ``state()``; fails the test if there is none in time."""
    deadline = time.monotonic() + seconds
    while not (value := state()):
        assert time.monotonic() < deadline, f"not reached in {seconds:g} seconds: {what or state}"
        time.sleep(0.01)
    return value
