"""Beside: databases made for a while beside the feed's own, on the same server, one of which may take its place.

Invariant: a database made here is dropped at the end of its block, however that ends. The swap is one transaction: at
any moment, the name means the whole old database or the whole new one.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import make_dsn, parse_dsn

from app.postgres.connections import connect

# is_plain: CREATE DATABASE without options makes one that is alike.
_HOME = """
select d.oid, d.datname, current_user, pg_get_userbyid(coalesce(c.relowner, d.datdba)) as owner,
       r.rolsuper or r.rolcreatedb as may_create,
       r.rolsuper or r.rolcreatedb and pg_has_role(d.datdba, 'member') as may_rename,
       not exists (select from pg_db_role_setting where setdatabase = d.oid) and not exists (
           select from unnest(array['encoding', 'datcollate', 'datctype', 'datlocprovider', 'datlocale', 'daticulocale',
                                    'daticurules', 'dattablespace', 'datconnlimit']) as name
           where to_jsonb(d) -> name is distinct from to_jsonb(t) -> name) as is_plain
from pg_database d join pg_database t on t.datname = 'template1' join pg_roles r on r.rolname = current_user
left join pg_class c on c.oid = to_regclass('public.change_log')
where d.datname = current_database()
"""
_RIGHTS = """
select case when grantee = 0 then 'public' else quote_ident(pg_get_userbyid(grantee)) end, privilege_type, is_grantable
from pg_database d, aclexplode(coalesce(datacl, acldefault('d', datdba))) where d.oid = %s and grantee <> datdba
"""
# Of those whom this role may end.
_END_SESSIONS = """
select pg_terminate_backend(a.pid) from pg_stat_activity a join pg_roles r on r.oid = a.usesysid
join pg_roles me on me.rolname = current_user
where a.datid = %s and a.pid <> pg_backend_pid()
  and (me.rolsuper or not r.rolsuper and pg_has_role(me.oid, r.oid, 'member'))
"""
_LEFT = "select coalesce(string_agg(distinct usename, ', '), 'others') from pg_stat_activity where datid = %s"


class BesideError(RuntimeError):
    """The swap did not happen; the message is a sentence."""


@dataclass(frozen=True)
class _Home:
    oid: int
    name: str
    role: str
    owner: str
    may_create: bool
    may_rename: bool
    is_plain: bool


class Beside:
    """The place beside the feed's database.

    Args:
        url: the feed's database, by the role that owns what is in it or is a member of that role.
        admin_url: the same by a role that may do more, where there is one.
    """

    def __init__(self, url: str, admin_url: str | None = None) -> None:
        self._url = url
        self._admin_url = admin_url or url
        with self._connected() as connection:
            self._home = _Home(*_rows(connection, _HOME)[0])

    @property
    def name(self) -> str:
        """The name of the feed's database."""
        return self._home.name

    @property
    def role(self) -> str:
        """Who would make databases."""
        return self._home.role

    @property
    def may_create(self) -> bool:
        """Whether a database can be made here."""
        return self._home.may_create

    @property
    def may_swap(self) -> bool:
        """Whether one can be made that is like the feed's, and take its place."""
        return self._home.may_rename and self._home.is_plain

    def url(self, name: str | None = None) -> str:
        """How to reach a database as the owner of what is in the feed's."""
        parts = parse_dsn(self._url) | {"dbname": name or self.name}
        owner = self._home.owner.replace("\\", r"\\").replace(" ", r"\ ")
        url: str = make_dsn(**parts | {"options": f"{parts.get('options', '')} -c role={owner}".strip()})
        return url

    @contextmanager
    def scratch(self, noun: str) -> Iterator[str]:
        """The name of a new and empty database, until the end of the block."""
        name = f"people_feed_{noun}_{secrets.token_hex(6)}"
        try:
            with self._connected() as connection:
                _run(connection, "create database {} owner {}", name, self._home.owner)
                _run(connection, "revoke all on database {} from public", name)
            yield name
        finally:
            self._drop(name)

    def swap(self, fresh: str) -> None:
        """Let a database of ``scratch`` take the place and the rights of the feed's, which is dropped.

        All sessions of the feed's end; new ones wait until it is done.

        Raises:
            BesideError: some sessions could not be ended; nothing was changed.
        """
        aside = f"people_feed_replaced_{secrets.token_hex(6)}"
        with self.scratch("swap") as third, self._connected(third) as renaming, self._connected(third) as ending:
            for grantee, privilege, is_grantable in _rows(ending, _RIGHTS, self._home.oid):
                option = " with grant option" if is_grantable else ""
                _run(ending, f"grant {privilege} on database {{}} to {grantee}{option}", fresh)
            failed: list[psycopg2.Error] = []
            thread = threading.Thread(target=_rename, args=(renaming, failed, self.name, aside, fresh))
            thread.start()
            try:
                # The renaming holds the lock that new sessions wait for, and gives up after five seconds.
                while thread.is_alive():
                    _rows(ending, _END_SESSIONS, self._home.oid)
                    thread.join(0.05)
            finally:  # also if a signal ends the wait: then it is done or not, but never unknown
                thread.join()
                if not failed:
                    self._drop(aside)
            if failed:
                [(who,)] = _rows(ending, _LEFT, self._home.oid)
                raise BesideError(
                    f"The database {self.name} could not be replaced, and nothing was changed: sessions of {who} stay."
                    f" End them and try again. PostgreSQL says: {str(failed[0]).strip()}"
                )

    def end_sessions(self) -> None:
        """End all other sessions of the feed's database that this role may end."""
        with self._connected() as connection:
            _rows(connection, _END_SESSIONS, self._home.oid)

    def _drop(self, name: str) -> None:
        with self._connected() as connection:
            _run(connection, "drop database if exists {} with (force)", name)

    @contextmanager
    def _connected(self, name: str | None = None) -> Iterator[Connection]:
        url = make_dsn(self._admin_url, **({} if name is None else {"dbname": name}))
        with closing(connect(url, application_name="people-feed backup", client_min_messages="warning")) as connection:
            yield connection


def _rename(connection: Connection, failed: list[psycopg2.Error], name: str, aside: str, fresh: str) -> None:
    try:
        connection.autocommit = False
        with connection:
            _run(connection, "alter database {} rename to {}", name, aside)
            _run(connection, "alter database {} rename to {}", fresh, name)
    except psycopg2.Error as error:
        failed.append(error)


def _run(connection: Connection, statement: str, *names: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


def _rows(connection: Connection, query: str, *values: object) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query, values)
        return cursor.fetchall()
