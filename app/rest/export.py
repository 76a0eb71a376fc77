"""Export: all matching rows as NDJSON, CSV or XLSX, however many they are.

Invariant: memory does not grow with the rows, and no connection is held while the client reads: rows are read in pages
in the order of the list. So an export is not one snapshot: rows that arrive during it may be in it or not, all others
are in it once. The cursor of its beginning comes with it: a stream opened there misses nothing, and may repeat. An
export that fails midway breaks the connection, so that it cannot pass for a complete one. XLSX is made before it is
sent: it fails as a problem, and a worker holds a few of them at most, each on the disk until it is sent.
"""

from __future__ import annotations

import csv
import errno
import io
import logging
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import IO, Any, Literal

from flask import Response
from gevent.lock import BoundedSemaphore
from pydantic import Field, create_model
from sqlalchemy import ColumnElement, DateTime, Engine, Select, Text, case, cast, func, literal, select
from sqlalchemy.exc import SQLAlchemyError

from app.postgres.cursor import Cursor
from app.postgres.snapshot import read_exactly
from app.postgres.tables import db
from app.rest.lists import filter_fields, filters
from app.rest.paging import Order, Position
from app.rest.problems import RETRY_AFTER_SECONDS, FieldError, ProblemError
from app.rest.resource import Resource
from app.rest.schema import Strict
from app.rest.workbook import MOST_ROWS, write_workbook

log = logging.getLogger(__name__)

_PAGE_ROWS = 1000
# Excel takes a file without it for one of its own 8-bit code page.
_BOM = "\ufeff"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
# Workbooks that a worker makes or sends at a time, and how long another request waits for its turn.
_workbooks = BoundedSemaphore(4)
_PATIENCE_SECONDS = 10
_CHUNK_BYTES = 65_536


class ExportQuery(Strict):
    """The query parameters that every export has; ``export_query`` adds the filters of a resource."""

    format: Literal["ndjson", "csv", "csv-excel", "xlsx"] = Field(
        default="ndjson",
        description="Lines of JSON; CSV with a header; the same with the byte order mark by which Excel knows UTF-8; "
        f"a workbook for Excel, of {MOST_ROWS} rows at most.",
    )


def export_query(resource: Resource) -> type[ExportQuery]:
    """The query parameters of the resource's export."""
    return create_model(f"{resource.title}Export", __base__=ExportQuery, **filter_fields(resource))


def export_response(resource: Resource, query: ExportQuery) -> Response:
    """A stream of text, or a workbook, oldest rows first.

    Raises:
        ProblemError: a workbook cannot hold so many rows, or cannot be made now.
    """
    # The response is rendered after the request: what its caller may see is decided here.
    conditions = filters(resource, query)
    if query.format == "xlsx":
        return _workbook_response(resource, query, conditions)
    kind, columns = "application/x-ndjson", [resource.row()]
    if query.format != "ndjson":
        kind, columns = "text/csv", [_without_formula(resource, name) for name in resource.columns]
    pages = _pages(db.engine, resource, columns, conditions)
    body = _ndjson(pages) if query.format == "ndjson" else _csv(resource, pages, for_excel=query.format == "csv-excel")
    _, cursor = read_exactly(lambda _: None)
    headers = _headers(resource, query.format.partition("-")[0], cursor)
    return Response(_until_cut(resource, body), headers=headers, content_type=f"{kind}; charset=utf-8")


def _headers(resource: Resource, ending: str, cursor: Cursor) -> dict[str, str]:
    return {
        "Last-Event-ID": str(cursor),
        "Content-Disposition": f'attachment; filename="{resource.name}.{ending}"',
        "Cache-Control": "no-store",
    }


def _workbook_response(resource: Resource, query: ExportQuery, conditions: list[ColumnElement[bool]]) -> Response:
    some = select(literal(1)).select_from(resource.table).where(*conditions).limit(MOST_ROWS + 1).subquery()
    counted = select(func.count()).select_from(some)
    count, cursor = read_exactly(lambda connection: connection.execute(counted).scalar_one())
    if count > MOST_ROWS:
        message = f"A sheet of Excel holds {MOST_ROWS} rows, and these are more: choose a shorter range, or CSV."
        raise ProblemError(400, message, [FieldError(field="format", message="is too small for so many rows")])
    if not _workbooks.acquire(timeout=_PATIENCE_SECONDS):
        raise ProblemError(
            503, "Other workbooks are being made; try again.", headers={"Retry-After": str(RETRY_AFTER_SECONDS)}
        )
    try:
        file = _workbook(resource, query, conditions, cursor)
    except BaseException:
        _workbooks.release()
        raise
    headers = {**_headers(resource, "xlsx", cursor), "Content-Length": str(file.tell())}
    file.seek(0)
    response = Response(iter(lambda: file.read(_CHUNK_BYTES), b""), headers=headers, content_type=XLSX)
    response.call_on_close(file.close)
    response.call_on_close(_workbooks.release)
    return response


def _workbook(
    resource: Resource, query: ExportQuery, conditions: list[ColumnElement[bool]], cursor: Cursor
) -> IO[bytes]:
    """A file without a name, at its end."""
    types = {name: resource.table.c[name].type for name in resource.columns}
    pages = _pages(db.engine, resource, [_as_in_json(resource, name) for name in types], conditions)
    asked = {name: str(value) for name, value in query.model_dump(exclude={"format"}, exclude_none=True).items()}
    made = datetime.now(UTC).isoformat(sep=" ", timespec="seconds")
    about = {"rows of": resource.name, **asked, "made at": made, "times are in": "UTC", "cursor": str(cursor)}
    file = tempfile.TemporaryFile()  # noqa: SIM115 (closed once it is sent)
    try:
        write_workbook(file, resource.name, types, pages, about)
        file.seek(0, io.SEEK_END)
    except OSError as error:
        file.close()
        log.warning("a workbook of %s cannot be written: %s", resource.name, error.__cause__ or error)
        message = "The server's disk has no room for the workbook; CSV needs none."
        raise ProblemError(503, message, headers={"Retry-After": str(RETRY_AFTER_SECONDS)}) from error
    except BaseException:
        file.close()
        raise
    return file


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


def _csv(resource: Resource, pages: Iterator[list[tuple[Any, ...]]], for_excel: bool) -> Iterator[str]:
    yield (_BOM if for_excel else "") + ",".join(resource.columns) + "\r\n"
    for rows in pages:
        text = io.StringIO()
        csv.writer(text).writerows(rows)
        yield text.getvalue()


def _without_formula(resource: Resource, name: str) -> ColumnElement[str]:
    """A value as text, with nothing that a spreadsheet would take for a formula."""
    value = _as_in_json(resource, name)
    if isinstance(resource.table.c[name].type, Text):
        # The wide forms are signs of a formula where people write Chinese or Japanese.
        return case((value.regexp_match(r"^[-=+@\t\r\n＝＋－＠]"), literal("'", Text) + value), else_=value)
    return value


def _as_in_json(resource: Resource, name: str) -> ColumnElement[str]:
    """A value as text, with times as in JSON."""
    column = resource.column(name)
    if isinstance(resource.table.c[name].type, DateTime):
        return func.to_json(column).op("#>>")("{}")
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
