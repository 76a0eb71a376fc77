"""Adopt: makes a database of the schema before this project one of ours, in place.

Invariant: rows stay as they are, and so do columns, types, checks, indexes, views and functions that are in nobody's
way. What is lacking is added; what has the names of our own functions and triggers goes. What cannot be decided here,
such as the zone of times that have none, is refused before anything is changed. It all happens in one transaction; the
migrations after the first one follow.

The first migration, run in a schema of its own, is what the tables are compared with.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from psycopg2.extensions import connection as Connection

from app.config import COMMAND
from app.postgres.connections import connect
from app.postgres.definitions import functions, triggers
from app.postgres.migrate import FOLDER, MigrationError, mark_applied

_FIRST = FOLDER / "0001_create_tables.sql"
_TABLES = ("sessions", "people_movements", "realtime_metrics", "alert_thresholds", "alert_logs")
_REFERENCE = "people_feed_reference"
# Types that hold what ours hold, and are rendered alike.
_ALIKE = {
    "text": {"text", "character varying", "character"},
    "double precision": {"double precision", "numeric", "real"},
    "integer": {"integer", "bigint", "smallint"},
}
_COLUMNS = """
select table_name, a.attname as column_name, format_type(a.atttypid, null) as type, typname, typtype = 'e' as is_enum,
       a.attnotnull as is_required, pg_get_expr(d.adbin, d.adrelid) as default_value
from pg_attribute a join pg_type t on t.oid = a.atttypid
join (select c.oid, c.relname as table_name from pg_class c join pg_namespace n on n.oid = c.relnamespace
      where n.nspname = %s and c.relname = any(%s) and c.relkind in ('r', 'p')) as tables on tables.oid = a.attrelid
