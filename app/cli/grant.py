"""flask grant: gives a role of the database the rights of a producer, a reader or the feed, and no others."""

from __future__ import annotations

from contextlib import closing

import click
import psycopg2
from psycopg2 import sql

from app.cli.database import database
from app.postgres.connections import connect

_READ = (
    "grant select on sessions, people_movements, realtime_metrics, alert_thresholds, alert_logs,"
    " active_sessions, recent_movements, hourly_analytics, daily_analytics to {role}"
)
_CONNECT = "grant connect on database {database} to {role}"
RIGHTS: dict[str, tuple[str, ...]] = {
    # Begins, describes and ends sessions; adds movements, readings and alerts. Sees no one else's changes.
    "producer": (
        _CONNECT,
        "grant usage on schema public to {role}",
        "grant select, insert, update on sessions to {role}",
        "grant insert on people_movements, realtime_metrics, alert_logs to {role}",
    ),
    "reader": (_CONNECT, "grant usage on schema public to {role}", _READ),
    # Pruning and recognizing a copied database take an owner; a member of the owner is one.
    "feed": ("grant {owner} to {role}",),
}


@click.command("grant")
@click.argument("rights", type=click.Choice(sorted(RIGHTS)))
@click.argument("role")
def command(rights: str, role: str) -> None:
    """Give an existing ROLE the rights of a producer, a reader or the feed."""
    with database() as url, closing(connect(url, application_name="grant")) as connection:
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute(
                    "select pg_get_userbyid(relowner), current_database() from pg_class"
                    " where oid = 'public.change_log'::regclass"
                )
                [(owner, database_name)] = cursor.fetchall()
                for statement in RIGHTS[rights]:
                    composed = sql.SQL(statement).format(
                        role=sql.Identifier(role), owner=sql.Identifier(owner), database=sql.Identifier(database_name)
                    )
                    cursor.execute(composed)
                    click.echo(f"{composed.as_string(cursor)};")
        except psycopg2.errors.UndefinedObject as error:
            hint = f"create role {sql.Identifier(role).as_string(connection)} login password '…'"
            raise click.ClickException(f"There is no role {role}: {hint}, then try again.") from error
        except psycopg2.Error as error:
            raise click.ClickException(f"The database refused: {str(error).strip()}. Nothing was granted.") from error
