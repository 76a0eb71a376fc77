"""The database as commands use it, and the commands about the database itself.

Invariant: a command works whether the feed runs or not: it uses the embedded server that runs, or starts it for as
long as needed, and finds the schema in place. In a database that is not embedded it creates nothing: only ``migrate``
does, and the start of the feed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import click
import psycopg2
from flask import current_app

from app.config import COMMAND, Config
from app.postgres import embedded
from app.postgres.migrate import MigrationError, migrate, missing_files


def current_config() -> Config:
    """The settings of the app that the command belongs to."""
    config: Config = current_app.extensions["config"]
    return config


@contextmanager
def database(*, migrated: bool = True) -> Iterator[str]:
    """The URL of the database, which runs for the block. Any obstacle becomes a sentence and status 1."""
    try:
        with embedded.running(current_config()) as url:
            if migrated and current_config().database_url is None:
                migrate(url)
            elif migrated and (lacking := missing_files(url)):
                raise click.ClickException(
                    f"The database lacks {len(lacking)} of the files in sql/, from {lacking[0]} on:"
                    f" run {COMMAND} migrate."
                )
            yield url
    except (embedded.PostgresError, MigrationError, psycopg2.OperationalError) as error:
        raise click.ClickException(str(error).strip()) from error


@click.command("database-url")
def url_command() -> None:
    """Print the URL of the database, for psql and other programs."""
    with database(migrated=False) as url:
        click.echo(url)


@click.command("migrate")
def migrate_command() -> None:
    """Apply the files of sql/ that the database does not have yet."""
    with database(migrated=False) as url:
        applied = migrate(url)
        click.echo("\n".join(f"Applied {name}." for name in applied) or "Nothing to apply.")