left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
where a.attnum > 0 and not a.attisdropped
order by array_position(%s, table_name::text), a.attnum
"""
_KEYS = """
select c.conname, cl.relname, contype::text, a.attname, confdeltype::text, f.relname
from pg_constraint c join pg_class cl on cl.oid = c.conrelid join pg_namespace n on n.oid = cl.relnamespace
join pg_attribute a on a.attrelid = c.conrelid and c.conkey = array[a.attnum]
left join pg_class f on f.oid = c.confrelid
where n.nspname = %s and cl.relname = any(%s) and contype in ('p', 'f')
"""


@dataclass(frozen=True)
class Step:
    """One difference: what is done about it, as a sentence for people, and the statements."""

    what: str
    statements: tuple[str, ...]


def plan(url: str) -> list[Step]:
    """What adopting the database would do; changes nothing.

    Raises:
        MigrationError: there is nothing to adopt, or something that only its owner can decide.
    """
    connection = _open(url)
    try:
        return _plan(connection)
    finally:
        connection.rollback()
        connection.close()


def adopt(url: str) -> list[Step]:
    """Do it, up to and including the first migration; ``migrate`` does the rest.

    Raises:
        MigrationError: as ``plan``; nothing was changed.
    """
    connection = _open(url)
    try:
        steps = _plan(connection)
        with connection.cursor() as cursor:
            for step in steps:
                for statement in step.statements:
                    cursor.execute(statement)
        mark_applied(connection, _FIRST)
        connection.commit()
        return steps
    finally:
        connection.rollback()
        connection.close()


def _open(url: str) -> Connection:
    connection = connect(url, application_name="adopt", search_path="public", client_min_messages="warning")
    connection.autocommit = False
    return connection


def _plan(connection: Connection) -> list[Step]:
    here = {row["table_name"] for row in _columns(connection, "public")}
    if _rows(connection, "select to_regclass('public.schema_migrations')")[0][0]:
        raise MigrationError(f"This database has migrations of this project already: use {COMMAND} migrate.")
    if "sessions" not in here:
        raise MigrationError(f"There is no table sessions in this database: use {COMMAND} migrate for an empty one.")
    _make_reference(connection)
    try:
        refusals = list(_refusals(connection))
        if refusals:
            raise MigrationError("\n".join(["This has to be decided by you first:", *refusals]))
        objects = list(_objects(here, connection))
        return [
            *_strangers(connection),
            *(step for kind, step in objects if kind in ("type", "table")),
            *_columns_that_differ(connection),
            *_keys(connection),
            *(step for kind, step in objects if kind not in ("type", "table")),
        ]
    finally:
        _run(connection, f"drop schema if exists {_REFERENCE} cascade")


def _make_reference(connection: Connection) -> None:
    _run(connection, f"create schema {_REFERENCE}")
    _run(connection, f"set local search_path = {_REFERENCE}")
    _run(connection, _FIRST.read_text("utf-8"))
    _run(connection, "set local search_path = public")


def _refusals(connection: Connection) -> Iterator[str]:
    ours = {(row["table_name"], row["column_name"]): row for row in _columns(connection, _REFERENCE)}
    theirs = {(row["table_name"], row["column_name"]): row for row in _columns(connection, "public")}
    for (table, column), row in theirs.items():
        wanted = ours.get((table, column))
        if wanted is None:
            if row["is_required"] and row["default_value"] is None:
                yield f"- {table}.{column} is not ours and has neither a default nor nulls: REST could not write rows."
            continue
        if wanted["is_enum"]:
            labels, lacking = (
                _labels(connection, "public", row["typname"]),
                _labels(connection, _REFERENCE, row["typname"]),
            )
            if row["is_enum"] and (missing := [label for label in lacking if label not in labels]):
                yield f"- The type {row['typname']} lacks {', '.join(missing)}: ALTER TYPE … ADD VALUE adds them."
            elif not row["is_enum"] and row["type"] not in _ALIKE["text"]:
                yield f"- {table}.{column} is {row['type']}: it has to be {wanted['typname']} or text."
        elif row["type"] not in _ALIKE.get(wanted["type"], {wanted["type"]}):
            hint = " USING … AT TIME ZONE, with the zone that they are of" if "timestamp" in row["type"] else ""
            yield f"- {table}.{column} is {row['type']}: ALTER TABLE … TYPE {wanted['type']}{hint} makes it ours."
    for table in _TABLES:
        keys = [key for key in _rows(connection, _KEYS, "public", [table]) if key[2] == "p"]
        if any(name == table for name, _ in theirs) and [key[3] for key in keys] != ["id"]:
            yield f"- {table} has no primary key (id)."


def _strangers(connection: Connection) -> Iterator[Step]:
    """Functions and triggers that have the names of ours."""
    for name, arguments in _rows(
        connection,
        "select proname, pg_get_function_identity_arguments(oid) from pg_proc"
        " where pronamespace = 'public'::regnamespace and proname = any(%s)",
        list(functions()),
    ):
        yield Step(
            f"Drop the function {name}({arguments}) and its triggers: the change log has its own.",
            (f'drop function "{name}"({arguments}) cascade',),
        )
    for name, table in _rows(
        connection,
        "select tgname, tgrelid::regclass::text from pg_trigger where not tgisinternal and tgname = any(%s)"
        " and tgrelid = any(%s::regclass[])",
        list(triggers()),
        [table for table in _TABLES if _rows(connection, "select to_regclass(%s)", table)[0][0]],
    ):
        yield Step(f"Drop the trigger {name} of {table}.", (f'drop trigger if exists "{name}" on {table}',))


def _objects(here: set[str], connection: Connection) -> Iterator[tuple[str, Step]]:
    """What the first migration makes and is not there."""
    types = {
        name for (name,) in _rows(connection, "select typname from pg_type where typnamespace = 'public'::regnamespace")
    }
    for statement in _statements(_FIRST.read_text("utf-8")):
        match = re.match(r"create (type|table|index|function|trigger) (\w+)", statement)
        if match is None:
            raise MigrationError(f"{_FIRST.name} has a statement that adopt does not know: {statement[:60]}")
        kind, name = match.groups()
        if (kind == "type" and name in types) or (kind == "table" and name in here):
            continue
        made = statement.replace("create index", "create index if not exists", 1)
        yield kind, Step(f"Create the {kind} {name}.", (made,))


def _statements(text: str) -> list[str]:
    """The statements of the first migration: each begins a line with "create"."""
    lines = "\n".join(line for line in text.splitlines() if not line.startswith("--"))
    return [part.strip().rstrip(";") for part in re.split(r"(?m)^(?=create )", lines) if part.strip()]


def _columns_that_differ(connection: Connection) -> Iterator[Step]:
    theirs = {(row["table_name"], row["column_name"]): row for row in _columns(connection, "public")}
    here = {table for table, _ in theirs}
    for wanted in _columns(connection, _REFERENCE):
        table, column, default = wanted["table_name"], wanted["column_name"], wanted["default_value"]
        if table not in here:
            continue
        there = theirs.get((table, column))
        value = f" default {default}".replace(f"{_REFERENCE}.", "") if default else ""
        if there is None:
            kind = wanted["type"].replace(f"{_REFERENCE}.", "")
            required = " not null" if wanted["is_required"] and default else ""
            yield Step(
                f"Add the column {table}.{column}.",
                (f'alter table {table} add column "{column}" {kind}{value}{required}',),
            )
            continue
        if there["is_required"] and not wanted["is_required"]:
            yield Step(
                f"Let {table}.{column} be null.", (f'alter table {table} alter column "{column}" drop not null',)
            )
        if default and there["default_value"] is None:
            yield Step(
                f"Give {table}.{column} its default, {default}.".replace(f"{_REFERENCE}.", ""),
                (f'alter table {table} alter column "{column}" set{value}',),
            )


def _keys(connection: Connection) -> Iterator[Step]:
    """Foreign keys, and what becomes of rows whose session is deleted."""
    theirs = {(row[1], row[3]): row for row in _rows(connection, _KEYS, "public", list(_TABLES)) if row[2] == "f"}
    here = {row["table_name"] for row in _columns(connection, "public")}
    for name, table, _, column, action, target in [
        row for row in _rows(connection, _KEYS, _REFERENCE, list(_TABLES)) if row[2] == "f"
    ]:
        there = theirs.get((table, column))
        if table not in here or (there and (there[4], there[5]) == (action, target)):
            continue
        rule = "cascade" if action == "c" else "set null"
        old = (f'alter table {table} drop constraint "{there[0]}"',) if there else ()
        yield Step(
            f"Let {table}.{column} refer to {target}, on delete {rule}.",
            (
                *old,
                f"alter table {table} add constraint {name} foreign key ({column}) references {target} (id)"
                f" on delete {rule}",
            ),
        )


def _labels(connection: Connection, schema: str, name: str) -> list[str]:
    return [
        label
        for (label,) in _rows(
            connection,
            "select enumlabel::text from pg_enum e join pg_type t on t.oid = e.enumtypid"
            " where typnamespace = %s::regnamespace and typname = %s order by enumsortorder",
            schema,
            name,
        )
    ]


def _columns(connection: Connection, schema: str) -> list[dict[str, Any]]:
    names = ("table_name", "column_name", "type", "typname", "is_enum", "is_required", "default_value")
    tables = list(_TABLES)
    return [dict(zip(names, row, strict=True)) for row in _rows(connection, _COLUMNS, schema, tables, tables)]


def _rows(connection: Connection, query: str, *values: object) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query, values)
        return cursor.fetchall()


def _run(connection: Connection, statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)
