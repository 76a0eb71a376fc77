"""Export: all matching rows as NDJSON or CSV, however many they are.

Invariant: memory does not grow with the rows, and no connection is held while the client reads: rows are read in pages
in the order of the list. So an export is not one snapshot: rows that arrive during it may be in it or not, all others
are in it once. The cursor of its beginning comes with it: a stream opened there misses nothing, and may repeat. An
export that fails midway breaks the connection, so that it cannot pass for a complete one.
"""

from __future__ import annotations

import csv
import errno
import io
import logging
from collections.abc import Iterator
from typing import Any, Literal

from flask import Response
from pydantic import Field, create_model
from sqlalchemy import ColumnElement, DateTime, Engine, Select, Text, case, cast, func, literal, select
from sqlalchemy.exc import SQLAlchemyError

from app.postgres.snapshot import read_exactly
from app.postgres.tables import db
from app.rest.lists import filter_fields, filters
from app.rest.paging import Order, Position
from app.rest.resource import Resource
from app.rest.schema import Strict

log = logging.getLogger(__name__)

_PAGE_ROWS = 1000


class ExportQuery(Strict):
    """The query parameters that every export has; ``export_query`` adds the filters of a resource."""

    format: Literal["ndjson", "csv"] = Field(default="ndjson", description="Lines of JSON, or CSV with a header.")


def export_query(resource: Resource) -> type[ExportQuery]:
    """The query parameters of the resource's export."""
    return create_model(f"{resource.title}Export", __base__=ExportQuery, **filter_fields(resource))


def export_response(resource: Resource, query: ExportQuery) -> Response:
    """A stream of text, oldest rows first."""
    # The response is rendered after the request: what its caller may see is decided here.
    kind, columns = "application/x-ndjson", [resource.row()]
    if query.format == "csv":
        kind, columns = "text/csv", [_as_in_json(resource.column(name)) for name in resource.columns]
    pages = _pages(db.engine, resource, columns, filters(resource, query))
    body = _csv(resource, pages) if query.format == "csv" else _ndjson(pages)
    _, cursor = read_exactly(lambda _: None)
    headers = {
        "Last-Event-ID": str(cursor),
        "Content-Disposition": f'attachment; filename="{resource.name}.{query.format}"',
        "Cache-Control": "no-store",
    }
    return Response(_until_cut(resource, body), headers=headers, content_type=f"{kind}; charset=utf-8")


def _until_cut(resource: Resource, body: Iterator[str]) -> Iterator[str]:
    """The body, as far as the database gives it.

    Raises:
        OSError: it cannot go on. The response has begun, so it can only be cut; the server drops the connection without
            a word if it is told that it is not connected.
    """
    try:
        yield from body
    except SQLAlchemyError as error:
        log.warning("an export of %s is cut: %s", resource.name, str(error).partition("\n")[0])
        raise OSError(errno.ENOTCONN, "the export cannot go on") from error


def _ndjson(pages: Iterator[list[tuple[Any, ...]]]) -> Iterator[str]:
    for rows in pages:
        yield "\n".join([row[0] for row in rows]) + "\n"


def _csv(resource: Resource, pages: Iterator[list[tuple[Any, ...]]]) -> Iterator[str]:
    yield ",".join(resource.columns) + "\r\n"
    for rows in pages:
        text = io.StringIO()
        csv.writer(text).writerows(rows)
        yield text.getvalue()


def _as_in_json(column: ColumnElement[Any]) -> ColumnElement[str]:
    """A value as text, with times as in JSON, and nothing that a spreadsheet would take for a formula."""
    if isinstance(column.type, DateTime):
        return func.to_json(column).op("#>>")("{}")
    if isinstance(column.type, Text):
        return case((column.regexp_match(r"^[-=+@\t\r]"), literal("'", Text) + column), else_=column)
    return cast(column, Text)


def _pages(
    engine: Engine, resource: Resource, columns: list[ColumnElement[str]], conditions: list[ColumnElement[bool]]
) -> Iterator[list[tuple[Any, ...]]]:
    order = Order(resource.time, resource.table)
    position = (cast(order.column, Text), cast(resource.table.c.id, Text))
    query = order.applied(select(*columns, *position).where(*conditions)).limit(_PAGE_ROWS)
    found = _read(engine, query)
    while found:
        yield [row[:-2] for row in found]
        if len(found) < _PAGE_ROWS:
            return
        found = _read(engine, query.where(order.beyond(Position(*found[-1][-2:]))))


def _read(engine: Engine, query: Select[*tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(query)]
