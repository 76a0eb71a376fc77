"""Schemas: pydantic models of requests and rows, derived from the tables in ``app/postgres/tables.py``.

Invariant: the table accepts what a schema accepts, except for what only the database can know (whether the session
exists, whether the id is taken). Bodies are strict: JSON false is not an integer, and a time is ISO 8601 with an
offset.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from functools import cache
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    create_model,
    model_validator,
)
from pydantic import (
    Strict as StrictFlag,
)
from sqlalchemy import Column, DateTime, Double, Enum, Integer, Table, Text, Uuid

INTEGER_MIN, INTEGER_MAX = -(2**31), 2**31 - 1
NO_NUL = r"^[^\x00]*$"  # PostgreSQL has no NUL in text


class Described(BaseModel):
    """An answer as the OpenAPI document describes it; never built, because PostgreSQL renders it."""

    model_config = ConfigDict(defer_build=True)


class Strict(BaseModel):
    """A schema that refuses unknown fields by name."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, defer_build=True)


class Given(Strict):
    """What is not given is left out: nothing is null."""

    @model_validator(mode="before")
    @classmethod
    def _no_nulls(cls, given: object) -> object:
        if isinstance(given, dict) and None in given.values():
            raise ValueError("may hold no null: leave out what is not given")
        return given


def _text(value: object) -> object:
    if not isinstance(value, str):
        raise ValueError("should be a UUID in a string")
    return value


def _iso(value: object) -> object:
    # Deliberate: pydantic would also accept 1700000000 and "1700000000" as a time.
    if not isinstance(value, str) or value[4:5] != "-":
        raise ValueError("should be an ISO 8601 time such as 2026-01-31T12:00:00Z")
    return value


def _utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ValueError("is outside of the years 1 to 9999") from None


def _unescaped(value: object) -> object:
    """A plus sign that the client did not escape arrives as a space, which can mean nothing else."""
    return value[:-6] + "+" + value[-5:] if isinstance(value, str) and value[-6:-5] == " " else value


def _whole(value: object) -> object:
    """JSON knows one kind of number: 3.0 is an integer."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _rounding(most: float) -> Callable[[object], object]:
    """Rounds what overshoots 0 or ``most`` a little, as single precision does, to hundredths, as the database does."""

    def rounded(value: object) -> object:
        if isinstance(value, float) and (most < value < most + 1 or -1 < value < 0):
            return float(Decimal(repr(value)).quantize(Decimal("0.01"), ROUND_HALF_UP)) + 0.0
        return value

    return rounded


Whole = Annotated[int, BeforeValidator(_whole)]
Id = Annotated[UUID, StrictFlag(False), BeforeValidator(_text)]  # strict would refuse text once JSON is parsed
FieldType = Any  # what pydantic accepts as a type: a class, a Literal, an Annotated, a union
Time = Annotated[AwareDatetime, StrictFlag(False), BeforeValidator(_iso), AfterValidator(_utc)]
QueryTime = Annotated[Time, BeforeValidator(_unescaped)]
# Query parameters may be omitted, but a query cannot say null.
OptionalId = Annotated[Id | None, WithJsonSchema({"type": "string", "format": "uuid"})]
OptionalBoolean = Annotated[bool | None, WithJsonSchema({"type": "boolean"})]
OptionalTime = Annotated[QueryTime | None, WithJsonSchema({"type": "string", "format": "date-time"})]
OptionalString = Annotated[str | None, Field(pattern=NO_NUL), WithJsonSchema({"type": "string", "pattern": NO_NUL})]
# A name, a message, a path: lists and streams carry it to every client.
MAX_TEXT = 4096
String = Annotated[str, Field(pattern=NO_NUL, max_length=MAX_TEXT)]
# The server takes request lines of 4 094 bytes, and a character may be escaped as twelve.
QueryText = Annotated[str, Field(pattern=NO_NUL, max_length=200)]


def absent() -> None:
    """The default of an optional field whose schema should not show a default."""


def type_of(column: Column[Any]) -> FieldType:
    """The pydantic type of a column's values, without null."""
    bounds = {name: column.info[name] for name in ("ge", "le") if name in column.info}
    match column.type:
        case Text() if words := column.info.get("words"):
            return Literal[words]
        case Uuid():
            return Id
        case Enum(enums=words):
            return Literal[tuple(words)]
        case Text():
            return String
        case DateTime():
            return Time
        case Integer():
            limits = {"ge": INTEGER_MIN, "le": INTEGER_MAX, **bounds}
            return Annotated[int, Field(**limits), BeforeValidator(_whole)]
        case Double():
            kind = Annotated[float, Field(**bounds)]
            return Annotated[kind, BeforeValidator(_rounding(bounds["le"]))] if "le" in bounds else kind
        case _:
            return bool


