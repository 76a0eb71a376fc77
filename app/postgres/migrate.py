"""Migrations: bring a database to the schema in ``sql/``.

Invariant: ``schema_migrations`` names, in order, exactly the files that were applied in full. There is one runner at a
time and one transaction per file, and an applied file never changes: anything else is refused.

Writers go on meanwhile. While a file is applied they wait; and if it cannot be applied because somebody holds a table,
nobody waits for it much longer than a second: it gives way, and tries again.
"""

from __future__ import annotations

import logging
import random
import time
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import psycopg2
from psycopg2 import sql
from psycopg2.errors import DeadlockDetected, LockNotAvailable
from psycopg2.extensions import connection as Connection

from app.config import CHECKOUT
from app.postgres.connections import connect

log = logging.getLogger(__name__)

FOLDER = CHECKOUT / "sql"
# Those with foreign keys come before what these refer to, as a writer takes its locks: locked the other way round, each
# could wait for the other.
_TABLES = ("people_movements", "realtime_metrics", "alert_logs", "alert_thresholds", "sessions")
# How long to wait for a lock, as shares of deadlock_timeout: that is when PostgreSQL looks for a deadlock and ends one
# of the two, which shall not be the writer. But it is also when a VACUUM of its own gives way, and not before.
_LOCK_TIMEOUT, _LOCK_TIMEOUT_BESIDE_VACUUM = 0.5, 1.5
# How long to try for, and the longest pause between two tries, in seconds.
_PATIENCE = 300.0
_PAUSE = 2.0
_TABLE = """
create table if not exists schema_migrations (
    name text primary key, sha256 text not null, applied_at timestamptz not null default now())
"""


class MigrationError(RuntimeError):
    """The files and the database disagree; the message says where."""


def migrate(url: str, folder: Path = FOLDER) -> list[str]:
    """Apply the missing files in order and return their names.

    Raises:
        MigrationError: the server is too old, or a file failed, was changed, is missing, or was added too late.
        psycopg2.OperationalError: the database cannot be reached.
    """
    connection = connect(url, application_name="migrate", search_path="public", client_min_messages="warning")
    try:
        if connection.server_version < 140_000:
            raise MigrationError(f"PostgreSQL {connection.server_version // 10_000} is too old: use 14 or newer.")
        return _apply(connection, {file.name: file.read_text("utf-8") for file in sorted(folder.glob("[0-9]*.sql"))})
    finally:
        connection.close()


def _apply(connection: Connection, files: dict[str, str]) -> list[str]:
    applied = _applied(connection)
    for name, digest in applied.items():
        if name not in files:
            raise MigrationError(
                f"The database has {name}, which is not in sql/: this program is older than its database."
            )
        if digest != _digest(files[name]):
            raise MigrationError(
                f"sql/{name} was changed after it was applied: restore it, and add a new file instead."
            )
    missing = [name for name in files if name not in applied]
    if missing and applied and missing[0] < max(applied):
        raise MigrationError(
            f"sql/{missing[0]} comes before {max(applied)}, which is applied: give it the next number."
        )
    return [name for name in missing if _apply_file(connection, name, files[name])]


def missing_files(url: str, folder: Path = FOLDER) -> list[str]:
    """The files that the database does not have yet; writes nothing.

    Raises:
        psycopg2.OperationalError: the database cannot be reached.
    """
    connection = connect(url, application_name="migrate", search_path="public")
    try:
        with connection.cursor() as cursor:
            cursor.execute("select to_regclass('schema_migrations')")
            is_empty = cursor.fetchall() == [(None,)]
            if not is_empty:
                cursor.execute("select name from schema_migrations")
            applied = set() if is_empty else {name for (name,) in cursor.fetchall()}
    finally:
        connection.close()
    return sorted(file.name for file in folder.glob("[0-9]*.sql") if file.name not in applied)


def unknown_files(applied: dict[str, str], folder: Path = FOLDER) -> list[str]:
    """Those of a database's migrations, given with their digests, that the folder lacks or has otherwise."""
    known = {file.name: _digest(file.read_text("utf-8")) for file in folder.glob("[0-9]*.sql")}
    return sorted(name for name, digest in applied.items() if known.get(name) != digest)


