"""Figures: what a worker says of itself to Prometheus, by the names that tools know.

Invariant: names, labels and units are a contract (docs/reference/metrics.md). No label has values that clients can
choose. ``worker`` is the number of a slot: it stays the same when a worker is replaced.
"""

from __future__ import annotations

import os

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, values

from app.feed.listener import DELAY_BOUNDS
from app.monitoring.slots import FOLDER, SLOT

WORKER = os.environ.get(SLOT, "0")
if FOLDER in os.environ:
    # Files by slot instead of by process. Has to be said before the first figure is made.
    values.ValueClass = values.MultiProcessValue(lambda: WORKER)  # type: ignore[no-untyped-call]

REGISTRY = CollectorRegistry()
# Those that the semantic conventions of OpenTelemetry advise.
_REQUEST_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)


def _counter(name: str, about: str, *labels: str) -> Counter:
    return Counter(name, about, labels, namespace="peoplefeed", registry=REGISTRY)


def _gauge(name: str, about: str, *labels: str) -> Gauge:
    # Live: it ends with its worker. The sum is over one: the others have other labels.
    return Gauge(name, about, labels, namespace="peoplefeed", registry=REGISTRY, multiprocess_mode="livesum")


STREAMS = _gauge("streams", "Streams that are open.", "worker", "transport")
STREAMS_LIMIT = _gauge("streams_limit", "Streams that a worker accepts.", "worker")
STREAMS_OPENED = _counter("streams_opened", "Streams by how they began: live, resumed, reset.", "start")
STREAMS_CLOSED = _counter("streams_closed", "Streams that ended: client, drained, expelled, failed.", "reason")
STREAMS_REFUSED = _counter("streams_refused", "Streams beyond a limit: of the worker, of an address.", "reason")
CHANGES = _counter("changes", "Changes that workers have published; each worker publishes all of them.", "topic")
DELIVERIES = _counter("deliveries", "Changes handed to clients.")
SENT_BYTES = _counter("sent_bytes", "Bytes of changes handed to clients, without heads and heartbeats.")
QUEUE_OVERFLOWS = _counter("queue_overflows", "Clients that fell behind more than a queue holds.")
LOG_READS = _counter("log_reads", "Reads of the change log for clients that were behind.")
COMMIT_TO_PUBLISH = Histogram(
    "commit_to_publish_seconds",
    "From the writing of a row to its publication by a worker.",
    namespace="peoplefeed",
    registry=REGISTRY,
    buckets=DELAY_BOUNDS,
)
LISTENER_LIVE = _gauge("listener_live", "1: the worker's Listener hears the database.", "worker")
LISTENER_RECONNECTS = _counter("listener_reconnects", "How often a Listener was back after it had lost the database.")
LISTENER_UNANNOUNCED = _counter("listener_unannounced", "Changes that came without a NOTIFY, found by looking.")
LOGINS = _counter("logins", "Logins: right, wrong.", "result")
REQUESTS_DENIED = _counter("requests_denied", "Requests that were refused, and why.", "reason")
REQUESTS = Histogram(
    "http_server_request_duration_seconds",
    "Requests, without streams.",
    ("http_request_method", "http_route", "http_response_status_code"),
    registry=REGISTRY,
    buckets=_REQUEST_BOUNDS,
)


def add_delays(numbers: list[int], seconds: float) -> None:
    """Add delays to the histogram: how many lie up to each of ``DELAY_BOUNDS`` and beyond, and their sum.

    Deliberate: observe() takes one at a time, which would be as many writes as there are changes.
    """
    for bucket, number in zip(COMMIT_TO_PUBLISH._buckets, numbers, strict=True):
        if number:
            bucket.inc(number)
    COMMIT_TO_PUBLISH._sum.inc(seconds)
