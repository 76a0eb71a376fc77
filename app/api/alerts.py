"""Alerts: what was raised and what is still open."""

from __future__ import annotations

from app.api.crud import blueprint
from app.api.resource import Resource
from app.models import Alert

ALERTS = Resource(
    name="alerts",
    noun="alert",
    model=Alert,
    time="triggered_at",
    filters={
        "session_id": "session_id",
        "threshold_id": "threshold_id",
        "resolved": "is_resolved",
        "alert_type": "alert_type",
    },
)
api = blueprint(ALERTS)
