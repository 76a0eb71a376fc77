"""Movements: the persons seen going in and out."""

from __future__ import annotations

from app.api.crud import blueprint
from app.api.resource import Resource
from app.models import Movement

MOVEMENTS = Resource(
    name="movements",
    noun="movement",
    model=Movement,
    time="movement_time",
    filters={"session_id": "session_id", "direction": "movement_direction", "person_id": "person_id"},
    ingest=True,
)
api = blueprint(MOVEMENTS)
