"""Credential: what somebody is let in by, as a worker holds it in memory.

Invariant: the register keeps one object for each credential for as long as it is valid, and changes it in place; so
a stream that holds it can be told apart, and ended, when it ends. Two credentials are equal only if they are the same.
"""

from __future__ import annotations

import time
from typing import Literal

from app.access.scope import INCLUDED, Role, Scope

# open: nobody has to show anything. local: a program on this machine, by LOCAL_ACCESS. proxy: a user that a trusted
# proxy has named.
Kind = Literal["open", "local", "proxy", "login", "key"]


class Credential:
    """``name`` is the user's or the key's; ``session_ids`` are the counting sessions that it is restricted to, or None.

    ``deadline`` is when it expires, on the monotonic clock; ``expires_at`` the same in seconds since 1970.
    """

    __slots__ = ("_used_at", "deadline", "expires_at", "id", "is_ended", "key_id", "kind", "name", "role", "scope",
                 "session_ids", "user_id")  # fmt: skip

    def __init__(
        self,
        kind: Kind,
        id: str = "",
        *,
        scope: Scope = "admin",
        name: str | None = None,
        role: Role | None = None,
        user_id: str | None = None,
        key_id: str | None = None,
        session_ids: frozenset[str] | None = None,
        seconds: float | None = None,
    ) -> None:
        self.kind: Kind = kind
        self.id = id
        self.scope: Scope = scope
        self.name = name
        self.role: Role | None = role
        self.user_id = user_id
        self.key_id = key_id
        self.session_ids = session_ids
        self.is_ended = False
        self._used_at = 0.0
        self.expires_in(seconds)

    def __repr__(self) -> str:
        return f"<{self.actor}, {self.scope}>"

    def expires_in(self, seconds: float | None) -> None:
        """Expire in so many seconds; never if None."""
        self.deadline = None if seconds is None else time.monotonic() + seconds
        self.expires_at = None if seconds is None else time.time() + seconds

    def is_idle_for(self, seconds: float) -> bool:
        """Whether it was last used so long ago, which this call ends."""
        now = time.monotonic()
        if now - self._used_at < seconds:
            return False
        self._used_at = now
        return True

    @property
    def is_valid(self) -> bool:
        """Whether it is neither ended nor expired."""
        return not self.is_ended and (self.deadline is None or time.monotonic() < self.deadline)

    @property
    def actor(self) -> str:
        """Who acts, for the audit log: ``user ada``, ``key 4f7k2m9q (Main door)``."""
        if self.key_id:
            return f"key {self.key_id} ({self.name})"
        return f"user {self.name}" if self.name else "this machine" if self.kind == "local" else "anyone"

    @property
    def scopes(self) -> frozenset[Scope]:
        """What it lets its bearer do."""
        return INCLUDED[self.scope]


# Where nobody has to show anything.
EVERYONE = Credential("open")
