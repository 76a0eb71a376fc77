"""Login: how people sign in and out, the set-up, and what they may know and change of themselves."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar
from uuid import UUID

from flask import Response, g, jsonify, request
from pydantic import AfterValidator, ConfigDict, Field, model_validator
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from app.access import audit, failures, logins, passwords, setup, users
from app.access.credential import Credential
from app.access.scope import SCOPES
from app.access.token import MAX_LENGTH, digest
from app.api.current import current_access
from app.api.guard import cookie_name, current_credential, identify, refuse
from app.monitoring.figures import LOGINS
from app.postgres.tables import db
from app.rest.document import BY_LOGIN, Endpoints
from app.rest.problems import FieldError, ProblemError
from app.rest.resource import problem_response
from app.rest.schema import Described, Strict
from app.rest.takes import ALWAYS, NOTHING, takes
from app.rest.validation import ById, reads, refused

log = logging.getLogger(__name__)
T = TypeVar("T")
api = Endpoints(
    "access",
    "/api",
    tag="access",
    about="Who is let in.",
    responses={status: problem_response() for status in (400, 401, 403, 413, 415, 422, 429, 500, 503)},
)

_ANYONE_KNOWN = takes(*SCOPES, within="rows")
_TEXT = {"anyOf": [{"type": "string"}, {"type": "null"}]}
_ME: dict[str, Any] = {
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["access", "name", "role", "scopes", "login_id", "expires_at"],
                "properties": {
                    "access": {"type": "string", "enum": ["open", "local", "user", "key"]},
                    "name": _TEXT,
                    "role": _TEXT,
                    "scopes": {"type": "array", "items": {"type": "string"}},
                    "session_ids": {"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "null"}]},
                    "login_id": _TEXT,
                    "expires_at": _TEXT,
                },
            }
        }
    }
}


def _no_nul(value: str) -> str:
    if "\x00" in value:
        raise ValueError("may not contain NUL characters")
    return value


Secret = Annotated[str, Field(max_length=passwords.MOST), AfterValidator(_no_nul)]
NewSecret = Annotated[Secret, Field(min_length=passwords.LEAST)]
Username = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@+-]{0,99}$")]


class Credentials(Strict):
    """A user's name and password; or a key, for a screen that nobody signs in at."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [
                {"required": ["username", "password"], "not": {"required": ["key"]}},
                {"required": ["key"], "not": {"anyOf": [{"required": ["username"]}, {"required": ["password"]}]}},
            ]
        }
    )

    username: Annotated[str, Field(max_length=100), AfterValidator(_no_nul)] = ""
    password: Secret = ""
    key: Annotated[str, Field(max_length=MAX_LENGTH)] = ""

    @model_validator(mode="after")
    def _one_of_both(self) -> Credentials:
        if self.model_fields_set not in ({"username", "password"}, {"key"}):
            raise ValueError('should be {"username": …, "password": …}, or {"key": …}')
        return self


class FirstUser(Strict):
    """The first administrator, and the token that was printed at the start."""

    token: Annotated[str, Field(max_length=MAX_LENGTH)]
    username: Username
    password: NewSecret


class NewPassword(Strict):
    """The password that is, and the one that is to be."""

    old_password: Secret
    new_password: NewSecret


class OneLogin(Described):
    """A browser that one has signed in with."""

    id: UUID
    created_at: datetime
    seen_at: datetime
    expires_at: datetime
    address: str
    user_agent: str
    is_current: bool


class Logins(Described):
    """One's own logins, those used last first."""

    items: list[OneLogin]


@api.get("/me", ALWAYS, "readMe", summary="Who am I, and what may I do?", responses={200: _ME})
@reads()
def me() -> Response:
    return _me(identify())


@api.post("/login", NOTHING, "signIn", summary="Sign in", responses={200: _ME})
@reads(body=Credentials)
def login(body: Credentials) -> Response:
    """Sets a cookie. A wrong password costs time: the account's and the address's next try has to wait."""
    if body.key:
        return _login_with_key(body.key)
    address = request.remote_addr or ""
    with db.engine.begin() as connection:
        user = users.user_of_name(connection, body.username)
        # The name as it was given: the database's idea of lower case is not Python's, and each spelling would be an
        # account of its own.
        account = (user["username"] if user else body.username).lower()
        _count_try(connection, user, account, address)
    password_hash = user["password_hash"] if user and not user["is_disabled"] else None
    if not _hash(passwords.is_right, body.password, password_hash) or user is None:
        log.warning("a login of %r from %s failed", account, address)
        LOGINS.labels("wrong").inc()
        raise refuse(401, "wrong_credentials", "The user name or the password is wrong.")
    with db.engine.begin() as connection:
        failures.forgive(connection, "address", address)  # in the order in which they were counted
        failures.forgive(connection, "account", account)
        token = new_login(connection, f"user {user['username']}", user_id=user["id"])
    return _signed_in(token)


