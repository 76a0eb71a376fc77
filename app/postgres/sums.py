"""Sums: how many rows each table has, and a checksum over them, by which two databases are compared.

Invariant: the order of rows does not matter, and every column does. Both sides have to be read with the same settings,
which ``connect`` here sees to, and on the same server, since a hash may differ between versions.
"""

from __future__ import annotations

from collections.abc import Collection
from decimal import Decimal

from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from app.postgres.connections import connect

_TABLES = r"""
select n.nspname, c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind = 'r' and n.nspname <> 'information_schema' and n.nspname !~ '^pg_'
  and not exists (select from pg_depend where classid = 'pg_class'::regclass and objid = c.oid and deptype = 'e')
order by 1, 2
"""
_SUM = "select count(*), coalesce(sum(hashtextextended(whole_row::text, 0)), 0) from only {} as whole_row"

Sums = dict[str, tuple[int, Decimal]]


def open_to_sum(url: str) -> Connection:
    """A connection in a transaction that reads one snapshot and renders rows as the other side does."""
    connection = connect(
        url,
        application_name="people-feed backup",
        timezone="UTC",
        datestyle="ISO",
        intervalstyle="postgres",
        bytea_output="hex",
        extra_float_digits=3,
        row_security="off",
        idle_in_transaction_session_timeout=0,  # pg_dump takes as long as it takes
    )
    connection.set_session(isolation_level="REPEATABLE READ", readonly=True, autocommit=False)
    return connection


def tables_of(connection: Connection) -> list[tuple[str, str]]:
    """Schema and name of each table, but for those of PostgreSQL and of extensions."""
    with connection.cursor() as cursor:
        cursor.execute(_TABLES)
        return cursor.fetchall()


def sums(connection: Connection, but_for: Collection[str] = ()) -> Sums:
    """The rows and the checksum of each table, but for those named."""
    found: Sums = {}
    with connection.cursor() as cursor:
        for schema, table in tables_of(connection):
            if schema != "public" or table not in but_for:
                cursor.execute(sql.SQL(_SUM).format(sql.Identifier(schema, table)))
                [found[table if schema == "public" else f"{schema}.{table}"]] = cursor.fetchall()
    return found
