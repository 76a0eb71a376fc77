"""flask key: for programs, and for screens that nobody signs in at."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from uuid import UUID

import click
from sqlalchemy.exc import IntegrityError

from app.access import audit, keys
from app.access.scope import SCOPES, Scope
from app.cli.database import database
from app.cli.shown import shown
from app.cli.user import ACTOR
from app.config import COMMAND
from app.postgres.tables import db

_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


class _Lifetime(click.ParamType[datetime]):
    name = "lifetime"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        match = re.fullmatch(r"([1-9][0-9]{0,4})([mhd])", value)
        if not match:
            self.fail(f"{value!r} is no lifetime: write a number and m, h or d, such as 30d or 12h.", param, ctx)
        return datetime.now(UTC) + timedelta(**{_UNITS[match[2]]: int(match[1])})


@click.group("key")
def command() -> None:
    """Make, list and revoke keys."""


@command.command("add")
@click.argument("name")
@click.option("--scope", type=click.Choice(SCOPES), required=True)
@click.option("--session", "session_ids", type=click.UUID, multiple=True, help="Only this session; may be repeated.")
@click.option("--expires", "expires_at", type=_Lifetime(), help="How long it is good, such as 30d; for good without.")
def add(name: str, scope: Scope, session_ids: tuple[UUID, ...], expires_at: datetime | None) -> None:
    """Make a key called NAME, and print it: it cannot be read again.

    An ingest key writes to sessions that it made itself, and to those of --session.
    """
    with database():
        try:
            with db.engine.begin() as connection:
                key, row = keys.create_key(
                    connection, name, scope, session_ids=session_ids, expires_at=expires_at, created_by=ACTOR
                )
                sessions = [str(session_id) for session_id in session_ids]
                audit.add_entry(
                    connection, ACTOR, "", "add key", row["id"], name=name, scope=scope, session_ids=sessions
                )
        except IntegrityError as error:
            if "access_key_sessions" in str(error.orig):
                raise click.ClickException("One of the sessions does not exist.") from error
            raise click.ClickException("The name must have 1 to 200 characters.") from error
    click.echo(key)
    if not row["expires_at"]:
        click.echo(f"The key {row['id']} is good until `{COMMAND} key revoke {row['id']}`.", err=True)


@command.command("list")
def list_all() -> None:
    """List all keys, without the keys themselves."""
    with database(), db.engine.connect() as connection:
        found = keys.list_keys(connection)
    for key in found:
        until = f"until {key['expires_at']:%Y-%m-%d %H:%M}" if key["expires_at"] else "for good"
        state = f"revoked {key['revoked_at']:%Y-%m-%d %H:%M}" if key["revoked_at"] else until
        reach = f", {len(key['session_ids'])} sessions" if key["is_restricted"] else ""
        click.echo(f"{key['id']}  {key['scope']:<8} {state:<24} {shown(key['name'])}{reach}")
    if not found:
        click.echo("There is no key.")


@command.command("revoke")
@click.argument("key_id", metavar="ID")
def revoke(key_id: str) -> None:
    """End the key with this ID, and its streams, at once."""
    with database(), db.engine.begin() as connection:
        name = keys.revoke_key(connection, key_id)
        if name is None:
            raise click.ClickException(f"There is no valid key with the ID {key_id}; `{COMMAND} key list` shows all.")
        audit.add_entry(connection, ACTOR, "", "revoke key", key_id, name=name)
    click.echo(f"Revoked {key_id} ({shown(name)}).")
