"""Probe: whether a database can serve the feed right now, asked over a connection of its own.

Invariant: the answer comes within the time limit, also from a server that accepts connections and says nothing. A
pooled connection could not promise that: it may be waiting for an earlier answer.
"""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path

import gevent
import psycopg2

from app.config import COMMAND
from app.postgres.connections import connect
from app.postgres.definitions import differences

# Two segments of the write-ahead log. With less, PostgreSQL may stop at any commit.
_LEAST_FREE_BYTES = 32 * 1024 * 1024
_QUESTION = """
select current_setting('server_encoding'), current_setting('transaction_read_only') = 'on',
       coalesce(has_table_privilege(to_regclass('public.change_log'), 'select'), false)
"""


def hindrance(url: str, seconds: float, folder: Path | None = None) -> str:
    """What keeps the feed from working with this database, as the rest of a sentence; empty if nothing does.

    Args:
        folder: where the database keeps its files, if they are on this machine.
    """
    if folder is not None and (free := shutil.disk_usage(folder).free) < _LEAST_FREE_BYTES:
        return f"has only {free / 1024**2:.0f} MB left on its disk"
    limit = gevent.Timeout(seconds)
    try:
        with (
            limit,
            closing(connect(url, application_name="probe", connect_seconds=seconds + 1)) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(_QUESTION)
            [(encoding, is_read_only, has_log)] = cursor.fetchall()
            wrong = next(differences(connection, only_recording=True), "") if has_log else ""
    except gevent.Timeout as fired:
        if fired is not limit:
            raise
        return f"does not answer within {seconds:g} s"
    except psycopg2.Error as error:
        return f"is unavailable: {str(error).strip()}"
    if encoding != "UTF8":
        return f"has the encoding {encoding}, and only UTF8 holds every name"
    if is_read_only:
        return "is read-only"
    if wrong:
        return f"records no changes: {wrong}"
    return "" if has_log else f"has no change log that this role may read: run {COMMAND} migrate"
