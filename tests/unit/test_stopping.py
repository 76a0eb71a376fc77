"""Stop: a signal at any moment is heard, and never waits for the code that it interrupts."""

from __future__ import annotations

import os
import signal
import threading
import time

from app.cli.stopping import stop_on_signals


def test_a_signal_at_any_moment_of_a_wait_is_heard():
    """The handler runs in the waiting thread: it must not need what that thread holds."""
    for _ in range(300):
        with stop_on_signals() as stop:
            threading.Timer(0.0005, os.kill, (os.getpid(), signal.SIGTERM)).start()
            deadline = time.monotonic() + 60
            while not stop.wait(0.00001):
                assert time.monotonic() < deadline
            assert stop


def test_a_wait_ends_with_its_time_and_at_once_after_a_request():
    with stop_on_signals() as stop:
        assert not stop.wait(0.001)
        stop.request()
        began = time.monotonic()
        assert stop.wait(60)
        assert time.monotonic() - began < 30
