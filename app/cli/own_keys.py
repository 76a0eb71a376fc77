"""Own keys: what commands show a feed that asks who they are.

Invariant: only for the feed of this machine, whose database a command reaches anyway; a key is good for an hour, and
ends with the command.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta

import click
from sqlalchemy.exc import SQLAlchemyError

from app.access.keys import create_key, revoke_key
from app.cli.database import database
from app.postgres.tables import db


class OwnKeys:
    """Makes keys of scope read, one at a time."""

    def __init__(self) -> None:
        self._id: str | None = None

    def new(self) -> str:
        """A new key; the one before it ends."""
        self.revoke()
        with database(), db.engine.begin() as connection:
            expires_at = datetime.now(UTC) + timedelta(hours=1)
            key, row = create_key(connection, "a command", "read", expires_at=expires_at, created_by="the command line")
        self._id = row["id"]
        return key

    def revoke(self) -> None:
        """End the key, if there is one and the database can be reached; else it expires."""
        if self._id is None:
            return
        with suppress(click.ClickException, SQLAlchemyError), database(), db.engine.begin() as connection:
            revoke_key(connection, self._id)
        self._id = None
