"""Resource: what the API says of a table beyond its columns.

Invariant: rows leave as PostgreSQL renders them (row_to_json on a connection in UTC), the same text that the triggers
put into the change log, so REST and stream agree by construction. Writers never publish: the triggers record what was
written. lists.py, rows.py, ingest.py and export.py act on a resource; endpoints.py puts them together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Table, Text, case, func, literal, literal_column

from app.postgres.addresses import PARAMETER, USER_INFO
from app.postgres.tables import Model
from app.rest.reach import current_reach

# The arguments of regexp_replace after the first.
_SECRETS = ((USER_INFO, r"\1***@", ""), (PARAMETER, r"\1***", "gi"))


@dataclass(frozen=True)
class Resource:
    """One table as REST."""

    name: str  # the path below /api
    noun: str
    model: type[Model]
    time: str  # the column that orders the list, newest first, and that from and to are about
    orders: tuple[str, ...] = ()  # further columns to order by; none may be null
    filters: dict[str, str] = field(default_factory=dict)  # query parameter → column
    search: tuple[str, ...] = ()
    ingest: bool = False  # POST takes many rows, and the same row again
    session: str = "session_id"  # the column that says which counting session a row belongs to
    masked: tuple[str, ...] = ()  # addresses, whose user and password not everyone may see

    @property
    def a_noun(self) -> str:
        """The noun with its article."""
        return f"{'an' if self.noun[0] in 'aeiou' else 'a'} {self.noun}"

    @property
    def title(self) -> str:
        """The name of its schemas."""
        return self.noun.capitalize()

    @property
    def title_of_many(self) -> str:
        """The name of its rows in the names of operations, such as listSessions."""
        return self.name.capitalize()

    @property
    def table(self) -> Table:
        """The table itself."""
        table = self.model.__table__
        assert isinstance(table, Table)
        return table

    def row(self, fields: Sequence[str] = ()) -> ColumnElement[str]:
        """A row as JSON text, of these columns only if there are any."""
        name = self.table.name
        if not fields and not self._hidden:
            return literal_column(f"row_to_json({name})::text", Text)
        columns = ", ".join(self._selected(column) for column in fields or self.columns)
        return literal_column(f"(select row_to_json(part)::text from (select {columns}) as part)", Text)

    @property
    def columns(self) -> list[str]:
        """The names of its columns."""
        return [column.name for column in self.table.columns]

    @property
    def within(self) -> list[ColumnElement[bool]]:
        """The conditions for the rows that the current request may touch."""
        sessions = current_reach().sessions
        return [] if sessions is None else [self.table.c[self.session].in_(sessions)]

    def column(self, name: str) -> ColumnElement[Any]:
        """A column as the current request may see it."""
        column: ColumnElement[Any] = self.table.c[name]
        return _masked(column) if name in self._hidden else column

    def agrees(self, name: str, value: object) -> ColumnElement[bool]:
        """Whether a row has the value, as far as the current request may know: who guesses is not told."""
        shown = _masked(literal(value, Text)) if name in self._hidden else value
        return self.column(name).is_not_distinct_from(shown)

    def kept(self, values: dict[str, Any]) -> dict[str, Any]:
        """The values to write: what a client sends back as it was shown is no new value."""
        return {
            name: case((self.column(name) == value, self.table.c[name]), else_=value) if name in self._hidden else value
            for name, value in values.items()
        }

    @property
    def _hidden(self) -> tuple[str, ...]:
        return self.masked if self.masked and current_reach().masks else ()

    def _selected(self, column: str) -> str:
        name = f'{self.table.name}."{self.table.c[column].name}"'
        if column not in self._hidden:
            return name
        for pattern, replacement, flags in _SECRETS:
            name = f"regexp_replace({name}, '{pattern}', '{replacement}', '{flags}')"
        return f'{name} as "{column}"'


def _masked(address: ColumnElement[Any]) -> ColumnElement[Any]:
    for secret in _SECRETS:
        address = func.regexp_replace(address, *secret)
    return address


def problem_response() -> dict[str, Any]:
    """A problem document, as the OpenAPI document describes it."""
    return {"content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}}
