"""Keys, as the database keeps them: for programs, and for screens that nobody signs in at.

Invariant: the key itself is returned once, when it is made; what is stored cannot be turned back into it. An ingest key
is always restricted: to the counting sessions that it was made for, and those that it makes.
Every function works in the transaction of its caller.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from app.access.scope import Scope
from app.access.token import digest, new_key

_COLUMNS = (
    "id, name, scope, is_restricted, created_at, created_by, expires_at, ended_at as revoked_at,"
    " array(select session_id from access_key_sessions s where s.key_id = access_keys.id) as session_ids"
)
_LIST = text(f"select {_COLUMNS} from access_keys order by ended_at is not null, created_at desc limit 1000")
_CREATE = text(
    "insert into access_keys (id, name, scope, is_restricted, secret_sha256, created_by, expires_at)"
    " values (:id, :name, :scope, :is_restricted, :secret, :created_by, :expires_at)"
)
_RESTRICT = text("insert into access_key_sessions (key_id, session_id) values (:key_id, :session_id)")
_READ = text(f"select {_COLUMNS} from access_keys where id = :id")
_END = text("update access_keys set ended_at = now() where id = :id and ended_at is null returning name")

Row = dict[str, Any]


def list_keys(connection: Connection) -> list[Row]:
    """All keys, the newest first, those that were revoked last."""
    return [dict(row) for row in connection.execute(_LIST).mappings()]


def create_key(
    connection: Connection,
    name: str,
    scope: Scope,
    *,
    session_ids: Collection[UUID] = (),
    expires_at: datetime | None = None,
    created_by: str | None = None,
) -> tuple[str, Row]:
    """A new key, and its row.

    Raises:
        sqlalchemy.exc.IntegrityError: a session does not exist.
    """
    key_id, key = new_key()
    values = {"id": key_id, "name": name, "scope": scope, "secret": digest(key)}
    is_restricted = bool(session_ids) or scope == "ingest"
    more = {"is_restricted": is_restricted, "created_by": created_by, "expires_at": expires_at}
    connection.execute(_CREATE, {**values, **more})
    for session_id in set(session_ids):
        connection.execute(_RESTRICT, {"key_id": key_id, "session_id": session_id})
    return key, dict(connection.execute(_READ, {"id": key_id}).mappings().one())


def add_session(connection: Connection, key_id: str, session_id: UUID) -> None:
    """The key has made this counting session."""
    connection.execute(_RESTRICT, {"key_id": key_id, "session_id": session_id})


def revoke_key(connection: Connection, key_id: str) -> str | None:
    """End a key; returns its name. None: there is none, or it was revoked before."""
    return connection.execute(_END, {"id": key_id}).scalar_one_or_none()
