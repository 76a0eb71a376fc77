"""Lists: one page of a resource, filtered, ordered, with the cursor at which it was read.

Invariant: rows, count and cursor come from one snapshot, so a stream opened at the cursor misses nothing and repeats
nothing. Rows arrive as text and are joined here, never encoded again.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from flask import Response, request
from pydantic import Field, WithJsonSchema, create_model
from sqlalchemy import ColumnElement, Connection, Select, Text, cast, func, or_, select

from app.postgres.cursor import Cursor
from app.postgres.snapshot import read_exactly
from app.rest.paging import Order, Position
from app.rest.resource import Resource
from app.rest.rows import conditional, row_response
from app.rest.schema import FieldType, OptionalString, QueryText, QueryTime, Strict, absent, query_type_of

# PostgreSQL reads and drops the rows before a numbered page.
MAX_PAGE = 1000


class ListQuery(Strict):
    """The query parameters that every list has; ``list_query`` adds those of a resource."""

    limit: int = Field(default=100, ge=1, le=1000, description="Rows in a page.")
    after: OptionalString = Field(default_factory=absent, description="The page after this paging token.")
    before: OptionalString = Field(default_factory=absent, description="The page before this paging token.")
    page: Annotated[int | None, WithJsonSchema({"type": "integer", "minimum": 1, "maximum": MAX_PAGE})] = Field(
        default_factory=absent,
        ge=1,
        le=MAX_PAGE,
        description="The page of this number, unless a token is given. Rows that come or go move it; tokens are exact.",
    )
    order: str = Field(default="")
    count: bool = Field(default=False, description="Count all matching rows into `total`.")
    fields: OptionalString = Field(default_factory=absent)


def list_query(resource: Resource) -> type[ListQuery]:
    """The query parameters of the resource's list."""
    names = (resource.time, *resource.orders)
    orders = tuple(sign + name for name in names for sign in ("-", ""))
    column = f"({'|'.join(column.name for column in resource.table.columns)})"
    own: dict[str, Any] = {
        "order": (Literal[orders], Field(default=orders[0], description="- is descending.")),
        "fields": (
            str,
            Field(
                default_factory=absent,
                pattern=f"^{column}(,{column})*$",
                description="These columns only, separated by commas.",
            ),
        ),
    }
    return create_model(f"{resource.title}List", __base__=ListQuery, **own, **filter_fields(resource))


def filter_fields(resource: Resource) -> dict[str, FieldType]:
    """The query parameters that choose rows of the resource."""
    fields: dict[str, FieldType] = {
        "from": (QueryTime, Field(default_factory=absent, description=f"{resource.time} at or after this.")),
        "to": (QueryTime, Field(default_factory=absent, description=f"{resource.time} before this.")),
    }
    for parameter, column in resource.filters.items():
        fields[parameter] = (query_type_of(resource.table.c[column]), Field(default_factory=absent))
    if resource.search:
        where = f"Text in {' or '.join(resource.search)}, ignoring case."
        fields["search"] = (QueryText, Field(default_factory=absent, description=where))
    return fields


def filters(resource: Resource, query: Strict) -> list[ColumnElement[bool]]:
    """The conditions for the parameters of ``filter_fields``."""
    columns = resource.table.c
    wanted = {column: getattr(query, parameter) for parameter, column in resource.filters.items()}
    conditions = resource.within + [columns[name] == value for name, value in wanted.items() if value is not None]
    start, end, text = (getattr(query, parameter, None) for parameter in ("from", "to", "search"))
    if start is not None:
        conditions.append(columns[resource.time] >= start)
    if end is not None:
        conditions.append(columns[resource.time] < end)
    if text is not None:
        conditions.append(or_(*(resource.column(name).icontains(text, autoescape=True) for name in resource.search)))
    return conditions


def list_response(resource: Resource, query: ListQuery) -> Response:
    """One page, with the cursor of the snapshot it was read in."""
    order = Order(query.order, resource.table)
    conditions = filters(resource, query)
    backwards = query.before is not None and query.after is None

    def read(connection: Connection) -> tuple[list[tuple[str, ...]], int | None]:
        rows = [tuple(row) for row in connection.execute(_page(resource, query, order, conditions, backwards))]
        return rows, _total(connection, resource, conditions) if query.count else None

    (found, total), cursor = read_exactly(read)
    more = len(found) > query.limit
    found = found[: query.limit]
    if backwards:
        found.reverse()
    following = Position(*found[-1][1:]).token(order.name) if found and (more or backwards) else None
    preceding = Position(*found[0][1:]).token(order.name) if found and (more if backwards else query.after) else None
    return _page_response([row[0] for row in found], cursor, following, preceding, total)


def _page(
    resource: Resource, query: ListQuery, order: Order, conditions: list[ColumnElement[bool]], backwards: bool
) -> Select[str, str, str]:
    fields = list(dict.fromkeys(query.fields.split(","))) if query.fields else []
    rows = select(resource.row(fields), cast(order.column, Text), cast(resource.table.c.id, Text)).where(*conditions)
    if query.after is not None:
        rows = rows.where(order.beyond(Position.read(query.after, order.name, "after")))
    if query.before is not None:
        rows = rows.where(order.beyond(Position.read(query.before, order.name, "before"), backwards=True))
    page = order.applied(rows, backwards=backwards).limit(query.limit + 1)
    if query.page is None or query.after is not None or query.before is not None:
        return page
    return page.offset((query.page - 1) * query.limit)


def _total(connection: Connection, resource: Resource, conditions: list[ColumnElement[bool]]) -> int:
    counted = select(func.count()).select_from(resource.table).where(*conditions)
    total: int = connection.execute(counted).scalar_one()
    return total


def _page_response(
    rows: list[str], cursor: Cursor, following: str | None, preceding: str | None, total: int | None
) -> Response:
    counted = "" if total is None else f',"total":{total}'
    body = f'{{"items":[{",".join(rows)}],"next":{json.dumps(following)},"cursor":"{cursor}"{counted}}}'
    response = row_response(body)
    response.headers["Last-Event-ID"] = str(cursor)
    for relation, parameter, token in (("next", "after", following), ("prev", "before", preceding)):
        if token:
            response.headers.add("Link", f'<{_same_list({parameter: token})}>; rel="{relation}"')
    return conditional(response)


def _same_list(page: dict[str, str]) -> str:
    kept = {name: value for name, value in request.args.items() if name not in ("after", "before", "page")}
    return f"{request.script_root}{request.path}?{urlencode({**kept, **page})}"
