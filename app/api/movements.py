"""Movements: people seen going in and out."""

from __future__ import annotations

from app.postgres.tables import Movement
from app.rest.endpoints import Needs, resource_endpoints
from app.rest.resource import Resource

MOVEMENTS = Resource(
    name="movements",
    noun="movement",
    model=Movement,
    time="movement_time",
    filters={"session_id": "session_id", "direction": "movement_direction", "person_id": "person_id"},
    ingest=True,
)
api = resource_endpoints(MOVEMENTS, Needs(create=("ingest",), change=("admin",)))
