"""flask adopt: take over a database of the schema before this project."""

from __future__ import annotations

import click
import psycopg2

from app.cli.database import current_config
from app.config import COMMAND
from app.postgres.adopt import adopt, plan
from app.postgres.migrate import MigrationError, migrate


@click.command("adopt")
@click.option("--apply", "is_applied", is_flag=True, help="Do it; without this, say what would be done.")
def command(is_applied: bool) -> None:
    """Take over a database that has the tables already, but no change log. No row is touched.

    Give its address as DATABASE_URL. Make a backup first, and stop the programs that create tables and triggers there.
    """
    url = current_config().database_url
    if url is None:
        raise click.ClickException("Say which database: DATABASE_URL=postgresql://user:password@host:port/database.")
    try:
        steps = adopt(url) if is_applied else plan(url)
        for step in steps:
            click.echo(f"{'✓' if is_applied else '·'} {step.what}")
        applied = migrate(url) if is_applied else []
    except (MigrationError, psycopg2.Error) as error:
        raise click.ClickException(str(error).strip()) from error
    if is_applied:
        click.echo(f"Adopted: {len(steps)} steps, then {len(applied)} files of sql/. {COMMAND} doctor looks it over.")
    else:
        click.echo(f"{len(steps)} steps. Nothing was changed; --apply does them, in one transaction.")
