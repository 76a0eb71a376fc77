"""Audit: who did what to which row from where.

Invariant: each entry's hash covers the one before it, and the home of access holds the newest: what is altered, removed
or cut off is found by ``first_break``. Who owns the database can compute the chain anew; who wants to be safe from that
keeps its head elsewhere.
"""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Connection, text

_ADD = text("select audit(:actor, :address, :action, :subject, cast(:details as jsonb))")
_LIST = text(
    "select id::text as id, at, actor, address, action, subject, details from access_audit"
    " where cast(:before as bigint) is null or id < cast(:before as bigint) order by id desc limit :limit"
)
_BREAK = text("""
select coalesce(
    (select min(id) from (
        select a.id, a.hash, lag(a.hash, 1, sha256('')) over (order by a.id) as before, a.id - row_number() over (order
        by a.id) as gap,
               audit_hash(lag(a.hash, 1, sha256('')) over (order by a.id), a) as due
        from access_audit a) as chain
     where gap <> 0 or hash <> due),
    (select audit_id from access_home
     where (audit_id, audit_hash) is distinct from
           (select (coalesce(max(id), 0), coalesce((array_agg(hash order by id desc))[1], sha256(''))) from
           access_audit)
    ))
""")
_HEAD = text("select audit_id, encode(audit_hash, 'hex') from access_home")

Row = dict[str, Any]


def add_entry(
    connection: Connection, actor: str, address: str, action: str, subject: str = "", **details: object
) -> None:
    """Add an entry, in the transaction of what it tells of."""
    values = {"actor": actor, "address": address, "action": action, "subject": subject}
    connection.execute(_ADD, {**values, "details": json.dumps(details, default=str)})


def list_entries(connection: Connection, limit: int, before: int | None = None) -> list[Row]:
    """The newest entries, or those before this one."""
    return [dict(row) for row in connection.execute(_LIST, {"limit": limit, "before": before}).mappings()]


def first_break(connection: Connection) -> int | None:
    """The first entry that is not as it was written, or is missing; None if the chain is whole."""
    found: int | None = connection.execute(_BREAK).scalar_one_or_none()
    return found


def head(connection: Connection) -> tuple[int, str]:
    """The number of entries, and the hash of the newest in hex."""
    number, digest = connection.execute(_HEAD).one()
    return number, digest


def contains(connection: Connection, digest: str) -> bool:
    """Whether this was the head at some time."""
    found = text("select exists (select from access_audit where encode(hash, 'hex') = :digest)")
    known: bool = connection.execute(found, {"digest": digest.strip().lower()}).scalar_one()
    return known
