"""Start: what the start of the feed does so that somebody can be let in.

Invariant: nothing that gevent would have to patch is imported here, since gunicorn's arbiter calls it.
"""

from __future__ import annotations

from psycopg2.extensions import connection as Psycopg

from app.access.passwords import hashed
from app.access.token import digest, new_token


def has_users(connection: Psycopg) -> bool:
    """Whether anybody is known yet.

    Raises:
        psycopg2.Error: the database is unavailable.
    """
    with connection.cursor() as cursor:
        cursor.execute("select exists (select from access_users where ended_at is null)")
        [[known]] = cursor.fetchall()
    return bool(known)


def offer_setup(connection: Psycopg) -> str | None:
    """A token for the set-up, after which those before it no longer count; None if there are users. For the start.

    Raises:
        psycopg2.Error: the database is unavailable.
    """
    token = new_token()
    with connection.cursor() as cursor:
        cursor.execute(
            "update access_home set setup_sha256 = %s"
            " where not exists (select from access_users where ended_at is null) returning true",
            (digest(token),),
        )
        return token if cursor.fetchall() else None


def add_admin(connection: Psycopg, password: str) -> bool:
    """Make the user ``admin`` the first administrator, unless there is a user; returns whether it did. For the start.

    Raises:
        psycopg2.Error: the database is unavailable.
    """
    if has_users(connection):
        return False
    with connection.cursor() as cursor:
        cursor.execute(
            "with made as (insert into access_users (username, role, password_hash, is_first)"
            " values ('admin', 'admin', %s, true) on conflict do nothing returning id, username, role)"
            " select audit('ADMIN_PASSWORD_FILE', '', 'add user', id::text,"
            " jsonb_build_object('username', username, 'role', role)) from made",
            (hashed(password),),
        )
        return cursor.rowcount == 1
