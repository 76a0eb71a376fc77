"""flask prune: prunes the change log and the readings by hand, as the feed does by itself."""

from __future__ import annotations

from contextlib import closing

import click

from app.cli.database import current_config, database
from app.feed.pruner import MEGABYTE, Busy, extent, prune, prune_readings
from app.postgres.connections import connect


@click.command("prune")
def command() -> None:
    """Delete the changes that CHANGE_LOG_RETENTION, and the readings that METRICS_RETENTION does not keep.

    The feed does it by itself.
    """
    config = current_config()
    with database() as url, closing(connect(url, application_name="prune")) as connection:
        click.echo(str(extent(connection)))
        click.echo(f"To keep: {config.retention_hours:g} hours, at most {config.retention_bytes / MEGABYTE:g} MB.")
        try:
            deleted = sum(prune(connection, hours=config.retention_hours, most_bytes=config.retention_bytes))
            days, minutes_days = config.readings_retention_days, config.minutes_retention_days
            aged = sum(prune_readings(connection, days=days, minutes_days=minutes_days))
        except Busy as error:
            raise click.ClickException(str(error)) from error
        click.echo(f"Deleted {deleted} changes. {extent(connection)}")
        if aged:
            click.echo(f"{aged} readings and minutes have aged out.")