def query_type_of(column: Column[Any]) -> FieldType:
    """The pydantic type of a column's values in a query."""
    kind = type_of(column)
    return QueryText if kind is String else kind


@cache
def new_schema(name: str, table: Table) -> type[BaseModel]:
    """A row as a client sends it; columns with a default may be omitted."""
    return _schema(f"New{name}", table, _may_be_left_out, {"example": table.info["example"]})


def patch_schema(name: str, table: Table) -> type[BaseModel]:
    """A merge patch (RFC 7396): omitted fields stay, null clears."""
    return _schema(f"{name}Patch", table, lambda column: True, {"example": _changeable(table)})


def _changeable(table: Table) -> dict[str, Any]:
    """The example of the table's rows, without the session that a row belongs to."""
    return {name: value for name, value in table.info["example"].items() if name != "session_id"}


@cache
def row_schema(name: str, table: Table) -> type[BaseModel]:
    """A row as PostgreSQL renders it; described here, never built."""
    fields: dict[str, Any] = {column.name: (_nullable(column, _row_type(column)), ...) for column in table.columns}
    return create_model(name, __base__=Described, __doc__=f"A row of {table.name}.", **fields)


def page_schema(name: str, table: Table) -> type[BaseModel]:
    """The answer of a list; with ``fields`` its rows are partial."""
    row = row_schema(name, table)
    some: dict[str, Any] = {
        key: (kind.annotation, Field(default_factory=absent)) for key, kind in row.model_fields.items()
    }
    partial = create_model(f"{name}Fields", __base__=Described, __doc__=f"Some columns of {table.name}.", **some)
    return create_model(
        f"{name}Page",
        __base__=Described,
        __doc__="Rows, and the cursor at which they were read: a stream opened there misses nothing.",
        items=(list[row | partial], ...),  # type: ignore[valid-type]
        next=(str | None, Field(description="The token for `after` that gives the next page; null on the last.")),
        cursor=(str, Field(description="Opaque; also in the header Last-Event-ID.")),
        total=(int, Field(default_factory=int, description="Only with count=true.")),
    )


def _schema(name: str, table: Table, optional: Callable[[Column[Any]], bool], extra: dict[str, Any]) -> type[BaseModel]:
    fields: dict[str, Any] = {}
    for column in table.columns:
        kind = _nullable(column, type_of(column))
        if column.info.get("read_only"):
            note = "Set by the database; a value that is sent is ignored."
            fields[column.name] = (kind, Field(default_factory=absent, description=note))
        else:
            fields[column.name] = (kind, Field(default_factory=absent)) if optional(column) else (kind, ...)
    note = f"A row of {table.name} to write."
    return create_model(name, __base__=Strict, __doc__=note, __cls_kwargs__={"json_schema_extra": extra}, **fields)


def _may_be_left_out(column: Column[Any]) -> bool:
    return bool(column.nullable) or column.server_default is not None


def _nullable(column: Column[Any], kind: FieldType) -> FieldType:
    return kind | None if column.nullable else kind


def _row_type(column: Column[Any]) -> FieldType:
    match column.type:
        case Text() if "words" not in column.info:
            return str
        case DateTime():
            return Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]
        case _:
            return type_of(column)
