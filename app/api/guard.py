"""Guard: lets each request in or refuses it, in one place that all of them pass.

Invariant: a view runs only for those whom its endpoint's declaration admits; an endpoint that declares nothing runs for
nobody. What the caller is restricted to is set as the request's reach before the view runs. Known credentials are
looked up in memory; only one that is unknown costs a query, and guessing them costs time.
"""

from __future__ import annotations

import logging
import math
import time
from base64 import b64decode
from functools import partial
from typing import Any
from uuid import UUID

import psycopg2
from flask import Flask, Response, current_app, g, request
from sqlalchemy import Connection, Select, Uuid, column, select, table

from app.access import audit, failures, keys, logins
from app.access.access import Access, Denied, Reason, Shown
from app.access.credential import EVERYONE, Credential
from app.access.scope import INCLUDED
from app.access.tickets import BadTicket, bearer_of
from app.access.token import MAX_LENGTH, digest
from app.api.current import current_access, current_feed
from app.config import is_loopback
from app.feed.change import Filter
from app.feed.subscription import Subscription
from app.monitoring.figures import REQUESTS_DENIED
from app.postgres.tables import db
from app.rest.origin import is_from_elsewhere
from app.rest.problems import ProblemError
from app.rest.proxies import IS_FORWARDED, IS_TRUSTED
from app.rest.reach import Reach, set_reach
from app.rest.takes import Takes, taken_by

log = logging.getLogger(__name__)

COOKIE = "people_feed"
_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
_STATUS: dict[Reason, int] = {
    "login_required": 401,
    "access_ended": 401,
    "setup_required": 401,
    "forwarded": 403,
    "unknown": 503,
}
_ADDRESSES = 10_000
_TELL_SECONDS = 60.0
# An answer of a change to many rows is short, and says which rows those were.
_ANSWER_BYTES = 300


def register_guard(app: Flask) -> None:
    """Guard all endpoints of the app, and end streams when what let them in ends."""
    access: Access = app.extensions["access"]
    feed = app.extensions["feed"]
    access.register.on_change = lambda lost: feed.expel(partial(_is_over, access, lost))
    app.before_request(_guard)
    app.after_request(_note)
    app.after_request(_keep_private)


def current_credential() -> Credential:
    """Who makes this request; everyone where nobody has to say."""
    credential: Credential = g.get("credential", EVERYONE)
    return credential


def identify(*, is_stream: bool = False) -> Credential:
    """Who makes this request.

    Raises:
        ProblemError: 401, nobody who is known; 403, a proxy has forwarded it; 429, too many unknown keys; 503, the
            database has not been read yet.
    """
    access, shown = current_access(), _shown(is_stream)
    try:
        return access.admit(shown)
    except Denied as denied:
        if denied.reason not in ("unknown", "access_ended", "setup_required"):
            raise _refusal(denied) from None
        is_guess = denied.reason == "access_ended" and "Authorization" in request.headers
        if is_guess:
            _Guesses.refuse(_address())
    # Another worker may have made it, or the first user, just now.
    try:
        access.register.refresh()
        return access.admit(shown)
    except psycopg2.Error as error:
        log.warning("who may be let in cannot be read: %s", str(error).strip())
        raise _refusal(Denied("unknown")) from error
    except Denied as denied:
        if is_guess:
            _Guesses.count(_address())
        raise _refusal(denied) from None


def cookie_name() -> str:
    """The cookie's name: browsers keep one that begins so from being set by others, which takes TLS."""
    return f"__Host-{COOKIE}" if request.is_secure else COOKIE


def refuse(status: int, reason: str, detail: str, **members: Any) -> ProblemError:  # noqa: ANN401 - JSON
    """The refusal of a request, for a reason that programs can tell apart."""
    _Refusals.tell(reason)
    REQUESTS_DENIED.labels(reason).inc()
    return ProblemError(status, detail, members={"reason": reason, **members})


def demand(credential: Credential, needed: Takes) -> None:
    """Let the credential do what takes this.

    Raises:
        ProblemError: 403, it may not.
    """
    if needed.scopes and needed.scopes.isdisjoint(credential.scopes):
        least = min(needed.scopes, key=lambda scope: (len(INCLUDED[scope]), scope))  # type: ignore[index]
        raise refuse(403, "not_allowed", f"This takes the scope {' or '.join(sorted(needed.scopes))}.", scope=least)
    if credential.session_ids is not None and not _is_within(credential, needed):
        raise refuse(403, "not_allowed", "This key is restricted to some sessions: name one of them by session_id.")


