"""Logins: browsers that somebody has signed in with. (A session is a counting run.)

Invariant: a login ends after 12 hours in which nobody has used it, a shift, and after 30 days at the latest; one that
was made with a key ends with the key instead. Its token is opaque and stored as a digest, so that it can be ended.
Every function works in the transaction of its caller.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from app.access.token import digest, new_token

IDLE_HOURS = 12
MOST_DAYS = 30
# How much of the idle time has to be over before it begins again: each time is a row that all workers read.
RENEW_SECONDS = 600.0

_CREATE = text(
    "insert into access_logins (token_sha256, user_id, key_id, expires_at, address, user_agent)"
    " values (:token, :user_id, :key_id, case when cast(:key_id as text) is null"
    f" then now() + interval '{IDLE_HOURS} hours'"
    " else coalesce((select expires_at from access_keys k where k.id = cast(:key_id as text)), 'infinity') end,"
    " :address, :user_agent) returning id"
)
_LIST = text(
    "select id, created_at, seen_at, expires_at, address, user_agent from access_logins"
    " where user_id = cast(:user_id as uuid) and ended_at is null and expires_at > now() order by seen_at desc"
)
_END = text(
    "update access_logins set ended_at = now() where id = cast(:id as uuid) and ended_at is null"
    " and (cast(:user_id as uuid) is null or user_id = cast(:user_id as uuid)) returning id"
)
_RENEW = text(
    f"update access_logins set seen_at = now(), expires_at = least(created_at + interval '{MOST_DAYS} days',"
    f" now() + interval '{IDLE_HOURS} hours') where id = cast(:id as uuid) and ended_at is null and user_id is not null"
)
_KNOWS = text(
    "select exists (select from access_logins where user_id = :user_id and address = :address and ended_at is null)"
)

Row = dict[str, Any]


def create_login(
    connection: Connection, *, user_id: UUID | None = None, key_id: str | None = None, address: str, user_agent: str
) -> tuple[str, UUID]:
    """A new login of a user or of a key: its token, and its id."""
    token = new_token()
    values = {"token": digest(token), "user_id": user_id, "key_id": key_id, "address": address}
    login_id: UUID = connection.execute(_CREATE, {**values, "user_agent": user_agent[:500]}).scalar_one()
    return token, login_id


def list_logins(connection: Connection, user_id: str) -> list[Row]:
    """The logins of a user, those used last first."""
    return [dict(row) for row in connection.execute(_LIST, {"user_id": user_id}).mappings()]


def end_login(connection: Connection, login_id: str, user_id: str | None = None) -> bool:
    """End a login, one of this user if it is given; False: there is none."""
    return connection.execute(_END, {"id": login_id, "user_id": user_id}).first() is not None


def renew_login(connection: Connection, login_id: str) -> None:
    """Somebody uses the login: its idle time begins again."""
    connection.execute(_RENEW, {"id": login_id})


def knows_address(connection: Connection, user_id: UUID, address: str) -> bool:
    """Whether the user is signed in from this address."""
    known: bool = connection.execute(_KNOWS, {"user_id": user_id, "address": address}).scalar_one()
    return known
