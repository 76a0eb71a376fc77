"""flask schema: writes sql/schema.sql, the schema that the migrations make."""

from __future__ import annotations

import tempfile
from pathlib import Path

import click

from app.postgres.embedded import PostgresError, Server
from app.postgres.migrate import MigrationError, migrate
from app.postgres.schema import FILE, SchemaError, schema_of


@click.command("schema")
def command() -> None:
    """Write sql/schema.sql, from the migrations and an embedded PostgreSQL of its own."""
    with tempfile.TemporaryDirectory(prefix="people-feed-schema-", dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)  # the server's user may be another one, and must get there
        server = Server(folder, fsync="off")
        try:
            server.start()
            migrate(server.url())
            text = schema_of(server.url())
        except (PostgresError, MigrationError, SchemaError) as error:
            raise click.ClickException(str(error)) from error
        finally:
            server.stop()
    FILE.write_text(text, "utf-8")
    click.echo(f"Wrote {FILE}.")
