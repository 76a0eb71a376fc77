"""Paging: keyset paging over (order column, id), and the tokens that name a position in such an order.

Invariant: going through the pages of an order shows every row that stood still exactly once, however many rows come
and go meanwhile, because a token is a position between rows and not a number of rows.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Any, Self, TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, Select, Table, Text, Uuid, cast, literal, tuple_

from app.rest.problems import FieldError, ProblemError

Rows = TypeVar("Rows", bound=Select[*tuple[Any, ...]])


@dataclass(frozen=True)
class Position:
    """Just after the row with this value (as PostgreSQL writes it) and id."""

    value: str
    id: str

    def token(self, order: str) -> str:
        """The paging token that clients send back; valid for this order only."""
        return base64.urlsafe_b64encode(json.dumps([order, self.value, self.id]).encode()).decode().rstrip("=")

    @classmethod
    def read(cls, token: str, order: str, parameter: str) -> Self:
        """The position in a paging token.

        Raises:
            ProblemError: 400, the token is not from a list in this order.
        """
        try:
            written, value, row_id = json.loads(base64.b64decode(token + "=" * (-len(token) % 4), b"-_", validate=True))
            if written != order or not isinstance(value, str) or "\0" in value:
                raise ValueError(order)
            return cls(value, str(UUID(row_id)))
        except (ValueError, TypeError, AttributeError, RecursionError, binascii.Error):
            detail = f"This paging token is not from a list in the order {order}."
            raise ProblemError(
                400, detail, [FieldError(field=parameter, message="is not a paging token of this list")]
            ) from None


@dataclass(frozen=True)
class Order:
    """An order of a list: ``-created_at`` is newest first; the id decides between equal values."""

    name: str
    table: Table

    @property
    def column(self) -> ColumnElement[Any]:
        """The column that leads the order."""
        column: ColumnElement[Any] = self.table.c[self.name.removeprefix("-")]
        return column

    def beyond(self, position: Position, *, backwards: bool = False) -> ColumnElement[bool]:
        """The rows after the position in this order, or before it."""
        key = tuple_(self.column, self.table.c.id)
        there = tuple_(
            cast(literal(position.value, Text), self.column.type), cast(literal(position.id, Text), Uuid(as_uuid=False))
        )
        return key < there if self._falls(backwards) else key > there

    def applied(self, query: Rows, *, backwards: bool = False) -> Rows:
        """The query in this order, or in its reverse."""
        falls = self._falls(backwards)
        keys = (self.column, self.table.c.id)
        return query.order_by(*(key.desc() if falls else key.asc() for key in keys))

    def _falls(self, backwards: bool) -> bool:
        return self.name.startswith("-") != backwards
