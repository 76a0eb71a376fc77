"""Users, as the database keeps them.

Invariant: there is always an administrator once there is a user; the database refuses the change that would leave none.
A user that is removed stays as a row that has ended, and the name may be given again.
Every function works in the transaction of its caller.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from app.access.scope import Role

_COLUMNS = (
    "id, username, role, is_disabled, password_hash is not null as has_password, created_at,"
    " (select max(l.seen_at) from access_logins l where l.user_id = access_users.id) as seen_at"
)
_LIST = text(f"select {_COLUMNS} from access_users where ended_at is null order by lower(username)")
_READ = text(f"select {_COLUMNS} from access_users where ended_at is null and id = :id")
_BY_NAME = text(
    "select id, username, role, is_disabled, password_hash from access_users"
    " where ended_at is null and lower(username) = lower(:username)"
)
_CREATE = text(
    "insert into access_users (username, role, password_hash, identity, is_first)"
    f" values (:username, :role, :password_hash, :identity, :is_first) returning {_COLUMNS}"
)
_CHANGE = text(
    "update access_users set role = coalesce(:role, role), password_hash = coalesce(:password_hash, password_hash),"
    " is_disabled = coalesce(:is_disabled, is_disabled)"
    f" where id = :id and ended_at is null returning {_COLUMNS}"
)
_END = text("update access_users set ended_at = now() where id = :id and ended_at is null returning username")

Row = dict[str, Any]


def list_users(connection: Connection) -> list[Row]:
    """All users, by name."""
    return [dict(row) for row in connection.execute(_LIST).mappings()]


def read_user(connection: Connection, user_id: UUID) -> Row | None:
    """One user."""
    row = connection.execute(_READ, {"id": user_id}).mappings().one_or_none()
    return dict(row) if row else None


def user_of_name(connection: Connection, username: str) -> Row | None:
    """A user with their ``password_hash``, whatever the case of the name."""
    row = connection.execute(_BY_NAME, {"username": username}).mappings().one_or_none()
    return dict(row) if row else None


def create_user(
    connection: Connection,
    username: str,
    role: Role,
    password_hash: str | None,
    *,
    identity: str | None = None,
    is_first: bool | None = None,
) -> Row:
    """A new user.

    Raises:
        sqlalchemy.exc.IntegrityError: the name is taken; or ``is_first`` and somebody else was.
    """
    values = {"username": username, "role": role, "password_hash": password_hash, "identity": identity}
    return dict(connection.execute(_CREATE, {**values, "is_first": is_first}).mappings().one())


def change_user(
    connection: Connection,
    user_id: UUID,
    *,
    role: Role | None = None,
    password_hash: str | None = None,
    is_disabled: bool | None = None,
    kept_login: str = "",
) -> Row | None:
    """Change what is given; a new password and disabling end all logins but ``kept_login``. None: there is none.

    Raises:
        sqlalchemy.exc.IntegrityError: there would be no administrator left.
    """
    connection.execute(text("select set_config('people_feed.login', :login, true)"), {"login": kept_login})
    values = {"id": user_id, "role": role, "password_hash": password_hash, "is_disabled": is_disabled}
    row = connection.execute(_CHANGE, values).mappings().one_or_none()
    return dict(row) if row else None


def end_user(connection: Connection, user_id: UUID) -> str | None:
    """Remove a user, and with them their logins; returns the name. None: there is none.

    Raises:
        sqlalchemy.exc.IntegrityError: there would be no administrator left.
    """
    return connection.execute(_END, {"id": user_id}).scalar_one_or_none()
