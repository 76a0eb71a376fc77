"""Rows: create, read, change and delete one of them, or change many at once.

Invariant: each is one transaction that ends before the response is sent. If-Match is compared while the row is locked,
so of two clients that change the same version one gets 412. Tags are derived from the row's text, and so from every
column.
"""

from __future__ import annotations

from typing import Any, TypeVar
from uuid import UUID

from flask import Response, request
from pydantic import BaseModel
from sqlalchemy import Connection, Delete, Text, Update, cast, delete, func, literal, select, text, update
from sqlalchemy.dialects import postgresql
from werkzeug.http import generate_etag

from app.postgres.tables import db
from app.rest.document import Responses
from app.rest.idempotency import row_id_of_key
from app.rest.problems import FieldError, ProblemError
from app.rest.reach import current_reach
from app.rest.resource import Resource, problem_response
from app.rest.validation import refused

Found = TypeVar("Found")


def create_row(resource: Resource, body: BaseModel) -> Response:
    """Insert the row; omitted fields get the table's defaults. A repeated request gets the row that it created."""
    values = given(resource, body)
    key_id = row_id_of_key(resource.name)
    if key_id:
        values.setdefault("id", key_id)
    statement = postgresql.insert(resource.table).values(values)
    if (key_id or resource.ingest) and "id" in values:
        statement = statement.on_conflict_do_nothing(index_elements=["id"])
    with db.engine.begin() as connection:
        _refuse_beyond(connection, resource, values, is_new=True)
        found = connection.execute(statement.returning(resource.row(), resource.table.c.id)).one_or_none()
        if found is None:
            return row_response(_repeated(connection, resource, values))
        row, row_id = found
        if resource.session == "id" and (claim := current_reach().claim):
            claim(connection, row_id)
    response = row_response(row, 201)
    response.headers["Location"] = f"{request.script_root}/api/{resource.name}/{row_id}"
    return response


def _repeated(connection: Connection, resource: Resource, values: dict[str, Any]) -> str:
    """The row that has this id already, if it agrees with the body."""
    same = [resource.agrees(name, value) for name, value in values.items()]
    row = connection.execute(select(resource.row()).where(*same, *resource.within)).scalar()
    if row is None:
        taken = FieldError(field="id", message="is taken already")
        raise ProblemError(409, "The id is taken already, by a row that differs from this one.", [taken])
    return row


def read_row(resource: Resource, row_id: UUID) -> str:
    """The row as JSON text.

    Raises:
        ProblemError: 404, there is none.
    """
    with db.engine.connect() as connection:
        wanted = (resource.table.c.id == row_id, *resource.within)
        row = connection.execute(select(resource.row()).where(*wanted)).scalar()
    return _existing(resource, row_id, row)


def change_row(resource: Resource, row_id: UUID, body: BaseModel, values: dict[str, Any]) -> Response:
    """Update the row and return it; an id in the body must be that of the path."""
    if getattr(body, "id", None) not in (None, row_id):
        raise refused(409, [FieldError(field="id", message="is not the id in the path")])
    values = resource.kept({name: value for name, value in values.items() if name != "id"})
    wanted = (resource.table.c.id == row_id, *resource.within)
    statement = update(resource.table).where(*wanted).values(values).returning(resource.row())
    with db.engine.begin() as connection:
        _refuse_beyond(connection, resource, values, is_new=False)
        unchanged = _match(connection, resource, row_id, always=not values)
        row = connection.execute(statement).scalar() if values else unchanged
    return row_response(_existing(resource, row_id, row))


def delete_row(resource: Resource, row_id: UUID) -> Response:
    """Delete the row; a session takes its rows with it."""
    table = resource.table
    with db.engine.begin() as connection:
        _match(connection, resource, row_id)
        wanted = (table.c.id == row_id, *resource.within)
        gone = connection.execute(delete(table).where(*wanted).returning(table.c.id)).scalar()
    _existing(resource, row_id, gone)
    return Response(status=204)


def change_many(statement: Update | Delete, done: str, at: str | None = None) -> Response:
    """Change rows in one transaction: answers how many as ``done``, and the transaction's time as ``at``."""
    changed = statement.returning(literal(1)).cte("changed")
    members: list[Any] = [done, select(func.count()).select_from(changed).scalar_subquery()]
    if at:
        members += [at, func.now()]
    with db.engine.begin() as connection:
        answer: str = connection.execute(select(cast(func.json_build_object(*members), Text))).scalar_one()
    return row_response(answer)


def changed_answers(done: str, at: str | None = None) -> Responses:
    """What ``change_many`` answers, for the OpenAPI document."""
    properties: dict[str, Any] = {done: {"type": "integer", "minimum": 0}}
    if at:
        properties[at] = {"type": "string", "format": "date-time"}
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    return {
        200: {"content": {"application/json": {"schema": schema}}},
        **{status: problem_response() for status in (413, 415, 422)},
    }


def _refuse_beyond(connection: Connection, resource: Resource, values: dict[str, Any], *, is_new: bool) -> None:
    """Let no row be put where the request does not reach: a session there does not exist."""
    sessions = current_reach().sessions
    if sessions is None or resource.session == "id" or not (is_new or resource.session in values):
        return
    session_id, inside = values.get(resource.session), sessions.subquery()
    known = (
        isinstance(session_id, UUID)
        and connection.execute(select(inside.c[0]).where(inside.c[0] == session_id)).first()
    )
    if not known:
        raise refused(409, [FieldError(field=resource.session, message="does not exist")])


def _match(connection: Connection, resource: Resource, row_id: UUID, *, always: bool = False) -> str | None:
    """Lock and read the row if the client requires a certain version.

    Raises:
        ProblemError: 412, the row has another version.
    """
    wanted = request.if_match
    if not (wanted or always):
        return None
    lookup = select(resource.row()).where(resource.table.c.id == row_id, *resource.within)
    row = connection.execute(lookup.with_for_update(of=resource.table)).scalar()
    # Deliberate: a weak tag is enough. Compression, ours or a proxy's, makes tags weak, and equal tags mean equal rows.
    if wanted and not wanted.contains_weak(generate_etag(_existing(resource, row_id, row).encode())):
        raise ProblemError(412, f"The {resource.noun} has changed since you read it; read it again.")
    return row


def given(resource: Resource, body: BaseModel) -> dict[str, Any]:
    """The values in the body, without columns that the database sets."""
    columns = resource.table.c
    return {name: getattr(body, name) for name in body.model_fields_set if not columns[name].info.get("read_only")}


def replacement(resource: Resource, body: BaseModel) -> dict[str, Any]:
    """Values for every column: omitted ones return to their default, but a time set by the database stays."""
    values = given(resource, body)
    for column in resource.table.columns:
        default = str(getattr(column.server_default, "arg", ""))
        if column.name not in values and not column.primary_key and default != "now()":
            values[column.name] = text("default")
    return values


def row_response(row: str, status: int = 200) -> Response:
    """JSON text as a response with a tag, which caches revalidate before reuse."""
    response = Response(row, status, {"Cache-Control": "no-cache"}, mimetype="application/json")
    response.add_etag()
    return response


def conditional(response: Response) -> Response:
    """304 if the client has this response already."""
    response.make_conditional(request)
    return response


def _existing(resource: Resource, row_id: UUID, found: Found | None) -> Found:
    if found is None:
        raise ProblemError(404, f"There is no {resource.noun} with the id {row_id}.")
    return found
