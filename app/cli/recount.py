"""flask recount: counts the movements, and sums up the readings, anew from their rows."""

from __future__ import annotations

from contextlib import closing

import click
import psycopg2
from psycopg2.extensions import connection as Connection

from app.cli.database import database
from app.feed.rollups import Rollups
from app.postgres.connections import connect


@click.command("recount")
def command() -> None:
    """Count movements and sum up readings anew, after they were written or removed while triggers were off.

    `doctor --counts` tells whether that is so.
    """
    with database() as url, closing(connect(url, application_name="recount", is_patient=True)) as connection:
        try:
            movements, minutes = count_movements(connection)
        except psycopg2.Error as error:
            raise click.ClickException(
                f"The database refused: {str(error).strip()}. The counts are as before."
            ) from error
        click.echo(f"Counted {movements} movements in {minutes} minutes of sessions.")
        try:
            readings, minutes = sum_up_readings(connection)
        except psycopg2.Error as error:
            raise click.ClickException(
                f"The database refused: {str(error).strip()}. The feed goes on summing up the readings."
            ) from error
    click.echo(f"Summed up {readings} readings in {minutes} minutes of sessions.")


def count_movements(connection: Connection) -> tuple[int, int]:
    """Count the movements anew; returns how many movements, and minutes of sessions with any, there are."""
    with connection.cursor() as cursor:
        cursor.execute("select number_changes()")  # what has no id yet would be left out
    with connection, connection.cursor() as cursor:
        # Who folds waits, and finds the counts done.
        cursor.execute("select from movement_counts_cursor for update")
        cursor.execute("select recount_movements()")
        cursor.execute("select coalesce(sum(entered + exited), 0), count(*) from movement_counts")
        [(movements, minutes)] = cursor.fetchall()
    return int(movements), int(minutes)


def sum_up_readings(connection: Connection) -> tuple[int, int]:
    """Fill the minutes anew, except for readings that have aged out; returns how many readings and minutes there are.

    A feed that runs may take some of the steps. Each is a short transaction, and series stay right meanwhile.
    """
    rollups = Rollups(lambda: connection)
    with connection.cursor() as cursor:
        cursor.execute("update reading_rollups_cursor set filled = default")
        is_filled = False
        while not is_filled:
            rollups.update(connection)
            # This waits for the step of another, if there is one.
            cursor.execute("select filled <= kept_from from reading_rollups_cursor for update")
            [(is_filled,)] = cursor.fetchall()
        cursor.execute("select coalesce(sum(readings), 0), count(*) from reading_minutes")
        [(readings, minutes)] = cursor.fetchall()
    return int(readings), int(minutes)
