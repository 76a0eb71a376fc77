"""Thresholds: when to raise alerts."""

from __future__ import annotations

from app.api.crud import blueprint
from app.api.resource import Resource
from app.models import Threshold

THRESHOLDS = Resource(
    name="thresholds",
    noun="threshold",
    model=Threshold,
    time="created_at",
    orders=("threshold_name", "threshold_value", "updated_at"),
    filters={"session_id": "session_id", "active": "is_active"},
    search=("threshold_name",),
)
api = blueprint(THRESHOLDS)
