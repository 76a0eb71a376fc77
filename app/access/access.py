"""Access: who is let in, and as whom. What state the feed is in decides, not where a request comes from.

| state   | when                                              | who is let in                                    |
|---------|---------------------------------------------------|--------------------------------------------------|
| open    | ACCESS=open                                       | everyone                                         |
| local   | no user yet, HOST on loopback, no TRUSTED_PROXIES | everyone, unless a proxy has forwarded them      |
| set-up  | no user yet, else                                 | nobody; the set-up makes the first administrator |
| users   | there is a user                                   | holders of a credential; LOCAL_ACCESS excepts    |
|         |                                                   | programs of this machine                         |
| unknown | the database has not been read since the start    | nobody; streams wait                             |

Invariant: every request is judged by ``admit``, and so is every stream that was opened while the state was unknown.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from app.access.credential import EVERYONE, Credential
from app.access.register import Register
from app.access.token import digest
from app.config import COMMAND, Config

State = Literal["open", "local", "set-up", "users", "unknown"]
Reason = Literal["login_required", "access_ended", "setup_required", "forwarded", "unknown"]

_SENTENCES: dict[Reason, str] = {
    "login_required": f"Sign in first, or send a key as `Authorization: Bearer pf_…`; `{COMMAND} key add` makes one.",
    "access_ended": "This key or login is unknown, was revoked or has expired: sign in again, or ask for another key.",
    "setup_required": "Nobody is let in before the set-up: open the address that the feed has printed at its start, or"
    f" use `{COMMAND} user add NAME --role admin`.",
    "forwarded": "A proxy has forwarded this request, and without users nobody could tell strangers from this machine:"
    f" add one (`{COMMAND} user add NAME --role admin`), or set ACCESS=open if the proxy lets in only whom it should.",
    "unknown": "The database has not answered since the start, so nobody knows yet who may be let in.",
}


class Denied(Exception):
    """Nobody is let in by what was shown; the message says what would help."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(_SENTENCES[reason])
        self.reason: Reason = reason


@dataclass(frozen=True)
class Shown:
    """What a request shows.

    ``token`` is a key or a login, as its digest. ``username`` is whom a trusted proxy names. ``is_local``: from a
    program of this machine that no proxy forwarded. ``is_forwarded``: it says that a proxy forwarded it.
    """

    token: bytes | None = None
    username: str | None = None
    credential: tuple[str, str] | None = None  # kind and id, of a ticket
    is_local: bool = False
    is_forwarded: bool = False


class Access:
    """Judges requests by the register and the settings."""

    def __init__(self, config: Config, register: Register) -> None:
        self.register = register
        self._config = config
        self._local = None if config.local_access == "none" else Credential("local", scope=config.local_access)

    @property
    def state(self) -> State:
        """The state of the feed, a row of the table."""
        if self._config.access == "open":
            return "open"
        if not self.register.is_known:
            return "unknown"
        if self.register.has_users:
            return "users"
        return "local" if self._config.is_local else "set-up"

    @cached_property
    def _secret(self) -> bytes | None:
        file = self._config.secret_key_file
        return digest(file.read_text("utf-8").strip()) if file else None

    @property
    def secret(self) -> bytes:
        """What tickets are signed with."""
        return self._secret or self.register.secret

    def admit(self, shown: Shown) -> Credential:
        """Who is let in by what is shown.

        Raises:
            Denied: nobody.
        """
        state = self.state
        if state == "open":
            return EVERYONE
        if state == "unknown":
            raise Denied("unknown")
        if state == "local":
            if shown.is_forwarded:
                raise Denied("forwarded")
            return EVERYONE
        if state == "set-up":
            raise Denied("setup_required")
        found = self._find(shown)
        if found is not None:
            return found
        if self._local is not None and shown.is_local and shown.token is None:
            return self._local
        raise Denied("access_ended" if shown.token or shown.credential else "login_required")

    def _find(self, shown: Shown) -> Credential | None:
        if shown.token is not None:
            return self.register.by_token(shown.token)
        if shown.credential is not None:
            return self.register.by_id(*shown.credential)
        if shown.username is not None:
            return self.register.by_username(shown.username)
        return None
