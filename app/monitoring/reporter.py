"""Reporter: writes a row every ten seconds that says what this worker is doing, for the pages of all workers.

Invariant: reads what the feed counts anyway, and stands in nobody's way: it has a greenlet and, for a moment, a
connection of its own. Where the database takes no row there is a gap.
"""

from __future__ import annotations

import logging
import os
import resource
import socket
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import gevent
import psycopg2
from psycopg2.extensions import connection as Connection

from app.feed.hub import Hub
from app.feed.listener import Listener
from app.feed.periodic import Pause
from app.monitoring.figures import WORKER
from app.postgres.reports import Report, add_report

log = logging.getLogger(__name__)

_INTERVAL_SECONDS = 10.0
_LAST_SECONDS = 1.0


class Reporter:
    """Reports of one worker; ``work`` and ``close`` are called by a Periodic.

    Args:
        connect: opens a connection in autocommit mode, or raises psycopg2.Error.
        version: says which version of the program runs.
    """

    def __init__(
        self, connect: Callable[[], Connection], hub: Hub, listener: Listener, version: Callable[[], str]
    ) -> None:
        self._connect = connect
        self._hub = hub
        self._listener = listener
        self._version = version
        self._started_at = datetime.now(UTC)
        self._published = 0

    def work(self, _pause: Pause = lambda _seconds: False) -> float:
        """Report once; returns the seconds until the next time.

        Raises:
            psycopg2.Error: the database is unavailable, or takes no writes.
        """
        with closing(self._connect()) as connection:
            add_report(connection, self._report())
        return _INTERVAL_SECONDS

    def close(self) -> None:
        """Report that the worker stops, unless the database keeps it waiting: it is not listed any longer then."""
        try:
            with gevent.Timeout(_LAST_SECONDS, TimeoutError("no answer")):
                self.work()
        except (psycopg2.Error, OSError) as error:
            log.debug("the last report was not written: %s", error)

    def _report(self) -> Report:
        counts, listener = self._hub.counts, self._listener
        p50, p99 = self._delays()
        return Report(
            host=socket.gethostname(),
            arbiter=os.getppid(),
            slot=int(WORKER),
            process=os.getpid(),
            version=self._version(),
            started_at=self._started_at,
            listener=listener.state,
            streams=self._hub.stream_count,
            changes=counts["changes"],
            deliveries=counts["deliveries"],
            sent_bytes=counts["sent_bytes"],
            log_reads=counts["log_reads"],
            overflows=counts["overflows"],
            reconnects=listener.counts["reconnects"],
            unannounced=listener.counts["unannounced"],
            failures=listener.counts["failures"],
            commit_to_publish_p50_ms=p50,
            commit_to_publish_p99_ms=p99,
            cpu_seconds=time.process_time(),
            resident_bytes=_resident_bytes(),
        )

    def _delays(self) -> tuple[float | None, float | None]:
        """Median and p99 of what was published since the last report, of the newest thousand at most."""
        published = self._listener.published.total()
        number, self._published = published - self._published, published
        delays = sorted(list(self._listener.delays_ms)[-number:]) if number else []
        if not delays:
            return None, None
        return round(delays[len(delays) // 2], 2), round(delays[len(delays) * 99 // 100], 2)


def _resident_bytes() -> int | None:
    """The memory that this process has in use; None where /proc does not tell."""
    try:
        pages = Path("/proc/self/statm").read_text("ascii").split()[1]
    except OSError:
        return None
    return int(pages) * resource.getpagesize()
