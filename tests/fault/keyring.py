"""Keyring: the keys of clients, some of which are revoked and replaced while streams are open.

Invariant: a slot always holds a key that is good; a client whose stream ends with ``access_ended`` comes back with the
key that its slot holds then, and lacks nothing.
"""

from __future__ import annotations

import random

from app.access.token import digest, new_key
from tests.fault.feed import Database

SLOTS = 8


class Keyring:
    """``header(number)``: the line that a client with this number sends."""

    def __init__(self, database: Database, seed: int) -> None:
        self._database = database
        self._random = random.Random(f"{seed}/keys")
        database.execute("insert into access_users (username, role, password_hash) values ('ada', 'admin', 'none')")
        self._keys = [self._add() for _ in range(SLOTS)]

    def value(self, number: int) -> str:
        """What the Authorization header says."""
        return f"Bearer {self._keys[number % SLOTS][1]}"

    def header(self, number: int) -> str:
        """The same as a line of a request."""
        return f"Authorization: {self.value(number)}\r\n"

    def revoke(self, number: int) -> None:
        """Revoke so many keys, in one transaction; others have taken their places before."""
        slots = self._random.sample(range(SLOTS), number)
        before = [self._keys[slot][0] for slot in slots]
        for slot in slots:
            self._keys[slot] = self._add()
        self._database.execute("update access_keys set ended_at = now() where id = any(%s)", (before,))

    def _add(self) -> tuple[str, str]:
        key_id, key = new_key()
        self._database.execute(
            "insert into access_keys (id, name, scope, is_restricted, secret_sha256)"
            " values (%s, 'x', 'read', false, %s)",
            (key_id, digest(key)),
        )
        return key_id, key
