"""Register: all credentials, in the memory of a worker, as the database has them.

Invariant: what has ended in the database is forgotten here, and told to ``on_change``, as soon as a NOTIFY says so;
within seconds if none arrives, because the Listener asks at each check; and when it reconnects. A request with an
unknown credential asks once more before it is refused, because a login made by another worker may be milliseconds old.
No request with a known credential needs the database.
Until the database has been read for the first time, ``is_known`` is False and nobody can be told from anybody.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from typing import Any

import gevent
from gevent.lock import BoundedSemaphore
from psycopg2.extensions import connection as Connection

from app.access.credential import EVERYONE, Credential
from app.access.scope import SCOPE_OF_ROLE

log = logging.getLogger(__name__)

# A timer for a date in the far future is set again now and then.
_LONGEST_SECONDS = 86400.0
# Without those that ended: nobody has seen them here.
_WHOLE = "and {row}.ended_at is null"
# One statement, hence one snapshot. Versions are given out under a lock that lasts until COMMIT, so there is no row
# with a version up to home's that this does not see.
_CHANGED = """
select home.version, home.secret, exists (select from access_users where ended_at is null), changed.*
from access_home as home left join lateral (
    select 'login' as kind, l.id::text, l.token_sha256, coalesce(u.username, k.name), u.role, k.scope, u.id::text, k.id,
           case when l.ended_at is not null then 0
                when isfinite(l.expires_at) then extract(epoch from l.expires_at - clock_timestamp())::float8 end,
           case when k.is_restricted
                then array(select session_id::text from access_key_sessions s where s.key_id = k.id) end
    from access_logins l left join access_users u on u.id = l.user_id left join access_keys k on k.id = l.key_id
    where l.version > %(after)s {login}
    union all
    select 'key', k.id, k.secret_sha256, k.name, null, k.scope, null, k.id,
           case when k.ended_at is not null then 0
                when isfinite(k.expires_at) then extract(epoch from k.expires_at - clock_timestamp())::float8 end,
           case when k.is_restricted
                then array(select session_id::text from access_key_sessions s where s.key_id = k.id) end
    from access_keys k where k.version > %(after)s {key}
    union all
    select 'proxy', u.id::text, null, u.username, u.role, null, u.id::text, null,
           case when u.ended_at is not null or u.is_disabled then 0 end, null
    from access_users u where u.version > %(after)s {user}
) as changed on true
"""


class Register:
    """Finds credentials by what their bearers show.

    Args:
        connect: opens a connection in autocommit mode, or raises psycopg2.Error.
        on_change: told which credentials ended, or lost rights; and, with none, that it is known who may be let in.
    """

    channel = "access_changes"

    def __init__(
        self, connect: Callable[[], Connection], on_change: Callable[[frozenset[Credential]], None] = lambda _: None
    ) -> None:
        self.is_known = False
        self.has_users = False
        self.secret = b""
        self.on_change = on_change
        self._connect = connect
        self._connection: Connection | None = None
        self._version = 0
        self._by_id: dict[tuple[str, str], Credential] = {}
        self._by_digest: dict[bytes, Credential] = {}
        self._by_username: dict[str, Credential] = {}
        self._digests: dict[Credential, bytes] = {}
        self._turn = BoundedSemaphore()
        self._reads = 0
        self._timer: gevent.Greenlet[[], None] | None = None
        self._timer_at = 0.0

    def by_token(self, digest: bytes) -> Credential | None:
        """The key or the login whose token has this digest."""
        return _valid(self._by_digest.get(digest))

    def by_username(self, username: str) -> Credential | None:
        """A user, as a trusted proxy names them."""
        return _valid(self._by_username.get(username.lower()))

    def by_id(self, kind: str, row_id: str) -> Credential | None:
        """The credential of a row."""
        return _valid(self._by_id.get((kind, row_id)))

    def refresh(self) -> None:
        """Read what has changed. Callers that wait here together share one read that began after they came.

        Raises:
            psycopg2.Error: the database is unavailable.
        """
        before = self._reads
        with self._turn:
            if self._reads > before and self.is_known:
                return
            if self._connection is None or self._connection.closed:
                self._connection = self._connect()
            try:
                self._read(self._connection, whole=not self.is_known)
            except BaseException:
                # Whatever went wrong, a greenlet that was killed included: the connection may be amid an exchange.
                self._connection.close()
                self._connection = None
                raise

    def read(self, connection: Connection, *, whole: bool = False) -> None:
        """Read what has changed, or everything: after a time without news, or of another database.

        Raises:
            psycopg2.Error: the database is unavailable.
        """
        with self._turn:
            self._read(connection, whole=whole)

    def _read(self, connection: Connection, *, whole: bool) -> None:
        self._reads += 1
        parts = {name: _WHOLE.format(row=name[0]) if whole else "" for name in ("login", "key", "user")}
        with connection.cursor() as cursor:
            cursor.execute(_CHANGED.format(**parts), {"after": -1 if whole else self._version})
            rows = cursor.fetchall()
        if not rows:
            return  # as amid a restore in place: what is known stays
        version, secret, has_users = rows[0][:3]
        if version < self._version and not whole:  # another database, or an older one
            self._read(connection, whole=True)
            return
        lost: set[Credential] = set()
        found = {credential for row in rows if row[3] and (credential := self._apply(row[3:], lost))}
        if whole:
            lost.update(self._forget(set(self._by_id.values()) - found))
        if has_users and not (self.has_users and self.is_known):
            lost.add(EVERYONE)
        was_known = self.is_known
        self._version, self.secret, self.has_users, self.is_known = version, bytes(secret), has_users, True
        if lost or not was_known:
            self.on_change(frozenset(lost))

    def _apply(self, row: tuple[Any, ...], lost: set[Credential]) -> Credential | None:
        """Take over what a row says; what ended or lost rights is added to ``lost``."""
        kind, row_id, digest, name, role, scope, user_id, key_id, seconds, session_ids = row
        known = self._by_id.get((kind, row_id))
        if seconds is not None and seconds <= 0:
            lost.update(self._forget([known] if known else []))
            return None
        reach = None if session_ids is None else frozenset(session_ids)
        scope = scope or SCOPE_OF_ROLE[role]
        if known is None:
            known = Credential(kind, row_id, scope=scope, user_id=user_id, key_id=key_id)
            self._by_id[kind, row_id] = known
            if digest is not None:
                self._by_digest[bytes(digest)] = known
                self._digests[known] = bytes(digest)
        elif known.scope != scope or _is_less(reach, known.session_ids):
            lost.add(known)
        if kind == "proxy":
            if known.name:
                self._by_username.pop(known.name.lower(), None)
            self._by_username[name.lower()] = known
        known.name, known.role, known.scope, known.session_ids = name, role, scope, reach
        known.expires_in(seconds)
        self._expect(known.deadline)
        return known

    def _forget(self, credentials: Iterable[Credential]) -> list[Credential]:
        gone = list(credentials)
        for credential in gone:
            credential.is_ended = True
            del self._by_id[credential.kind, credential.id]
            if digest := self._digests.pop(credential, None):
                self._by_digest.pop(digest, None)
            if credential.kind == "proxy" and credential.name:
                self._by_username.pop(credential.name.lower(), None)
        return gone

    def _expect(self, deadline: float | None) -> None:
        """Have the expired forgotten when the first of them expires."""
        if deadline is None or (self._timer and self._timer_at <= deadline):
            return
        if self._timer:
            self._timer.kill(block=False)
        self._timer_at = deadline
        seconds = min(_LONGEST_SECONDS, max(0.0, deadline - time.monotonic()))
        self._timer = gevent.spawn_later(seconds, self._expire)

    def _expire(self) -> None:
        self._timer = None
        expired = self._forget([one for one in self._by_id.values() if not one.is_valid])
        deadlines = [one.deadline for one in self._by_id.values() if one.deadline is not None]
        self._expect(min(deadlines, default=None))
        if expired:
            self.on_change(frozenset(expired))


def _is_less(reach: frozenset[str] | None, than: frozenset[str] | None) -> bool:
    """Whether a credential reaches fewer sessions than before; None is all."""
    return reach is not None and (than is None or not than <= reach)


def _valid(credential: Credential | None) -> Credential | None:
    return credential if credential is not None and credential.is_valid else None
