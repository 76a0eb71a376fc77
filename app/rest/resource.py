"""Resource: what the API says of a table beyond its columns.

Invariant: rows leave as PostgreSQL renders them (row_to_json on a connection in UTC), the same text that the triggers
put into the change log, so REST and stream agree by construction. Writers never publish: the triggers record what was
written. lists.py, rows.py, ingest.py and export.py act on a resource; endpoints.py puts them together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Table, Text, literal_column

from app.postgres.tables import Model


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

    @property
    def a_noun(self) -> str:
        """The noun with its article."""
        return f"{'an' if self.noun[0] in 'aeiou' else 'a'} {self.noun}"

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

    def row(self, fields: Sequence[str] = ()) -> ColumnElement[str]:
        """A row as JSON text, of these columns only if there are any."""
        name = self.table.name
        if not fields:
            return literal_column(f"row_to_json({name})::text", Text)
        columns = ", ".join(f'{name}."{self.table.c[column].name}"' for column in fields)
        return literal_column(f"(select row_to_json(part)::text from (select {columns}) as part)", Text)


def problem_response() -> dict[str, Any]:
    """A problem document, as the OpenAPI document describes it."""
    return {"content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}}
