"""Keys: how administrators let programs in."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from flask import Response, jsonify
from pydantic import AfterValidator, ConfigDict, Field, WithJsonSchema
from sqlalchemy.exc import IntegrityError

from app.access import keys
from app.access.scope import Scope
from app.api.audit import enter
from app.api.current import current_access
from app.api.guard import current_credential
from app.api.login import plain
from app.postgres.tables import db
from app.rest.document import Endpoints
from app.rest.problems import FieldError, ProblemError
from app.rest.resource import problem_response
from app.rest.schema import Described, Given, Id, Strict, Time, absent
from app.rest.takes import takes
from app.rest.validation import reads

api = Endpoints(
    "keys",
    "/api",
    tag="access",
    about="Who is let in.",
    responses={status: problem_response() for status in (400, 401, 403, 429, 500, 503)},
)
_ADMIN = takes("admin")
MAX_SESSIONS = 1000


def _not_over(value: datetime) -> datetime:
    if value <= datetime.now(UTC):
        raise ValueError("should be in the future")
    return value


Expiry = Annotated[Time, AfterValidator(_not_over)]


class NewKey(Given):
    """A key. An ingest key reaches the sessions that it makes, and these."""

    model_config = ConfigDict(json_schema_extra={"example": {"name": "main door", "scope": "ingest"}})

    name: Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00]*$")]
    scope: Literal["read", "ingest", "operate", "metrics", "admin"]
    session_ids: list[Id] = Field(
        default_factory=list, max_length=MAX_SESSIONS, description="Only these; all if empty."
    )
    expires_at: Annotated[Expiry | None, WithJsonSchema({"type": "string", "format": "date-time"})] = Field(
        default_factory=absent
    )


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


class KeyPath(Strict):
    """The path of a key."""

    id: str = Field(pattern="^[a-z0-9]{8}$")


@api.get("/keys", _ADMIN, "listKeys", summary="All keys", responses={200: Keys})
@reads()
def list_keys() -> Response:
    with db.engine.connect() as connection:
        return jsonify(items=[_key(row) for row in keys.list_keys(connection)])


@api.post(
    "/keys",
    _ADMIN,
    "createKey",
    summary="Make a key",
    responses={201: MadeKey, **{status: problem_response() for status in (409, 413, 415, 422)}},
)
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
            enter(connection, "add key", row["id"], name=body.name, scope=scope, session_ids=_key(row)["session_ids"])
    except IntegrityError:
        unknown = FieldError(field="session_ids", message="does not exist")
        raise ProblemError(409, "A session does not exist.", [unknown]) from None
    current_access().register.refresh()
    response = jsonify({**_key(row), "key": key})
    response.status_code = 201
    response.headers["Cache-Control"] = "no-store"
    return response


@api.delete("/keys/<id>", _ADMIN, "revokeKey", summary="Revoke a key", responses={204: None, 404: problem_response()})
@reads(path=KeyPath)
def revoke_key(path: KeyPath) -> Response:
    with db.engine.begin() as connection:
        name = keys.revoke_key(connection, path.id)
        if name is None:
            raise ProblemError(404, f"There is no valid key with the id {path.id}.")
        enter(connection, "revoke key", path.id, name=name)
    current_access().register.refresh()
    return Response(status=204)


def _key(row: dict[str, Any]) -> dict[str, Any]:
    return {**plain(row), "session_ids": [str(session_id) for session_id in row["session_ids"]]}