def _guard() -> None:
    view = current_app.view_functions.get(request.endpoint or "")
    if view is None or request.method == "OPTIONS":
        return  # nothing runs: 404, 405, or what CORS says
    needed = taken_by(view)
    if needed is None:
        raise refuse(403, "not_allowed", "Nobody may use this: it does not say what it takes.")
    if not needed.scopes:
        if not needed.before_setup and current_access().state == "set-up":
            raise _refusal(Denied("setup_required"))
        return
    try:
        credential = identify(is_stream=needed.is_stream)
    except ProblemError as problem:
        if needed.is_stream and problem.members.get("reason") == "unknown":
            g.owner = _shown(is_stream=True)  # judged as soon as anybody can be
            return
        raise
    demand(credential, needed)
    g.credential = g.owner = credential
    set_reach(_reach(credential))
    if not needed.is_stream and credential.user_id and credential.kind == "login" and credential.is_due_for_renewal():
        with db.engine.begin() as connection:
            logins.renew_login(connection, credential.id)
    # What was read meanwhile may have ended it; from here to the view, and to a stream's place in the hub, nothing
    # yields.
    if not credential.is_valid:
        raise _refusal(Denied("access_ended"))


def _shown(is_stream: bool) -> Shown:
    environ = request.environ
    is_forwarded = bool(environ.get(IS_FORWARDED)) and not environ.get(IS_TRUSTED)
    is_ours = not is_from_elsewhere()
    host = request.host.rpartition(":")[0] if request.host.rpartition(":")[2].isdigit() else request.host
    is_local = is_ours and not environ.get(IS_FORWARDED) and is_loopback(_address()) and is_loopback(host.strip("[]"))
    shown = partial(Shown, is_local=is_local, is_forwarded=is_forwarded)
    if "Authorization" in request.headers:
        return shown(token=digest(_authorization()))
    if is_stream and "ticket" in request.args:
        return shown(credential=_bearer_of_ticket())
    if not is_ours:  # other origins send a key
        return shown()
    header = current_feed().config.user_header
    if header and environ.get(IS_TRUSTED) and (username := request.headers.get(header)):
        return shown(username=username)
    token = request.cookies.get(cookie_name())
    return shown(token=digest(token[:MAX_LENGTH])) if token else shown()


def _authorization() -> str:
    """The key: by Bearer, or as the password of Basic, which cameras know. Empty, and so unknown, if it is neither."""
    scheme, _, value = request.headers["Authorization"].partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()[:MAX_LENGTH]
    if scheme.lower() == "basic":
        try:
            return b64decode(value).decode().partition(":")[2][:MAX_LENGTH]
        except ValueError:
            return ""
    return ""


def _bearer_of_ticket() -> tuple[str, str]:
    try:
        return bearer_of(current_access().secret, request.args["ticket"][:2000], stream_of_request())
    except BadTicket:
        return "none", ""


def stream_of_request() -> dict[str, Any]:
    """What the request for a stream asks for, in the words of a ticket."""
    topics = request.path.rpartition("/")[2]
    if topics == "sse":
        topics = request.args.get("topics", "")
    return {
        "topics": sorted(topics.split(",")) if topics else [],
        "session_id": request.args.get("session_id"),
        "resolved": request.args.get("resolved"),
    }


def _is_within(credential: Credential, needed: Takes) -> bool:
    asked = {"query": request.args.get("session_id"), "path": (request.view_args or {}).get("id")}
    if needed.within in asked:
        return _has_session(credential, asked[needed.within])
    return needed.within == "rows"


def _has_session(credential: Credential, session_id: str | None) -> bool:
    try:
        wanted = str(UUID(session_id))
    except (ValueError, TypeError):
        return False
    if wanted not in (credential.session_ids or ()):
        current_access().register.refresh()  # the key may have made it just now
    return wanted in (credential.session_ids or ())


def _reach(credential: Credential) -> Reach:
    masks = "admin" not in credential.scopes
    if credential.session_ids is None:
        return Reach(masks=masks)
    key_id = credential.key_id
    assert key_id is not None  # users are not restricted
    made: Select[Any] = select(column("session_id", Uuid)).select_from(table("access_key_sessions"))

    def claim(connection: Connection, session_id: UUID) -> None:
        keys.add_session(connection, key_id, session_id)

    return Reach(made.where(column("key_id") == key_id), claim, masks, owner=key_id)


