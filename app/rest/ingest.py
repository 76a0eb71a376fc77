"""Ingest: one row, a JSON array or NDJSON in one request and one transaction, at the speed of cameras.

Invariant: all rows of a request are written or none, a row whose id exists is not written again, and the worker's
streams continue: rows are checked and sent in slices, and other greenlets run between two slices.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence, Sized
from contextlib import closing
from typing import Any, TypeVar, cast
from uuid import UUID

import gevent
from flask import Response, request
from psycopg2.extensions import AsIs
from psycopg2.extensions import cursor as cursor_type
from psycopg2.extras import execute_values
from pydantic import BaseModel, ValidationError
from pydantic_core import from_json
from sqlalchemy import Connection, select, text

from app.postgres.tables import db
from app.rest.body import read_body
from app.rest.document import Endpoints, Responses
from app.rest.idempotency import row_id_of_key
from app.rest.problems import FieldError, ProblemError, field_errors
from app.rest.reach import current_reach
from app.rest.resource import Resource, problem_response
from app.rest.rows import create_row, row_response
from app.rest.schema import new_schema
from app.rest.takes import Takes
from app.rest.validation import MAX_FIELDS, reads, refuse_encoding, refused

MAX_ROWS = 10_000
MAX_ERRORS = 100  # in one response; more would say nothing new
# Colons and commas of a body: three times those of the most rows with every field.
MAX_SIGNS = 60 * MAX_ROWS
MAX_ROW_BYTES = 64 * 1024  # a line of NDJSON; a row with every field is less than 2 kB
_OVERSIZED = f"has more than {MAX_FIELDS} fields or {MAX_ROW_BYTES} bytes"
SLICE_ROWS = 100  # checked or sent in about 2 ms, during which the worker's streams wait
NDJSON_TYPES = ("application/x-ndjson", "application/ndjson", "application/jsonl")
DEFAULT = AsIs("default")

T = TypeVar("T")


def add_ingest(api: Endpoints, resource: Resource, takes: Takes) -> None:
    """Let POST accept many rows as well; a single row is answered as for any resource."""

    @reads()
    def ingest() -> Response:
        new = new_schema(resource.title, resource.table)
        refuse_encoding()
        if request.mimetype in NDJSON_TYPES:
            return _create_rows(resource, _checked(_lines(read_body()), new.model_validate_json))
        if request.mimetype != "application/json":
            wanted = f"application/json, {NDJSON_TYPES[0]}"
            raise ProblemError(415, f"The body must be one of {wanted}.", headers={"Accept-Post": wanted})
        sent = _parsed(read_body())
        if isinstance(sent, list):
            return _create_rows(resource, _checked(sent, new.model_validate))
        return create_row(resource, _single(sent, new))

    summary = f"Create one {resource.noun} or many"
    body = {"requestBody": {"content": _content(resource), "required": True}}
    name = f"create{resource.title}"
    api.post("", takes, name, summary=summary, openapi_extensions=body, responses=_answers(resource))(ingest)


def _create_rows(resource: Resource, rows: list[BaseModel]) -> Response:
    """Write the rows in one transaction; rows whose ids exist count as repeated."""
    with db.engine.begin() as connection:
        connection.execute(text("set local statement_timeout = '30s'"))  # COMMIT writes the log for all of them
        _refuse_unknown_parents(connection, resource, rows)
        inserted = _insert(connection, resource, rows)
    answer = f'{{"inserted":{inserted},"repeated":{len(rows) - inserted}}}'
    return row_response(answer, 201 if inserted else 200)


def _insert(connection: Connection, resource: Resource, rows: list[BaseModel]) -> int:
    sent = set[str]().union(*(row.model_fields_set for row in rows))
    columns = [column.name for column in resource.table.columns if column.name in sent or column.name == "id"]
    statement = f"insert into {resource.table.name} ({', '.join(columns)}) values %s on conflict (id) do nothing"
    inserted = 0
    taken: list[FieldError] = []
    with closing(cast(cursor_type, connection.connection.cursor())) as cursor:
        for start, some in _slices(rows):
            values = [
                _values(row, columns, row_id_of_key(resource.name, start + number)) for number, row in enumerate(some)
            ]
            execute_values(cursor, statement, values, page_size=SLICE_ROWS)
            inserted += cursor.rowcount
            if cursor.rowcount < len(some):
                taken += _taken(cursor, resource, columns, values, start)
    _refuse(409, taken)
    return inserted


def _taken(
    cursor: cursor_type, resource: Resource, columns: list[str], rows: list[list[Any]], start: int
) -> list[FieldError]:
    """The rows whose id belongs to a row that differs; without this check they would be lost unnoticed."""
    ids = [values[0] for values in rows if values[0] is not DEFAULT]
    cursor.execute(f"select {', '.join(columns)} from {resource.table.name} where id = any(cast(%s as uuid[]))", [ids])
    there = {str(row[0]): [_plain(value) for value in row] for row in cursor}
    return [
        FieldError(field="id", message="is taken already, by a row that differs from this one", row=number)
        for number, values in enumerate(rows, start)
        if values[0] is not DEFAULT and not _repeats(values, there.get(values[0], []))
    ]


def _repeats(sent: list[Any], there: list[Any]) -> bool:
    return bool(there) and all(new is DEFAULT or new == old for new, old in zip(sent, there, strict=True))


def _values(row: BaseModel, columns: list[str], row_id: UUID | None) -> list[Any]:
    fields, sent = row.__dict__, row.model_fields_set
    values = [_plain(fields[name]) if name in sent else DEFAULT for name in columns]
    if row_id and "id" not in sent:
        values[0] = str(row_id)
    return values


def _plain(value: object) -> object:
    return str(value) if isinstance(value, UUID) else value  # psycopg2 adapts UUIDs one by one in Python


def _refuse_unknown_parents(connection: Connection, resource: Resource, rows: list[BaseModel]) -> None:
    """Name every row whose parent is missing; the foreign key, which still guards against a race, would name one."""
    for key in resource.table.foreign_keys:
        name, parent = key.parent.name, key.column
        wanted = {row.__dict__[name] for row in rows} - {None}
        sessions = current_reach().sessions if name == resource.session else None
        inside = [] if sessions is None else [parent.in_(sessions)]
        known = {None, *connection.execute(select(parent).where(parent.in_(wanted), *inside)).scalars()}
        unknown = [
            FieldError(field=name, message="does not exist", row=number)
            for number, row in enumerate(rows)
            if row.__dict__[name] not in known
        ]
        _refuse(409, unknown)


def _parsed(body: bytes) -> object:
    # Counted before anything is parsed, for parsing does not yield: 15 MB of unknown keys used to take a second.
    if body.count(b":") + body.count(b",") > MAX_SIGNS:
        raise refused(422, [FieldError(field="body", message=f"has more than {MAX_ROWS} rows or far too many fields")])
    try:
        return from_json(body, cache_strings="keys")
    except ValueError as error:
        raise ProblemError(400, f"The body is not valid JSON: {error}.") from error


def _lines(body: bytes) -> list[bytes]:
    whole = body.rstrip()
    return whole.split(b"\n") if whole else []


def _single(sent: object, new: type[BaseModel]) -> BaseModel:
    if _is_oversized(sent):
        raise refused(422, [FieldError(field="body", message=_OVERSIZED)])
    try:
        return new.model_validate(sent)
    except ValidationError as error:
        raise refused(422, field_errors(error)) from error


def _checked(sent: Sequence[T], check: Callable[[T], BaseModel]) -> list[BaseModel]:
    """The validated rows, or a problem that names row and field of each error."""
    if len(sent) > MAX_ROWS:
        message = f"may hold {MAX_ROWS} rows, and this one has {len(sent)}"
        raise refused(422, [FieldError(field="body", message=message)])
    rows: list[BaseModel] = []
    errors: list[FieldError] = []
    for start, some in _slices(sent):
        for number, row in enumerate(some, start):
            if _is_oversized(row):
                errors.append(FieldError(field="body", message=_OVERSIZED, row=number))
                continue
            try:
                rows.append(check(row))
            except ValidationError as error:
                errors += field_errors(error, number)
        if len(errors) >= MAX_ERRORS:
            break
    _refuse(422, errors)
    return rows


def _is_oversized(row: object) -> bool:
    """Whether validating it would take long: pydantic reports each of a million unknown fields."""
    return len(row) > (MAX_ROW_BYTES if isinstance(row, bytes) else MAX_FIELDS) if isinstance(row, Sized) else False


def _slices(rows: Sequence[T]) -> Iterator[tuple[int, Sequence[T]]]:
    for start in range(0, len(rows), SLICE_ROWS):
        gevent.sleep(0)
        yield start, rows[start : start + SLICE_ROWS]


def _refuse(status: int, errors: list[FieldError]) -> None:
    if errors:
        raise refused(status, errors[:MAX_ERRORS])


def _content(resource: Resource) -> dict[str, Any]:
    row = {"$ref": f"#/components/schemas/New{resource.title}"}
    many = {"type": "array", "maxItems": MAX_ROWS, "items": row}
    return {
        "application/json": {"schema": {"anyOf": [row, many]}},
        NDJSON_TYPES[0]: {"schema": {"type": "string", "description": "A row in each line."}},
    }


def _answers(resource: Resource) -> Responses:
    row = {"$ref": f"#/components/schemas/{resource.title}"}
    count = {"type": "integer", "minimum": 0}
    written = {
        "type": "object",
        "properties": {"inserted": count, "repeated": count},
        "required": ["inserted", "repeated"],
    }
    content = {"application/json": {"schema": {"anyOf": [row, written]}}}
    answers: Responses = {201: {"content": content}, 200: {"content": content, "description": "It existed already"}}
    return {**answers, **{status: problem_response() for status in (409, 413, 415, 422)}}
