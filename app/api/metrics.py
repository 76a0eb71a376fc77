"""Metrics: the readings of the sessions."""

from __future__ import annotations

from app.api.crud import blueprint
from app.api.resource import Resource
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
