"""Seal: whether the payload of a NOTIFY was sent by the triggers of the log.

Invariant: what ``opened`` returns is, byte by byte, the payload of a change in the log that the secret belongs to. Any
role that may connect can send a NOTIFY; only the owner of the log can read the secret. ``sql/`` makes the seal.
"""

from __future__ import annotations

from hashlib import sha256
from hmac import compare_digest

from psycopg2.extensions import connection as Connection

# Spaces and tabs behind the JSON: what other programs read stays as it was.
_BITS = 96
_SIGNS = str.maketrans("01", " \t")


def read_secret(connection: Connection) -> bytes:
    """The secret of the log, which changes when a copied database is recognized; empty if there is none."""
    with connection.cursor() as cursor:
        cursor.execute("select secret from change_log_home")
        return b"".join(bytes(secret) for (secret,) in cursor.fetchall())


def opened(text: str, secret: bytes) -> str | None:
    """The payload in a sealed text; None if the seal is missing or not ours."""
    payload, sealed = text[:-_BITS], text[-_BITS:]
    if not secret or not sealed.isspace():
        return None
    outer = sha256(secret + sha256(secret + payload.encode()).digest()).digest()
    number = int.from_bytes(outer[: _BITS // 8], "big")
    return payload if compare_digest(f"{number:0{_BITS}b}".translate(_SIGNS).encode(), sealed.encode()) else None
