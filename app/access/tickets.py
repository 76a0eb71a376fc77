"""Tickets: let a plain EventSource of another origin in, which can send no header.

Invariant: a ticket is signed, lives for a minute, and is good for the stream that it was made for and no other. Nothing
is stored; it is worth nothing once the credential has ended that it was made with.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from itsdangerous import BadSignature, URLSafeTimedSerializer

SECONDS = 60
_SALT = "people-feed ticket"


class BadTicket(Exception):
    """The ticket is not ours, too old, or for another stream."""


def new_ticket(secret: bytes, kind: str, row_id: str, stream: dict[str, Any]) -> str:
    """A ticket of a credential for a stream, in the words of its query."""
    return _signer(secret).dumps([kind, row_id, stream])


def bearer_of(secret: bytes, ticket: str, stream: dict[str, Any]) -> tuple[str, str]:
    """Kind and id of the credential that the ticket was made with.

    Raises:
        BadTicket: see there.
    """
    try:
        kind, row_id, made_for = _signer(secret).loads(ticket, max_age=SECONDS)
    except (BadSignature, ValueError, TypeError) as error:
        raise BadTicket from error
    if made_for != stream:
        raise BadTicket
    return kind, row_id


def _signer(secret: bytes) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(secret, salt=_SALT, signer_kwargs={"digest_method": sha256})
