"""flask recount: counts the movements anew from their rows."""

from __future__ import annotations

from contextlib import closing

import click
import psycopg2

from app.cli.database import database
from app.postgres.connections import connect


@click.command("recount")
def command() -> None:
    """Count all movements anew, after they were written or removed while triggers were off.

    `doctor --counts` tells whether that is so.
    """
    with database() as url, closing(connect(url, application_name="recount", is_patient=True)) as connection:
        try:
            with connection.cursor() as cursor:
                cursor.execute("select number_changes()")  # what has no id yet would be left out
            with connection, connection.cursor() as cursor:
                # Who folds waits, and finds the counts done.
                cursor.execute("select from movement_counts_cursor for update")
                cursor.execute("select recount_movements()")
                cursor.execute("select coalesce(sum(entered + exited), 0), count(*) from movement_counts")
                [(movements, minutes)] = cursor.fetchall()
        except psycopg2.Error as error:
            raise click.ClickException(
                f"The database refused: {str(error).strip()}. The counts are as before."
            ) from error
    click.echo(f"Counted {movements} movements in {minutes} minutes of sessions.")
