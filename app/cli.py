"""Commands of ``flask``.

Invariant: a command works whether the feed runs or not: it uses the embedded server that runs, or starts it for as
long as it needs it, and finds the schema in place. Other modules bring commands of their own, built the same way:
``with database() as url``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import click
import psycopg2
from flask import Flask, current_app

from app import postgres
from app.config import Config
from app.migrate import MigrationError, migrate


def register(app: Flask) -> None:
    """Add the commands of this module, and those that others have built upon it."""
    from app.doctor import doctor
    from app.replay import replay
    from app.retention import prune_command
    from app.simulate import simulate
    from app.stats import stats
    from app.tail import tail

    app.cli.add_command(tail)
    app.cli.add_command(doctor)
    app.cli.add_command(stats)
    app.cli.add_command(replay)
    app.cli.add_command(simulate)
    app.cli.add_command(prune_command)
    app.cli.add_command(database_url)
    app.cli.add_command(migrate_command)


@contextmanager
def database(*, migrated: bool = True) -> Iterator[str]:
    """The URL of the database, there for the block. What stands in the way becomes a sentence and status 1."""
    config: Config = current_app.extensions["config"]
    try:
        with postgres.running(config) as url:
            if migrated:
                migrate(url)
            yield url
    except (postgres.PostgresError, MigrationError, psycopg2.OperationalError) as error:
        raise click.ClickException(str(error).strip()) from error


@click.command("database-url")
def database_url() -> None:
    """Print how to reach the database: psql "$(flask database-url)"."""
    with database(migrated=False) as url:
        click.echo(url)


@click.command("migrate")
def migrate_command() -> None:
    """Apply the files of sql/ that the database does not have yet."""
    with database(migrated=False) as url:
        applied = migrate(url)
        click.echo("\n".join(f"Applied {name}." for name in applied) or "Nothing to apply.")
