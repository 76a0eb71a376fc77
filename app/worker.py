"""Worker: what runs in a worker process beside the requests.

The server calls ``start`` once gevent has patched the process and before it accepts, ``drain`` when the worker is told
to leave, and ``stop`` when it does.
"""

from __future__ import annotations

import gc
import logging
import resource
import time

import gevent
from flask import Flask

from app.database import use_gevent
from app.hub import Hub

log = logging.getLogger(__name__)

_TICK_SECONDS = 1.0
# Requests that are not streams (gunicorn takes 500), connections to the database, and what Python itself has open.
_FILES_BESIDE_STREAMS = 600
# Longer than a client takes that reads at all, and short enough that a deploy waits for none.
_DRAIN_SECONDS = 1.0


def start(app: Flask) -> None:
    """Start listening, pruning, bookkeeping, and the heartbeat clock."""
    use_gevent()
    _spare_the_collector()
    raise_file_limit(app.extensions["config"].max_streams + _FILES_BESIDE_STREAMS)
    app.extensions["listener"].start()
    app.extensions["pruner"].start()
    app.extensions["bookkeeper"].start()
    app.extensions["clock"] = gevent.spawn(_beat, app.extensions["hub"], app.extensions["config"].heartbeat_seconds)


def drain(app: Flask) -> None:
    """End all streams politely, and after a moment those whose clients take nothing; return when all have ended.

    Requests go on. May be called twice, and returns at once where there is no stream.
    """
    hub: Hub = app.extensions["hub"]
    hub.drain()
    deadline = time.monotonic() + _DRAIN_SECONDS
    while hub.stream_count and time.monotonic() < deadline:
        gevent.sleep(0.01)
    hub.cut()
    while hub.stream_count and time.monotonic() < deadline + _DRAIN_SECONDS:
        gevent.sleep(0.01)


def stop(app: Flask) -> None:
    """End what start began, and the streams; may be called without it, and twice."""
    drain(app)
    app.extensions["listener"].stop()
    app.extensions["pruner"].stop()
    app.extensions["bookkeeper"].stop()
    gevent.killall([app.extensions.pop("clock")] if "clock" in app.extensions else [])


def _beat(hub: Hub, heartbeat_seconds: float) -> None:
    while True:
        gevent.sleep(min(_TICK_SECONDS, heartbeat_seconds / 4))
        hub.beat(heartbeat_seconds)


def raise_file_limit(wanted: int) -> None:
    """Let this process open so many files, as far as the system lets it; say so if it does not.

    Many systems give a process 1 024 unless it asks for more: every client is one.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    if most < wanted:
        log.warning(
            "Only %d files may be open, of %d wanted: raise the hard limit, or lower MAX_STREAMS.", most, wanted
        )


def _spare_the_collector() -> None:
    """Let the garbage collector look at what comes and goes only: what has been imported stays for good.

    With 5 000 streams a full collection held the loop for 46 ms, and now for 5.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)