def _is_over(access: Access, lost: frozenset[Credential], subscription: Subscription) -> bool:
    """Whether a stream has to end; one that waits to be judged is judged now."""
    owner = subscription.owner
    if not isinstance(owner, Shown):
        # Where everyone is let in, users that come change nothing.
        return owner in lost and (owner is not EVERYONE or access.state != "open")
    try:
        credential = access.admit(owner)
    except Denied:
        return True
    subscription.owner = credential
    return not may_hear(credential, subscription.filter)


def may_hear(credential: Credential, wanted: Filter) -> bool:
    """Whether a stream with this filter is for the credential."""
    if "read" not in credential.scopes:
        return False
    return credential.session_ids is None or wanted.session_id in credential.session_ids


def _refusal(denied: Denied) -> ProblemError:
    status = _STATUS[denied.reason]
    other = {"oidc": True} if status == 401 and current_feed().config.oidc_issuer else {}
    problem = refuse(status, denied.reason, str(denied), **other)
    if status == 401:
        # Browsers would ask for a password by themselves; cameras wait to be asked.
        is_browser = "Sec-Fetch-Mode" in request.headers or "Mozilla" in request.headers.get("User-Agent", "")
        basic = "" if is_browser else ', Basic realm="people-feed", charset="UTF-8"'
        problem.headers = {"WWW-Authenticate": f'Bearer realm="people-feed"{basic}'}
    elif status == 503:
        problem.headers = {"Retry-After": "2"}
    return problem


def _address() -> str:
    return request.remote_addr or ""


def _note(response: Response) -> Response:
    """Enter what operators and administrators do into the audit log, unless the view has done so itself."""
    credential: Credential | None = g.get("credential")
    if credential in (None, EVERYONE) or request.method in _SAFE_METHODS or response.status_code >= 400:
        return response
    assert credential is not None
    needed = taken_by(current_app.view_functions.get(request.endpoint or ""))
    # Cameras write all day long, and what they write is its own record.
    is_writing = (
        needed is not None
        and "ingest" in needed.scopes
        and (credential.scope == "ingest" or needed.scopes == {"ingest"})
    )
    if is_writing or g.get("is_audited"):
        return response
    arguments = request.view_args or {}
    made = response.headers.get("Location", "").rpartition("/")[2]
    details: dict[str, Any] = {"status": response.status_code}
    if not arguments and not made and not response.is_streamed and len(response.get_data()) <= _ANSWER_BYTES:
        details["answer"] = response.get_data(as_text=True)
    rule = str(request.url_rule).replace("<row:id>", "{id}")
    with db.engine.begin() as connection:
        audit.add_entry(
            connection,
            credential.actor,
            _address(),
            f"{request.method} {rule}",
            str(arguments.get("id", made)),
            **details,
        )
    return response


def _keep_private(response: Response) -> Response:
    """What was answered to somebody is nobody else's: shared caches keep none of it."""
    if g.get("credential", EVERYONE) is not EVERYONE:
        if not response.headers.get("Cache-Control"):
            response.headers["Cache-Control"] = "no-store"
        response.vary.update(("Cookie", "Authorization"))
    return response


class _Refusals:
    """Refusals in the server's log: the first of each kind from an address in a minute, so that nobody can fill it."""

    told: dict[tuple[str, str], float] = {}  # noqa: RUF012 - a worker's, for its life

    @classmethod
    def tell(cls, reason: str) -> None:
        now, kind = time.monotonic(), (_address(), reason)
        if cls.told.get(kind, 0.0) > now:
            return
        if len(cls.told) > _ADDRESSES:
            cls.told.clear()
        cls.told[kind] = now + _TELL_SECONDS
        log.warning("refused %s %r from %s: %s", request.method, request.path[:200], *kind)


class _Guesses:
    """Addresses that have shown unknown keys, and until when they are not looked at again. The counts are in the
    database."""

    until: dict[str, float] = {}  # noqa: RUF012 - a worker's, for its life

    @classmethod
    def refuse(cls, address: str) -> None:
        seconds = cls.until.get(address, 0.0) - time.monotonic()
        if seconds > 0:
            raise ProblemError(
                429,
                "Too many unknown keys came from your address; try again later.",
                headers={"Retry-After": str(math.ceil(seconds))},
                members={"reason": "access_ended"},
            )

    @classmethod
    def count(cls, address: str) -> None:
        with db.engine.begin() as connection:
            seconds = failures.count(connection, "key", address)
        if len(cls.until) > _ADDRESSES:
            cls.until.clear()
        cls.until[address] = time.monotonic() + seconds
