"""Thresholds: when to raise alerts."""

from __future__ import annotations

from app.postgres.tables import Threshold
from app.rest.endpoints import Needs, resource_endpoints
from app.rest.resource import Resource

THRESHOLDS = Resource(
    name="thresholds",
    noun="threshold",
    model=Threshold,
    time="created_at",
    orders=("threshold_name", "threshold_value", "updated_at"),
    filters={"session_id": "session_id", "active": "is_active"},
    search=("threshold_name",),
)
_OPERATE = ("operate",)
api = resource_endpoints(THRESHOLDS, Needs(create=_OPERATE, change=_OPERATE, delete=_OPERATE))
