"""Flush: brings what the feed has counted into the figures, once in a while.

Invariant: the feed counts in plain Python and knows nothing of Prometheus; what it has counted is added once.
"""

from __future__ import annotations

from collections import Counter

from app.feed.hub import Hub
from app.feed.listener import Listener
from app.feed.periodic import Pause
from app.monitoring import figures

_INTERVAL_SECONDS = 2.0


class Flush:
    """What one worker has counted and not yet told; ``work`` is called by a Periodic."""

    def __init__(self, hub: Hub, listener: Listener) -> None:
        self._hub = hub
        self._listener = listener
        self._told: Counter[str] = Counter()

    def work(self, _pause: Pause = lambda _seconds: False) -> float:
        """Add what has come since the last call; returns the seconds until the next."""
        hub, listener = self._hub, self._listener
        figures.STREAMS.labels(figures.WORKER, "sse").set(hub.stream_count)
        figures.STREAMS_LIMIT.labels(figures.WORKER).set(hub.max_streams)
        figures.LISTENER_LIVE.labels(figures.WORKER).set(listener.state == "live")
        for start in ("live", "resumed", "reset"):
            figures.STREAMS_OPENED.labels(start).inc(self._new(start, hub.counts[start]))
        for reason in ("client", "drained", "expelled", "failed"):
            figures.STREAMS_CLOSED.labels(reason).inc(self._new(f"closed {reason}", hub.counts[f"closed {reason}"]))
        for reason in ("worker", "address"):
            figures.STREAMS_REFUSED.labels(reason).inc(self._new(f"refused {reason}", hub.counts[f"refused {reason}"]))
        for topic, number in listener.published.items():
            figures.CHANGES.labels(topic).inc(self._new(f"topic {topic}", number))
        for counter, name in (
            (figures.DELIVERIES, "deliveries"),
            (figures.SENT_BYTES, "sent_bytes"),
            (figures.QUEUE_OVERFLOWS, "overflows"),
            (figures.LOG_READS, "log_reads"),
        ):
            counter.inc(self._new(name, hub.counts[name]))
        for counter, name in (
            (figures.LISTENER_RECONNECTS, "reconnects"),
            (figures.LISTENER_UNANNOUNCED, "unannounced"),
        ):
            counter.inc(self._new(f"listener {name}", listener.counts[name]))
        numbers, seconds = listener.take_delays()
        figures.add_delays(numbers, seconds)
        return _INTERVAL_SECONDS

    def _new(self, name: str, total: int) -> int:
        told = self._told[name]
        self._told[name] = total
        return total - told
