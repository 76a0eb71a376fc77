"""Feed: the live path of one worker, as one object: its parts, and how they start, drain and stop.

Invariant: nothing does I/O before ``start``; ``drain`` and ``stop`` may be called at any time, also twice. The feed
knows neither Flask nor the server: they call it once gevent has patched the process.
"""

from __future__ import annotations

import gc
import logging
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import gevent

from app.config import Config
from app.feed.alerts import Alerts
from app.feed.counts import Counts
from app.feed.hub import Hub
from app.feed.listener import Listener, Register
from app.feed.log import ChangeLog
from app.feed.periodic import Pause, Periodic
from app.feed.pruner import Pruner
from app.feed.rollups import Rollups
from app.feed.sequencer import Sequencer
from app.feed.subscription import Subscription
from app.postgres.connections import connect, use_gevent

log = logging.getLogger(__name__)

_TICK_SECONDS = 1.0
# Requests that are not streams (gunicorn takes 500), connections to the database, and Python's own files.
_FILES_BESIDE_STREAMS = 600
# Longer than any client takes that reads at all, and short enough not to delay a deploy.
_DRAIN_SECONDS = 1.0
# A queue of this size holds 1500 ordinary changes. 10 000 lagging clients must not take 10 GB.
_QUEUE_BYTES = 1024 * 1024


@dataclass(frozen=True)
class Feed:
    """The parts of the live path. ``periodic`` holds the loops that run beside the Listener."""

    config: Config
    database_url: str
    hub: Hub
    listener: Listener
    change_log: ChangeLog
    sequencer: Sequencer
    periodic: tuple[Periodic, ...]

    @classmethod
    def from_config(cls, config: Config, database_url: str, register: Register | None = None) -> Feed:
        """Put the parts together; no I/O.

        Args:
            register: what the Listener keeps up to date besides.
        """
        hub = Hub(
            ring_bytes=config.ring_bytes,
            queue_frames=config.queue_frames,
            queue_bytes=_QUEUE_BYTES,
            max_streams=config.max_streams,
            max_streams_per_address=config.max_streams_per_address,
        )
        listener = Listener(
            partial(connect, database_url, application_name="people-feed listener"),
            hub,
            check_seconds=config.listener_check_seconds,
            register=register,
        )
        sequencer = Sequencer(
            partial(connect, database_url, application_name="people-feed sequencer"),
            check_seconds=config.listener_check_seconds,
        )
        pruner = Pruner(
            partial(connect, database_url, application_name="people-feed pruner", is_patient=True),
            hours=config.retention_hours,
            most_bytes=config.retention_bytes,
            readings_days=config.readings_retention_days,
            minutes_days=config.minutes_retention_days,
        )
        rollups = Rollups(partial(connect, database_url, application_name="people-feed rollups", is_patient=True))
        counts = Counts(
            partial(connect, database_url, application_name="people-feed counts"),
            silence_seconds=config.session_silence_seconds,
            margin_seconds=config.clock_margin_seconds,
            time_zone=config.time_zone,
        )
        alerts = Alerts(
            partial(connect, database_url, application_name="people-feed alerts"),
            lambda: (hub.generation, hub.newest_reading),
            margin_seconds=config.clock_margin_seconds,
        )
        periodic = (
            Periodic(
                "numbering changes",
                sequencer.work,
                retry_seconds=0.3,
                jitter=0.5,
                grace_seconds=0.0,  # the database goes on by itself for the second that a call takes
                at_end=sequencer.close,
            ),
            Periodic("making room in the inbox", sequencer.tidy, first_seconds=5.0),
            Periodic("sending heartbeats", _heartbeat(hub, config.heartbeat_seconds)),
            Periodic("evaluating alerts", alerts.work, first_seconds=0.5, at_end=alerts.close),
            Periodic("updating the counts", counts.work, first_seconds=1.0, jitter=0.4, at_end=counts.close),
            Periodic("folding the readings", rollups.work, first_seconds=5.0, jitter=0.5, at_end=rollups.close),
            Periodic("pruning", pruner.work, first_seconds=60.0, jitter=0.5),
        )
        return cls(config, database_url, hub, listener, ChangeLog(database_url), sequencer, periodic)

    def start(self) -> None:
        """Start the Listener and what runs beside it. Call it in a process that gevent has patched."""
        use_gevent()
        _spare_the_collector()
        files = raise_file_limit(self.config.max_streams + _FILES_BESIDE_STREAMS)
        self.hub.limit_streams(files - min(_FILES_BESIDE_STREAMS, files // 2))
        self.listener.start()
        for loop in self.periodic:
            loop.start()

    def expel(self, is_over: Callable[[Subscription], bool]) -> None:
        """End the streams of clients that may no longer have them, and cut those that have not ended in a second."""
        if expelled := self.hub.expel(is_over):
            log.info("%d streams end because what let them in has", len(expelled))
            gevent.spawn_later(_DRAIN_SECONDS, _cut, expelled)

    def drain(self) -> None:
        """End all streams politely, then cut the clients that read nothing; returns when all streams have ended.

        Other requests continue. Returns at once if there are no streams.
        """
        self.hub.drain()
        deadline = time.monotonic() + _DRAIN_SECONDS
        while self.hub.stream_count and time.monotonic() < deadline:
            gevent.sleep(0.01)
        self.hub.cut()
        while self.hub.stream_count and time.monotonic() < deadline + _DRAIN_SECONDS:
            gevent.sleep(0.01)

    def stop(self) -> None:
        """End the streams and everything that ``start`` started; may be called without it."""
        self.drain()
        self.listener.stop()
        gevent.joinall([gevent.spawn(loop.stop) for loop in self.periodic])


def _cut(subscriptions: list[Subscription]) -> None:
    for subscription in subscriptions:
        if subscription.client:
            subscription.client.cut()


def _heartbeat(hub: Hub, heartbeat_seconds: float) -> Callable[[Pause], float]:
    tick_seconds = min(_TICK_SECONDS, heartbeat_seconds / 4)

    def work(_pause: Pause) -> float:
        hub.beat(heartbeat_seconds)
        return tick_seconds

    return work


def raise_file_limit(wanted: int) -> int:
    """Let this process open ``wanted`` files, as far as the system allows; returns how many it may open.

    Many systems allow a process 1 024 files unless it asks for more, and every client is one.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    if most < wanted:
        log.warning(
            "Only %d files may be open, of %d wanted: raise the hard limit, or lower MAX_STREAMS.", most, wanted
        )
    return most


def _spare_the_collector() -> None:
    """Exempt everything imported so far from garbage collection, and collect less often.

    With 5 000 streams a full collection blocked the loop for 46 ms; now it takes 5.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)