def mark_applied(connection: Connection, file: Path) -> None:
    """Say that a file needs not be applied, as part of the connection's transaction."""
    with connection.cursor() as cursor:
        cursor.execute(_TABLE)
        digest = _digest(file.read_text("utf-8"))
        cursor.execute("insert into schema_migrations (name, sha256) values (%s, %s)", (file.name, digest))


def _applied(connection: Connection) -> dict[str, str]:
    with connection.cursor() as cursor:
        # Two runners may create it at once, and then one of them fails.
        with suppress(psycopg2.errors.UniqueViolation, psycopg2.errors.DuplicateTable):
            cursor.execute(_TABLE)
        cursor.execute("select name, sha256 from schema_migrations order by name")
        return dict(cursor.fetchall())


def _apply_file(connection: Connection, name: str, text: str) -> bool:
    """Apply a file, unless another runner has just done so; returns whether it did."""
    end = time.monotonic() + _PATIENCE
    while True:
        try:
            return _try_file(connection, name, text)
        except (DeadlockDetected, LockNotAvailable) as error:
            holders = _holders(connection)
            if time.monotonic() > end:
                raise MigrationError(
                    f"sql/{name} waited {_PATIENCE:.0f} s for tables that others hold: end what holds them, and start "
                    f"again. {holders}"
                ) from error
            log.warning("sql/%s waits for tables that others hold, and gives way meanwhile. %s", name, holders)
            time.sleep(_PAUSE * random.uniform(0.1, 1))
        except psycopg2.OperationalError:
            raise
        except psycopg2.Error as error:
            raise MigrationError(f"sql/{name} failed: {str(error).strip()}") from error


def _try_file(connection: Connection, name: str, text: str) -> bool:
    with connection, connection.cursor() as cursor:
        # Not an advisory lock, which any role that may connect could hold for ever.
        cursor.execute("lock table schema_migrations in share row exclusive mode")
        cursor.execute("select from schema_migrations where name = %s", (name,))
        if cursor.rowcount:
            return False
        cursor.execute(
            # In milliseconds; 0 would be for ever.
            "select set_config('lock_timeout', least(greatest(%s * setting::integer, 1), 1500)::integer::text, true)"
            " from pg_settings where name = 'deadlock_timeout'",
            (_LOCK_TIMEOUT_BESIDE_VACUUM if _is_vacuumed(connection) else _LOCK_TIMEOUT,),
        )
        for table in _TABLES:
            cursor.execute("select to_regclass(%s)", (table,))
            if cursor.fetchall() != [(None,)]:
                statement = sql.SQL("lock table {} in access exclusive mode")
                cursor.execute(statement.format(sql.Identifier(table)))
        cursor.execute(text)  # no parameters, so that % and $$ stay as they are
        cursor.execute("insert into schema_migrations (name, sha256) values (%s, %s)", (name, _digest(text)))
        return True


def _is_vacuumed(connection: Connection) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "select exists (select from pg_stat_progress_vacuum where datid = d.oid)"
            " or exists (select from pg_stat_progress_analyze where datid = d.oid)"
            " from pg_database d where datname = current_database()"
        )
        return cursor.fetchall() == [(True,)]


def _holders(connection: Connection) -> str:
    """Who holds locks on tables for longest, in words."""
    with connection.cursor() as cursor:
        cursor.execute(
            "select a.pid, a.application_name, extract(epoch from clock_timestamp() - a.xact_start)::integer"
            " from pg_stat_activity a where a.datname = current_database() and a.pid <> pg_backend_pid()"
            " and exists (select from pg_locks l join pg_class c on c.oid = l.relation"
            " where l.pid = a.pid and l.granted and c.relname = any (%s)) order by a.xact_start limit 3",
            (list(_TABLES),),
        )
        return "; ".join(
            f"Process {pid} ({name or 'without a name'}) has had a transaction open"
            + ("" if seconds is None else f" for {seconds} s")  # of other roles, not everyone may know
            for pid, name, seconds in cursor.fetchall()
        )


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()
