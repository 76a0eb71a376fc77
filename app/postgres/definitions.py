"""Definitions: whether the functions and triggers of a database are those that the migrations make.

Invariant: what they should be is read from ``sql/schema.sql``, which a test holds against the migrations. Another
program may bring functions and triggers of the same names; then changes reach nobody, and no error says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from psycopg2.extensions import connection as Connection

from app.config import CHECKOUT

_FILE = CHECKOUT / "sql" / "schema.sql"
_FUNCTION = re.compile(
    r"^CREATE (?:FUNCTION|PROCEDURE) public\.(\w+)\(.*?\n    AS (\$\w*\$)(.*?)\2;", re.MULTILINE | re.DOTALL
)
_TRIGGER = re.compile(r"^CREATE (?:CONSTRAINT )?TRIGGER (\w+) .* ON (public\.\w+) .*;", re.MULTILINE)
# The triggers that record changes, what they execute, and what gives the changes their ids.
_RECORDING = re.compile(r"notify_\w+|\w+_(?:change_trigger|truncate)|\w+_changes|sealed")


@cache
def functions() -> dict[str, str]:
    """The bodies of all functions, by name."""
    return {name: body for name, _, body in _FUNCTION.findall(_FILE.read_text("utf-8"))}


@cache
def triggers() -> dict[str, str]:
    """The definitions of all triggers, by name."""
    return {match[1]: match[0].rstrip(";") for match in _TRIGGER.finditer(_FILE.read_text("utf-8"))}


def differences(connection: Connection, *, only_recording: bool = False) -> Iterator[str]:
    """What is missing, switched off or different, each as the rest of a sentence.

    Args:
        only_recording: look only at what changes need to be recorded.
    """
    with connection.cursor() as cursor:
        cursor.execute("select proname, prosrc from pg_proc where pronamespace = 'public'::regnamespace")
        there: dict[str, str] = dict(cursor.fetchall())
        cursor.execute(
            "select tgname, pg_get_triggerdef(t.oid), tgenabled from pg_trigger t join pg_class c on c.oid = tgrelid"
            " where not tgisinternal and relnamespace = 'public'::regnamespace"
        )
        present = {name: (definition, state) for name, definition, state in cursor.fetchall()}
    for name, body in functions().items():
        if only_recording and not _RECORDING.fullmatch(name):
            continue
        if name not in there:
            yield f"the function {name} is missing"
        elif there[name] != body:
            yield f"the function {name} is another one"
    for name, definition in triggers().items():
        if only_recording and not _RECORDING.fullmatch(name):
            continue
        found, state = present.get(name, ("", ""))
        if not found:
            yield f"the trigger {name} is missing"
        elif state not in ("O", "A"):
            yield f"the trigger {name} is switched off"
        elif _plain(found) != _plain(definition):
            yield f"the trigger {name} is another one"


def _plain(definition: str) -> str:
    """Without the schema, which PostgreSQL names or not, and the type of numbers, which is the column's."""
    return re.sub(r"\((\d+)\)::(?:double precision|numeric|real)", r"\1", definition.replace("public.", ""))
