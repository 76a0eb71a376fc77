"""Periodic: a greenlet that calls one function again and again, until stopped.

Invariant: a call that fails is logged and counted, and the next one follows; nothing but ``stop`` ends the loop. The
function says after each call how long to wait, so this module knows nothing of what it runs.
"""

from __future__ import annotations

import logging
import random
from collections import Counter
from collections.abc import Callable

import gevent
import psycopg2
from gevent.event import Event

log = logging.getLogger(__name__)

# How long to wait after a failure, in seconds, unless told otherwise.
_RETRY_SECONDS = 5.0
# How long ``stop`` waits for a call that is running, in seconds, unless told otherwise.
_GRACE_SECONDS = 1.0

# Waits for so many seconds; True if told to stop meanwhile. For pauses within a call.
Pause = Callable[[float], bool]


class Periodic:
    """Calls ``work(pause)``, which returns the seconds until its next call. ``counts["failures"]`` counts failures.

    Args:
        name: what the log calls it, such as "pruning the change log".
        first_seconds: the wait before the first call.
        jitter: each wait is shortened by up to this share at random, so that workers do not all act at once.
        retry_seconds: the wait after a failure.
        grace_seconds: how long ``stop`` waits for a call that is running.
        at_end: called once when the loop has stopped, to release what ``work`` holds.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[Pause], float],
        *,
        first_seconds: float = 0.0,
        jitter: float = 0.0,
        retry_seconds: float = _RETRY_SECONDS,
        grace_seconds: float = _GRACE_SECONDS,
        at_end: Callable[[], None] | None = None,
    ) -> None:
        self.counts: Counter[str] = Counter()
        self._name = name
        self._work = work
        self._first_seconds = first_seconds
        self._jitter = jitter
        self._retry_seconds = retry_seconds
        self._grace_seconds = grace_seconds
        self._at_end = at_end
        self._stopping = Event()
        self._greenlet: gevent.Greenlet[[], None] | None = None

    def start(self) -> None:
        """Start calling. A second call does nothing."""
        if self._greenlet is None:
            self._stopping.clear()
            self._greenlet = gevent.spawn(self._run)

    def stop(self) -> None:
        """Stop after the call that is running, or during it if it takes long. May be called before start, and twice."""
        self._stopping.set()
        if self._greenlet is not None:
            self._greenlet.join(timeout=self._grace_seconds)
            self._greenlet.kill()
            self._greenlet = None
            if self._at_end:
                self._at_end()

    def _run(self) -> None:
        seconds, has_told = self._first_seconds, ""
        while not self._pause(seconds * random.uniform(1 - self._jitter, 1)):
            try:
                seconds, has_told = self._work(self._pause), ""
            except (psycopg2.Error, OSError) as error:  # the database is unavailable: expected, so one line for it all
                seconds = self._fail()
                text = str(error).strip()
                level = logging.DEBUG if text == has_told else logging.WARNING
                log.log(level, "%s failed, next try in %g s: %s", self._name, seconds, text)
                has_told = text
            except Exception:
                seconds = self._fail()
                log.exception("%s failed, next try in %g s", self._name, seconds)

    def _fail(self) -> float:
        self.counts["failures"] += 1
        return self._retry_seconds

    def _pause(self, seconds: float) -> bool:
        return self._stopping.wait(seconds)
