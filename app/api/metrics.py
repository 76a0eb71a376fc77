"""Metrics: the readings of the sessions."""

from __future__ import annotations

from app.postgres.tables import Metric
from app.rest.endpoints import Needs, resource_endpoints
from app.rest.resource import Resource

METRICS = Resource(
    name="metrics",
    noun="metric",
    model=Metric,
    time="timestamp",
    filters={"session_id": "session_id", "status": "detection_status"},
    ingest=True,
)
api = resource_endpoints(METRICS, Needs(create=("ingest",), change=("admin",)))
