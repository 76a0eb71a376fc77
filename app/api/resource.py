"""Resource: one table as REST: list, create, read, replace, merge, delete.

Invariant: rows leave as PostgreSQL renders them (row_to_json on a connection in UTC), the same text that the triggers
put into the change log, so REST and stream agree by construction; they are joined here and never encoded again. A
list and its cursor are read in one snapshot. Writers never publish: the triggers record what was written.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar
from urllib.parse import urlencode
from uuid import UUID

from flask import Response, request
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from flask_openapi3.types import ResponseDict
from pydantic import BaseModel, Field, create_model
from sqlalchemy import (
    ColumnElement,
    Connection,
    Table,
    Text,
    cast,
    delete,
    func,
    literal_column,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.dialects import postgresql

from app.api.errors import FieldError, ProblemError
from app.api.pages import Order, Place
from app.api.repeats import row_id_of_key
from app.api.requests import ById, reads
from app.api.schema import (
    OptionalString,
    OptionalTime,
    QueryTime,
    Strict,
    String,
    absent,
    new_schema,
    page_schema,
    patch_schema,
    row_schema,
    type_of,
)
from app.models import Model, db

Found = TypeVar("Found")
CURSOR = text("select coalesce(max(id), 0) from change_log")


class ListQuery(Strict):
    """The query parameters that every list has; ``list_query`` adds those of a resource."""

    limit: int = Field(default=100, ge=1, le=1000, description="Rows in a page.")
    after: OptionalString = Field(default_factory=absent, description="The page behind this token.")
    before: OptionalString = Field(default_factory=absent, description="The page ahead of this token.")
    order: str = Field(default="")
    to: OptionalTime = Field(default_factory=absent)
    count: bool = Field(default=False, description="Count all matching rows into `total`.")


@dataclass(frozen=True)
class Resource:
    """What the API says of a table beyond its columns."""

    name: str  # the path below /api
    noun: str
    model: type[Model]
    time: str  # the column that orders the list, newest first, and that from and to are about
    orders: tuple[str, ...] = ()  # further columns to order by; none may be null
    filters: dict[str, str] = field(default_factory=dict)  # query parameter → column
    search: tuple[str, ...] = ()
    ingest: bool = False  # POST takes many rows, and the same row again: app/api/ingest.py

    @property
    def title(self) -> str:
        """The name of its schemas."""
        return self.noun.capitalize()

    @property
    def table(self) -> Table:
        """The table itself."""
        table = self.model.__table__
        assert isinstance(table, Table)
        return table

    @property
    def row(self) -> ColumnElement[str]:
        """A row as JSON text."""
        return literal_column(f"row_to_json({self.table.name})::text", Text)


def blueprint(resource: Resource) -> APIBlueprint:
    """The blueprint with the six operations; a resource's own file may add more to it."""
    title, table, one = resource.title, resource.table, f"a {resource.noun}"
    row, new, patch = row_schema(title, table), new_schema(title, table), patch_schema(title, table)
    api = APIBlueprint(
        resource.name,
        __name__,
        url_prefix=f"/api/{resource.name}",
        abp_tags=[Tag(name=resource.name, description=(resource.model.__doc__ or "").strip())],
        abp_responses={status: problem_response() for status in (400, 500, 503)},
    )
    missing: ResponseDict = {404: problem_response()}
    wrong: ResponseDict = {status: problem_response() for status in (404, 409, 413, 415, 422)}

    @reads(query=list_query(resource))
    def list_rows(query: ListQuery) -> Response:
        return list_response(resource, query)

    @reads(body=new)
    def create(body: BaseModel) -> Response:
        return create_row(resource, body)

    @reads(path=ById)
    def read(path: ById) -> Response:
        return conditional(row_response(read_row(resource, path.id)))

    @reads(path=ById, body=new)
    def replace(path: ById, body: BaseModel) -> Response:
        return row_response(change_row(resource, path.id, body, replacement(resource, body)))

    @reads(path=ById, body=patch)
    def merge(path: ById, body: BaseModel) -> Response:
        return row_response(change_row(resource, path.id, body, given(resource, body)))

    @reads(path=ById)
    def remove(path: ById) -> Response:
        return delete_row(resource, path.id)

    page: ResponseDict = {200: page_schema(title, row), **missing}
    api.get("", summary=f"List {resource.name}, newest first", responses=page)(list_rows)
    if not resource.ingest:
        api.post("", summary=f"Create {one}", responses={200: row, 201: row, **wrong})(create)
    api.get("/<id>", summary=f"Read {one}", responses={200: row, 304: None, **missing})(read)
    api.put("/<id>", summary=f"Replace {one}", responses={200: row, **wrong})(replace)
    api.patch("/<id>", summary=f"Change some fields of {one}", responses={200: row, **wrong})(merge)
    api.delete("/<id>", summary=f"Delete {one}", responses={204: None, **missing})(remove)
    return api