@api.post("/logout", NOTHING, "signOut", summary="Sign out", responses={204: None})
@reads()
def logout() -> Response:
    name = cookie_name()
    if token := request.cookies.get(name):
        found = current_access().register.by_token(digest(token[:MAX_LENGTH]))
        if found is not None and found.kind == "login":
            with db.engine.begin() as connection:
                logins.end_login(connection, found.id)
                audit.add_entry(connection, found.actor, request.remote_addr or "", "logout")
            current_access().register.refresh()
    response = Response(status=204)
    response.delete_cookie(name, path=_cookie_path(), secure=request.is_secure, httponly=True, samesite="Lax")
    return response


@api.post(
    "/setup", ALWAYS, "setUp", summary="Make the first administrator", responses={201: _ME, 409: problem_response()}
)
@reads(body=FirstUser)
def set_up(body: FirstUser) -> Response:
    """With the token that was printed at the start; once, and only while there is no user."""
    address = request.remote_addr or ""
    with db.engine.begin() as connection:
        _wait_turn(connection, "address", address)
        failures.count(connection, "address", address)
    password_hash = accepted("password", body.password, body.username)
    try:
        with db.engine.begin() as connection:
            if setup.has_users(connection):
                raise refuse(409, "not_allowed", "There is an administrator already: sign in.")
            user = setup.create_first(connection, body.token, body.username, password_hash)
            failures.forgive(connection, "address", address)
            audit.add_entry(connection, f"user {body.username}", address, "set up", str(user["id"]), role="admin")
            token = new_login(connection, f"user {body.username}", user_id=user["id"])
    except setup.WrongToken:
        raise refuse(403, "wrong_credentials", "This is not the token that the feed has printed last.") from None
    except IntegrityError:
        raise refuse(409, "not_allowed", "There is an administrator already: sign in.") from None
    return _signed_in(token, 201)


@api.post(
    "/password",
    _ANYONE_KNOWN,
    "changeOwnPassword",
    security=BY_LOGIN,
    summary="Change one's own password",
    responses={204: None},
)
@reads(body=NewPassword)
def change_password(body: NewPassword) -> Response:
    """All other logins of the user end."""
    credential, address = _signed_in_user(), request.remote_addr or ""
    assert credential.name is not None
    with db.engine.begin() as connection:
        user = users.user_of_name(connection, credential.name)
        _count_try(connection, user, credential.name.lower(), address)
    if user is None or not _hash(passwords.is_right, body.old_password, user["password_hash"]):
        raise refuse(403, "wrong_credentials", "The old password is wrong.")
    password_hash = accepted("new_password", body.new_password, credential.name)
    with db.engine.begin() as connection:
        failures.forgive(connection, "address", address)
        failures.forgive(connection, "account", credential.name.lower())
        users.change_user(connection, user["id"], password_hash=password_hash, kept_login=credential.id)
        audit.add_entry(connection, credential.actor, address, "change password", str(user["id"]))
    g.is_audited = True
    current_access().register.refresh()
    return Response(status=204)


@api.get(
    "/logins", _ANYONE_KNOWN, "listOwnLogins", security=BY_LOGIN, summary="One's own logins", responses={200: Logins}
)
@reads()
def list_logins() -> Response:
    credential = _signed_in_user()
    with db.engine.connect() as connection:
        found = logins.list_logins(connection, credential.user_id or "")
    return jsonify(items=[{**plain(row), "is_current": str(row["id"]) == credential.id} for row in found])


@api.delete(
    "/logins/<row:id>",
    _ANYONE_KNOWN,
    "endOwnLogin",
    security=BY_LOGIN,
    summary="End one of one's own logins",
    responses={204: None, 404: problem_response()},
)
@reads(path=ById)
def end_login(path: ById) -> Response:
    credential = _signed_in_user()
    with db.engine.begin() as connection:
        if not logins.end_login(connection, str(path.id), credential.user_id):
            raise ProblemError(404, f"You have no login with the id {path.id}.")
        audit.add_entry(connection, credential.actor, request.remote_addr or "", "end login", str(path.id))
    g.is_audited = True
    current_access().register.refresh()
    return Response(status=204)


def accepted(field: str, password: str, *about: str) -> str:
    """The hash of a password, if it is accepted.

    Raises:
        ProblemError: 422, why not.
    """
    if wrong := _hash(passwords.objection, password, *about):
        raise refused(422, [FieldError(field=field, message=wrong)])
    return _hash(passwords.hashed, password)


