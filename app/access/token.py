"""Token: the secrets that keys and logins are, and what is stored of them.

Invariant: a token is 256 random bits and is never stored; its sha256 is. A slow hash would protect guessable secrets,
which these are not, and it would have to be computed for each request.
"""

from __future__ import annotations

import secrets
from hashlib import sha256

_ID_SIGNS = "abcdefghijklmnopqrstuvwxyz0123456789"
_RANDOM_BYTES = 32
KEY_PREFIX = "pf_"
# Longer than any token: nothing longer is hashed.
MAX_LENGTH = 100


def new_key() -> tuple[str, str]:
    """A new key's id, and the key: ``pf_<id>_<256 random bits>``. The prefix lets scanners of secrets find it."""
    key_id = "".join(secrets.choice(_ID_SIGNS) for _ in range(8))
    return key_id, f"{KEY_PREFIX}{key_id}_{secrets.token_urlsafe(_RANDOM_BYTES)}"


def new_token() -> str:
    """A new login's token, or the token of the set-up."""
    return secrets.token_urlsafe(_RANDOM_BYTES)


def digest(token: str) -> bytes:
    """What is stored of a token."""
    return sha256(token.encode("utf-8", "replace")).digest()
