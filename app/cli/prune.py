"""flask prune: prunes the change log by hand, as the feed does by itself."""

from __future__ import annotations

from contextlib import closing

import click

from app.cli.database import current_config, database
from app.feed.pruner import MEGABYTE, extent, lock, prune
from app.postgres.connections import connect


@click.command("prune")
def command() -> None:
    """Delete the changes that are older, or more, than CHANGE_LOG_RETENTION allows; the feed does it by itself."""
    config = current_config()
    with database() as url, closing(connect(url, application_name="prune")) as connection:
        if not lock(connection):
            raise click.ClickException("Another process is pruning the log right now.")
        before = extent(connection)
        click.echo(str(before))
        click.echo(f"To keep: {config.retention_hours:g} hours, at most {config.retention_bytes / MEGABYTE:g} MB.")
        deleted = sum(prune(connection, hours=config.retention_hours, most_bytes=config.retention_bytes))
        click.echo(f"Deleted {deleted} changes. {extent(connection, before.first)}")
