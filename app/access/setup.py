"""Set-up: how the first administrator is made.

Invariant: there is one first administrator, however many ask at once; the database refuses a second. The token is
printed where the feed is started and nowhere else, works once, and is stored as a digest.
Every function works in the transaction of its caller.
"""

from __future__ import annotations

from hmac import compare_digest

from sqlalchemy import Connection, text

from app.access.token import digest
from app.access.users import Row, create_user

_HAS_USERS = text("select exists (select from access_users where ended_at is null)")
_USE = text("update access_home set setup_sha256 = null")
_READ = text("select setup_sha256 from access_home for update")


class WrongToken(Exception):
    """It is not the token that was printed, or it was used already."""


def has_users(connection: Connection) -> bool:
    """Whether anybody is known yet."""
    known: bool = connection.execute(_HAS_USERS).scalar_one()
    return known


def create_first(connection: Connection, token: str, username: str, password_hash: str) -> Row:
    """Make the first administrator.

    Raises:
        WrongToken: see there.
        sqlalchemy.exc.IntegrityError: somebody was quicker.
    """
    expected = connection.execute(_READ).scalar_one()
    if expected is None or not compare_digest(bytes(expected), digest(token)):
        raise WrongToken
    connection.execute(_USE)
    return create_user(connection, username, "admin", password_hash, is_first=True)
