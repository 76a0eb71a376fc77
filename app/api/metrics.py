"""Metrics: the readings of the sessions."""

from __future__ import annotations

from app.api.resource import Resource, blueprint
from app.models import Metric

METRICS = Resource(
    name="metrics",
    noun="metric",
    model=Metric,
    time="timestamp",
    filters={"session_id": "session_id", "status": "detection_status"},
)
api = blueprint(METRICS)