def plain(row: dict[str, Any]) -> dict[str, Any]:
    """A row for JSON: ids and times as text."""
    return {
        name: value.isoformat() if hasattr(value, "isoformat") else str(value) if isinstance(value, UUID) else value
        for name, value in row.items()
    }


def _login_with_key(key: str) -> Response:
    address, register = request.remote_addr or "", current_access().register
    found = register.by_token(digest(key))
    if found is None:  # only those who guess wait
        with db.engine.begin() as connection:
            _wait_turn(connection, "key", address)
        register.refresh()
        found = register.by_token(digest(key))
    if found is None or found.kind != "key":
        with db.engine.begin() as connection:
            failures.count(connection, "key", address)
        LOGINS.labels("wrong").inc()
        raise refuse(401, "wrong_credentials", "This key is unknown, was revoked or has expired.")
    with db.engine.begin() as connection:
        token = new_login(connection, found.actor, key_id=found.key_id)
    return _signed_in(token)


def new_login(connection: Connection, actor: str, *, user_id: UUID | None = None, key_id: str | None = None) -> str:
    """The token of a new login of a user or a key, which the audit log tells of."""
    address, agent = request.remote_addr or "", request.headers.get("User-Agent", "")
    token, login_id = logins.create_login(connection, user_id=user_id, key_id=key_id, address=address, user_agent=agent)
    LOGINS.labels("right").inc()
    audit.add_entry(connection, actor, address, "login", str(login_id))
    g.is_audited = True
    return token


def _signed_in(token: str, status: int = 200) -> Response:
    """Who has signed in, with the cookie; call it once the login is committed."""
    register = current_access().register
    register.refresh()
    credential = register.by_token(digest(token))
    if credential is None:  # it was ended in the same moment
        raise refuse(401, "access_ended", "The login has ended already.")
    response = _me(credential)
    response.status_code = status
    set_cookie(response, token)
    return response


def set_cookie(response: Response, token: str) -> None:
    """Let the browser keep the token of a login, out of its scripts' reach."""
    response.set_cookie(
        cookie_name(), token, max_age=logins.MOST_DAYS * 86400, path=_cookie_path(),
        secure=request.is_secure, httponly=True, samesite="Lax",
    )  # fmt: skip


def _cookie_path() -> str:
    # The prefix __Host- takes the root.
    return "/" if request.is_secure else request.script_root or "/"


def _me(credential: Credential) -> Response:
    access = {"login": "user", "proxy": "user"}.get(credential.kind, credential.kind)
    if credential.key_id:
        access = "key"
    response = jsonify(
        access=access,
        name=credential.name,
        role=credential.role,
        scopes=[scope for scope in SCOPES if scope in credential.scopes],
        session_ids=None if credential.session_ids is None else sorted(credential.session_ids),
        login_id=credential.id if credential.kind == "login" else None,
        expires_at=None if credential.expires_at is None else _iso(credential.expires_at),
    )
    response.headers["Cache-Control"] = "no-store"
    return response


def _iso(timestamp: float) -> str | None:
    return datetime.fromtimestamp(timestamp, UTC).isoformat(timespec="seconds") if timestamp < 2**33 else None


def _signed_in_user() -> Credential:
    credential = current_credential()
    if credential.user_id is None:
        raise refuse(403, "not_allowed", "This is about somebody who has signed in, with a user name and a password.")
    return credential


def _count_try(connection: Connection, user: dict[str, Any] | None, account: str, address: str) -> None:
    """Count a try before it is looked at; refuse it if the account or the address has to wait."""
    failures.forget(connection)
    _wait_turn(connection, "address", address)
    # Guesses from elsewhere must not keep out the user: not where they are signed in.
    if user is None or not logins.knows_address(connection, user["id"], address):
        _wait_turn(connection, "account", account)
        failures.count(connection, "account", account)
    failures.count(connection, "address", address)


def _wait_turn(connection: Connection, kind: failures.Kind, subject: str) -> None:
    seconds = failures.seconds_to_wait(connection, kind, subject)
    if seconds > 0:
        raise ProblemError(
            429,
            "Too many wrong tries: wait a little.",
            headers={"Retry-After": str(math.ceil(seconds))},
            members={"reason": "wait"},
        )


def _hash(work: Callable[..., T], *arguments: str | None) -> T:
    try:
        return passwords.in_thread(work, *arguments)
    except passwords.Busy:
        raise ProblemError(503, "Too many people sign in at once; try again.", headers={"Retry-After": "2"}) from None
