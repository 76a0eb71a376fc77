"""Users, keys, tickets and the audit log: how administrators let others in, and see what was done."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from flask import Response, g, jsonify, request
from pydantic import AfterValidator, Field, WithJsonSchema, model_validator
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from app.access import audit, keys, users
from app.access.scope import Role, Scope
from app.access.tickets import SECONDS, new_ticket
from app.api.current import current_access
from app.api.guard import current_credential, may_hear, refuse
from app.api.login import NewSecret, Username, accepted, plain
from app.api.subscribe import TopicsQuery, filter_of
from app.postgres.tables import db
from app.rest.document import Endpoints
from app.rest.problems import FieldError, ProblemError
from app.rest.resource import problem_response
from app.rest.schema import Described, Id, Strict, Time, absent
from app.rest.takes import takes
from app.rest.validation import ById, reads

api = Endpoints(
    "admin",
    "/api",
    tag="access",
    about="Who is let in.",
    responses={status: problem_response() for status in (400, 401, 403, 429, 500, 503)},
)
_ADMIN = takes("admin")
_WRONG = {status: problem_response() for status in (409, 413, 415, 422)}
_GONE = {204: None, 404: problem_response(), 409: problem_response()}
MAX_SESSIONS = 1000
_ENTRY = "^[0-9]{1,18}$"


def _not_over(value: datetime) -> datetime:
    if value <= datetime.now(UTC):
        raise ValueError("should be in the future")
    return value


OptionalRole = Annotated[Role | None, WithJsonSchema({"type": "string", "enum": ["viewer", "operator", "admin"]})]
OptionalSecret = Annotated[NewSecret | None, WithJsonSchema({"type": "string", "minLength": 12, "maxLength": 256})]
OptionalFlag = Annotated[bool | None, WithJsonSchema({"type": "boolean"})]
Expiry = Annotated[Time, AfterValidator(_not_over)]


class _Given(Strict):
    """What is not given is left out: nothing is null."""

    @model_validator(mode="before")
    @classmethod
    def _no_nulls(cls, given: Any) -> Any:  # noqa: ANN401 - whatever JSON holds
        if isinstance(given, dict) and None in given.values():
            raise ValueError("may hold no null: leave out what is not given")
        return given


class NewUser(Strict):
    """Somebody who may sign in."""

    username: Username
    role: Literal["viewer", "operator", "admin"]
    password: NewSecret


class UserChange(_Given):
    """What is to change; a new password and disabling end the user's logins."""

    role: OptionalRole = Field(default_factory=absent)
    password: OptionalSecret = Field(default_factory=absent)
    is_disabled: OptionalFlag = Field(default_factory=absent)


class NewKey(_Given):
    """A key. An ingest key reaches the sessions that it makes, and these."""

    name: Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00]*$")]
    scope: Literal["read", "ingest", "operate", "metrics", "admin"]
    session_ids: list[Id] = Field(
        default_factory=list, max_length=MAX_SESSIONS, description="Only these; all if empty."
    )
    expires_at: Annotated[Expiry | None, WithJsonSchema({"type": "string", "format": "date-time"})] = Field(
        default_factory=absent
    )


class User(Described):
    """Somebody who may sign in."""

    id: UUID
    username: str
    role: Literal["viewer", "operator", "admin"]
    is_disabled: bool
    has_password: bool
    created_at: datetime
    seen_at: datetime | None


class Users(Described):
    """All users, by name."""

    items: list[User]


class Key(Described):
    """A key, without what it is shown as."""

    id: str
    name: str
    scope: Literal["read", "ingest", "operate", "metrics", "admin"]
    is_restricted: bool
    session_ids: list[UUID]
    created_at: datetime
    created_by: str | None
    expires_at: datetime | None
    revoked_at: datetime | None


class MadeKey(Key):
    """A key that was just made."""

    key: str = Field(description="Shown once.")


class Keys(Described):
    """All keys, the newest first, those that were revoked last."""

    items: list[Key]


class AuditEntry(Described):
    """Who did what to which row from where."""

    id: str
    at: datetime
    actor: str
    address: str
    action: str
    subject: str
    details: dict[str, Any]


class AuditLog(Described):
    """Entries, the newest first."""

    items: list[AuditEntry]
    next: str | None


class Ticket(Described):
    """A ticket for one stream."""

    ticket: str
    expires_at: datetime


class NewTicket(TopicsQuery, _Given):
    """The stream that the ticket is for, in the words of its query."""


class KeyPath(Strict):
    """The path of a key."""

    id: str = Field(pattern="^[a-z0-9]{8}$")


class AuditQuery(Strict):
    """Which entries of the audit log."""

    limit: int = Field(default=100, ge=1, le=1000)
    before: Annotated[str | None, WithJsonSchema({"type": "string", "pattern": _ENTRY})] = Field(
        default_factory=absent, pattern=_ENTRY, description="Those before this one: `next` of an answer."
    )


@api.get("/users", _ADMIN, summary="All users", responses={200: Users})
@reads()
def list_users() -> Response:
    with db.engine.connect() as connection:
        return jsonify(items=[plain(row) for row in users.list_users(connection)])


@api.post("/users", _ADMIN, summary="Add a user", responses={201: User, **_WRONG})
@reads(body=NewUser)
def create_user(body: NewUser) -> Response:
    password_hash = accepted("password", body.password, body.username)
    try:
        with db.engine.begin() as connection:
            user = users.create_user(connection, body.username, body.role, password_hash)
            _enter(connection, "add user", str(user["id"]), username=body.username, role=body.role)
    except IntegrityError:
        taken = FieldError(field="username", message="is taken already")
        raise ProblemError(409, "The user name is taken already.", [taken]) from None
    response = jsonify(plain(user))
    response.status_code = 201
    return response


