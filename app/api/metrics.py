"""Metrics: the readings of the sessions."""

from __future__ import annotations

from app.api.ingest import add_ingest
from app.api.resource import Resource, blueprint
from app.models import Metric

METRICS = Resource(
    name="metrics",
    noun="metric",
    model=Metric,
    time="timestamp",
    filters={"session_id": "session_id", "status": "detection_status"},
    ingest=True,
)
api = blueprint(METRICS)
add_ingest(api, METRICS)
