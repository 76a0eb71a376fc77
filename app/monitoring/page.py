"""Page: the figures of all workers of this arbiter and of the site, in Prometheus' text format."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector

from app.monitoring.figures import REGISTRY
from app.monitoring.slots import FOLDER
from app.postgres.site import Site


def page(version: str, site: Site | None, folder: Path | None) -> bytes:
    """The page. ``site`` is None while the database is unavailable; ``folder`` is on the disk of the embedded server.

    Reads the files of all workers, which takes some milliseconds of computing.
    """
    registry = CollectorRegistry()
    registry.register(_OfSite(version, site, folder))
    if FOLDER not in os.environ:  # no arbiter: this process is all there is
        return generate_latest(REGISTRY) + generate_latest(registry)
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)


class _OfSite:
    def __init__(self, version: str, site: Site | None, folder: Path | None) -> None:
        self._version = version
        self._site = site
        self._folder = folder

    def collect(self) -> Iterator[Metric]:
        site = self._site
        yield _family("build_info", "The version that runs; always 1.", {self._version: 1}, "version")
        yield _family("database_up", "1: the database answered.", float(site is not None))
        if self._folder is not None:
            free = shutil.disk_usage(self._folder).free
            yield _family("disk_free_bytes", "Free space on the disk of the embedded server.", free)
        if site is None:
            return
        yield _family("notify_queue_usage_ratio", "How full the notification queue is.", site.notify_queue_usage)
        yield _family("change_log_bytes", "The change log on the disk, with its indexes.", site.log_bytes)
        if site.log_began_at is not None:
            yield _family("change_log_oldest_timestamp_seconds", "The oldest change in the log.", site.log_began_at)
        yield _family("sequencer_lag_seconds", "Age of the oldest change without an id.", site.sequencer_lag_seconds)
        yield _family("counts_lag_changes", "Changes that are not folded into the counts yet.", site.counts_lag)
        yield _family("occupancy", "People inside, over all active sessions.", site.occupancy)
        yield _family("alerts_open", "Open alerts by type.", site.alerts, "alert_type")
        yield _family("sessions", "Sessions by status.", site.sessions, "status")


def _family(name: str, about: str, value: float | dict[str, int], *labels: str) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"peoplefeed_{name}", about, labels=labels)
    for label, number in (value if isinstance(value, dict) else {"": value}).items():
        family.add_metric([label] if labels else [], number)
    return family