@api.patch("/users/<row:id>", _ADMIN, summary="Change a user", responses={200: User, 404: problem_response(), **_WRONG})
@reads(path=ById, body=UserChange)
def change_user(path: ById, body: UserChange) -> Response:
    password_hash = None
    if body.password is not None:
        with db.engine.connect() as connection:
            known = _existing(users.read_user(connection, path.id), path.id)
        password_hash = accepted("password", body.password, known["username"])
    try:
        with db.engine.begin() as connection:
            user = users.change_user(
                connection, path.id, role=body.role, password_hash=password_hash, is_disabled=body.is_disabled
            )
            changed = {
                **body.model_dump(exclude_unset=True, exclude={"password"}),
                "password": body.password is not None,
            }
            _enter(connection, "change user", str(path.id), **changed)
            _existing(user, path.id)
    except IntegrityError as error:
        raise _no_administrator() from error
    current_access().register.refresh()
    return jsonify(plain(_existing(user, path.id)))


@api.delete("/users/<row:id>", _ADMIN, summary="Remove a user", responses=_GONE)
@reads(path=ById)
def delete_user(path: ById) -> Response:
    """Their logins end. The keys that they made stay."""
    try:
        with db.engine.begin() as connection:
            name = _existing(users.end_user(connection, path.id), path.id)
            _enter(connection, "remove user", str(path.id), username=name)
    except IntegrityError as error:
        raise _no_administrator() from error
    current_access().register.refresh()
    return Response(status=204)


@api.get("/keys", _ADMIN, summary="All keys", responses={200: Keys})
@reads()
def list_keys() -> Response:
    with db.engine.connect() as connection:
        return jsonify(items=[_key(row) for row in keys.list_keys(connection)])


@api.post("/keys", _ADMIN, summary="Make a key", responses={201: MadeKey, **_WRONG})
@reads(body=NewKey)
def create_key(body: NewKey) -> Response:
    """The answer holds the key, which cannot be read again."""
    scope: Scope = body.scope
    try:
        with db.engine.begin() as connection:
            key, row = keys.create_key(
                connection, body.name, scope, session_ids=body.session_ids, expires_at=body.expires_at,
                created_by=current_credential().name,
            )  # fmt: skip
            _enter(connection, "add key", row["id"], name=body.name, scope=scope, session_ids=_key(row)["session_ids"])
    except IntegrityError:
        unknown = FieldError(field="session_ids", message="does not exist")
        raise ProblemError(409, "A session does not exist.", [unknown]) from None
    current_access().register.refresh()
    response = jsonify({**_key(row), "key": key})
    response.status_code = 201
    response.headers["Cache-Control"] = "no-store"
    return response


@api.delete("/keys/<id>", _ADMIN, summary="Revoke a key", responses=_GONE)
@reads(path=KeyPath)
def revoke_key(path: KeyPath) -> Response:
    with db.engine.begin() as connection:
        name = keys.revoke_key(connection, path.id)
        if name is None:
            raise ProblemError(404, f"There is no valid key with the id {path.id}.")
        _enter(connection, "revoke key", path.id, name=name)
    current_access().register.refresh()
    return Response(status=204)


@api.get("/audit", _ADMIN, summary="Who did what, the newest first", responses={200: AuditLog})
@reads(query=AuditQuery)
def list_audit(query: AuditQuery) -> Response:
    with db.engine.connect() as connection:
        found = audit.list_entries(connection, query.limit + 1, int(query.before) if query.before else None)
    shown = found[: query.limit]
    return jsonify(items=[plain(row) for row in shown], next=shown[-1]["id"] if len(found) > query.limit else None)


@api.post(
    "/tickets",
    takes("read", within="rows"),
    summary="A ticket for one stream, good for a minute",
    responses={200: Ticket, **_WRONG},
)
@reads(body=NewTicket)
def create_ticket(body: NewTicket) -> Response:
    """For a plain EventSource of another origin, as `ticket=` beside the same topics, session_id and resolved."""
    credential, wanted = current_credential(), filter_of(body)
    if not may_hear(credential, wanted):
        raise refuse(403, "not_allowed", "This key is restricted to some sessions: name one of them by session_id.")
    given = body.model_dump(mode="json", exclude_unset=True)
    stream = {
        "topics": sorted(given["topics"].split(",")) if "topics" in given else [],
        "session_id": given.get("session_id"),
        "resolved": None if given.get("resolved") is None else str(given["resolved"]).lower(),
    }
    ticket = new_ticket(current_access().secret, credential.kind, credential.id, stream)
    expires_at = datetime.fromtimestamp(datetime.now(UTC).timestamp() + SECONDS, UTC)
    g.is_audited = True
    response = jsonify(ticket=ticket, expires_at=expires_at.isoformat(timespec="seconds"))
    response.headers["Cache-Control"] = "no-store"
    return response


def _enter(connection: Connection, action: str, subject: str, **details: Any) -> None:  # noqa: ANN401 - JSON
    audit.add_entry(connection, current_credential().actor, request.remote_addr or "", action, subject, **details)
    g.is_audited = True


def _key(row: dict[str, Any]) -> dict[str, Any]:
    return {**plain(row), "session_ids": [str(session_id) for session_id in row["session_ids"]]}


def _existing(found: Any, user_id: UUID) -> Any:  # noqa: ANN401 - whatever was looked for
    if found is None:
        raise ProblemError(404, f"There is no user with the id {user_id}.")
    return found


def _no_administrator() -> ProblemError:
    return ProblemError(409, "There would be no administrator left: make another user one first.")
