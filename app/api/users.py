"""Users: how administrators let people in."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from flask import Response, jsonify
from pydantic import ConfigDict, Field, WithJsonSchema
from sqlalchemy.exc import IntegrityError

from app.access import users
from app.access.scope import Role
from app.api.audit import enter
from app.api.current import current_access
from app.api.login import NewSecret, Username, accepted, plain
from app.postgres.tables import db
from app.rest.document import Endpoints
from app.rest.problems import FieldError, ProblemError
from app.rest.resource import problem_response
from app.rest.schema import Described, Given, Strict, absent
from app.rest.takes import takes
from app.rest.validation import ById, reads

api = Endpoints(
    "users",
    "/api",
    tag="access",
    about="Who is let in.",
    responses={status: problem_response() for status in (400, 401, 403, 429, 500, 503)},
)
_ADMIN = takes("admin")
_WRONG = {status: problem_response() for status in (409, 413, 415, 422)}
_GONE = {204: None, 404: problem_response(), 409: problem_response()}
OptionalRole = Annotated[Role | None, WithJsonSchema({"type": "string", "enum": ["viewer", "operator", "admin"]})]
OptionalSecret = Annotated[NewSecret | None, WithJsonSchema({"type": "string", "minLength": 12, "maxLength": 256})]
OptionalFlag = Annotated[bool | None, WithJsonSchema({"type": "boolean"})]


class NewUser(Strict):
    """Somebody who may sign in."""

    username: Username
    role: Literal["viewer", "operator", "admin"]
    password: NewSecret


class UserChange(Given):
    """What is to change; a new password and disabling end the user's logins."""

    model_config = ConfigDict(json_schema_extra={"example": {"role": "operator"}})

    role: OptionalRole = Field(default_factory=absent)
    password: OptionalSecret = Field(default_factory=absent)
    is_disabled: OptionalFlag = Field(default_factory=absent)


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


@api.get("/users", _ADMIN, "listUsers", summary="All users", responses={200: Users})
@reads()
def list_users() -> Response:
    with db.engine.connect() as connection:
        return jsonify(items=[plain(row) for row in users.list_users(connection)])


@api.post("/users", _ADMIN, "createUser", summary="Add a user", responses={201: User, **_WRONG})
@reads(body=NewUser)
def create_user(body: NewUser) -> Response:
    password_hash = accepted("password", body.password, body.username)
    try:
        with db.engine.begin() as connection:
            user = users.create_user(connection, body.username, body.role, password_hash)
            enter(connection, "add user", str(user["id"]), username=body.username, role=body.role)
    except IntegrityError:
        taken = FieldError(field="username", message="is taken already")
        raise ProblemError(409, "The user name is taken already.", [taken]) from None
    response = jsonify(plain(user))
    response.status_code = 201
    return response


@api.patch(
    "/users/<row:id>",
    _ADMIN,
    "changeUser",
    summary="Change a user",
    responses={200: User, 404: problem_response(), **_WRONG},
)
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
            enter(connection, "change user", str(path.id), **changed)
            _existing(user, path.id)
    except IntegrityError as error:
        raise _no_administrator() from error
    current_access().register.refresh()
    return jsonify(plain(_existing(user, path.id)))


@api.delete("/users/<row:id>", _ADMIN, "deleteUser", summary="Remove a user", responses=_GONE)
@reads(path=ById)
def delete_user(path: ById) -> Response:
    """Their logins end. The keys that they made stay."""
    try:
        with db.engine.begin() as connection:
            name = _existing(users.end_user(connection, path.id), path.id)
            enter(connection, "remove user", str(path.id), username=name)
    except IntegrityError as error:
        raise _no_administrator() from error
    current_access().register.refresh()
    return Response(status=204)


def _existing(found: Any, user_id: UUID) -> Any:  # noqa: ANN401 - whatever was looked for
    if found is None:
        raise ProblemError(404, f"There is no user with the id {user_id}.")
    return found


def _no_administrator() -> ProblemError:
    return ProblemError(409, "There would be no administrator left: make another user one first.")