def problem_response() -> dict[str, Any]:
    """A problem document, as the OpenAPI document describes it."""
    return {"content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}}


def list_query(resource: Resource) -> type[ListQuery]:
    """The query parameters of the resource's list."""
    names = (resource.time, *resource.orders)
    orders = tuple(sign + name for name in names for sign in ("-", ""))
    fields: dict[str, Any] = {
        "order": (Literal[orders], Field(default=orders[0], description="- is descending.")),
        "from": (QueryTime, Field(default_factory=absent, description=f"{resource.time} at or after this.")),
        "to": (QueryTime, Field(default_factory=absent, description=f"{resource.time} before this.")),
    }
    for parameter, column in resource.filters.items():
        fields[parameter] = (type_of(resource.table.c[column]), Field(default_factory=absent))
    if resource.search:
        within = f"Text within {' or '.join(resource.search)}, in any case."
        fields["search"] = (String, Field(default_factory=absent, description=within))
    return create_model(f"{resource.title}List", __base__=ListQuery, **fields)


@contextmanager
def snapshot() -> Iterator[Connection]:
    """A read-only transaction in which every statement sees the same rows and the same change log."""
    with db.engine.connect() as connection:
        options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        with connection.execution_options(**options).begin():
            yield connection


def list_response(resource: Resource, query: ListQuery) -> Response:
    """One page, with the cursor of the snapshot it was read in."""
    order = Order(query.order, resource.table)
    conditions = _conditions(resource, query)
    rows = select(resource.row, cast(order.column, Text), cast(resource.table.c.id, Text))
    backwards = query.before is not None and query.after is None
    for parameter, ahead in (("after", False), ("before", True)):
        if (token := getattr(query, parameter)) is not None:
            place = Place.read(token, order.name, parameter)
            rows = rows.where(order.beyond(place, backwards=ahead))
    rows = order.applied(rows.where(*conditions), backwards=backwards).limit(query.limit + 1)
    with snapshot() as connection:
        cursor: int = connection.execute(CURSOR).scalar_one()
        found = [tuple(row) for row in connection.execute(rows)]
        total = _total(connection, resource, conditions) if query.count else None
    more = len(found) > query.limit
    found = found[: query.limit]
    if backwards:
        found.reverse()
    following = Place(*found[-1][1:]).token(order.name) if found and (more or backwards) else None
    preceding = Place(*found[0][1:]).token(order.name) if found and (more if backwards else query.after) else None
    return _page_response([row[0] for row in found], cursor, following, preceding, total)


def _conditions(resource: Resource, query: ListQuery) -> list[ColumnElement[bool]]:
    columns = resource.table.c
    wanted = {column: getattr(query, parameter) for parameter, column in resource.filters.items()}
    conditions = [columns[name] == value for name, value in wanted.items() if value is not None]
    if (start := getattr(query, "from")) is not None:
        conditions.append(columns[resource.time] >= start)
    if (end := query.to) is not None:
        conditions.append(columns[resource.time] < end)
    if (wanted_text := getattr(query, "search", None)) is not None:
        conditions.append(or_(*(columns[name].icontains(wanted_text, autoescape=True) for name in resource.search)))
    return conditions


def _total(connection: Connection, resource: Resource, conditions: list[ColumnElement[bool]]) -> int:
    counted = select(func.count()).select_from(resource.table).where(*conditions)
    total: int = connection.execute(counted).scalar_one()
    return total


def _page_response(
    rows: list[str], cursor: int, following: str | None, preceding: str | None, total: int | None
) -> Response:
    counted = "" if total is None else f',"total":{total}'
    body = f'{{"items":[{",".join(rows)}],"next":{json.dumps(following)},"cursor":{cursor}{counted}}}'
    response = row_response(body)
    response.headers["Last-Event-ID"] = str(cursor)
    for relation, parameter, token in (("next", "after", following), ("prev", "before", preceding)):
        if token:
            response.headers.add("Link", f'<{_same_list({parameter: token})}>; rel="{relation}"')
    return response


def _same_list(place: dict[str, str]) -> str:
    kept = {name: value for name, value in request.args.items() if name not in ("after", "before")}
    return f"{request.path}?{urlencode({**kept, **place})}"


def create_row(resource: Resource, body: BaseModel) -> Response:
    """Insert the row; what the body leaves out gets the table's default. A repeated request gets the row it made."""
    values = given(resource, body)
    key_id = row_id_of_key(resource.name)
    if key_id:
        values.setdefault("id", key_id)
    statement = postgresql.insert(resource.table).values(values)
    if (key_id or resource.ingest) and "id" in values:
        statement = statement.on_conflict_do_nothing(index_elements=["id"])
    with db.engine.begin() as connection:
        found = connection.execute(statement.returning(resource.row, resource.table.c.id)).one_or_none()
        if found is None:
            return row_response(_repeated(connection, resource, values))
    row, row_id = found
    response = row_response(row, 201)
    response.headers["Location"] = f"/api/{resource.name}/{row_id}"
    return response


def _repeated(connection: Connection, resource: Resource, values: dict[str, Any]) -> str:
    """The row that is there under this id, if it says what the body says."""
    columns = resource.table.c
    same = [columns[name].is_not_distinct_from(value) for name, value in values.items()]
    row = connection.execute(select(resource.row).where(*same)).scalar()
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
        row = connection.execute(select(resource.row).where(resource.table.c.id == row_id)).scalar()
    return _existing(resource, row_id, row)


def change_row(resource: Resource, row_id: UUID, body: BaseModel, values: dict[str, Any]) -> str:
    """Update the row and return it; the id in a body, if any, must be that of the path."""
    if getattr(body, "id", None) not in (None, row_id):
        raise ProblemError(422, "Not accepted: id.", [FieldError(field="id", message="is not the id in the path")])
    values = {name: value for name, value in values.items() if name != "id"}
    if not values:
        return read_row(resource, row_id)
    statement = update(resource.table).where(resource.table.c.id == row_id).values(values).returning(resource.row)
    with db.engine.begin() as connection:
        row = connection.execute(statement).scalar()
    return _existing(resource, row_id, row)


def delete_row(resource: Resource, row_id: UUID) -> Response:
    """Delete the row; children go with their session."""
    table = resource.table
    with db.engine.begin() as connection:
        gone = connection.execute(delete(table).where(table.c.id == row_id).returning(table.c.id)).scalar()
    _existing(resource, row_id, gone)
    return Response(status=204)


def given(resource: Resource, body: BaseModel) -> dict[str, Any]:
    """The values that the body holds, but for columns that keep themselves."""
    columns = resource.table.c
    return {name: getattr(body, name) for name in body.model_fields_set if not columns[name].info.get("read_only")}


def replacement(resource: Resource, body: BaseModel) -> dict[str, Any]:
    """Every column anew: what the body leaves out goes back to its default, but a time given by the database stays."""
    values = given(resource, body)
    for column in resource.table.columns:
        default = str(getattr(column.server_default, "arg", ""))
        if column.name not in values and not column.primary_key and default != "now()":
            values[column.name] = text("default")
    return values


def row_response(row: str, status: int = 200) -> Response:
    """JSON text as a response that caches ask about first."""
    return Response(row, status, {"Cache-Control": "no-cache"}, mimetype="application/json")


def conditional(response: Response) -> Response:
    """304 where the client has this very answer already."""
    response.add_etag()
    response.make_conditional(request)
    return response


def _existing(resource: Resource, row_id: UUID, found: Found | None) -> Found:
    if found is None:
        raise ProblemError(404, f"There is no {resource.noun} with the id {row_id}.")
    return found
