"""Sessions: the counting runs."""

from __future__ import annotations

from app.api.crud import blueprint
from app.api.resource import Resource
from app.models import Session

SESSIONS = Resource(
    name="sessions",
    noun="session",
    model=Session,
    time="created_at",
    orders=("start_time", "updated_at", "session_name"),
    filters={"status": "status", "session_id": "id"},
    search=("session_name", "input_source"),
)
api = blueprint(SESSIONS)
