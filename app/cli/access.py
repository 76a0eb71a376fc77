"""flask access, flask audit: who is let in, and what they did."""

from __future__ import annotations

import json

import click
from sqlalchemy import text

from app.access import audit, keys, users
from app.cli.database import current_config, database
from app.cli.shown import shown
from app.config import COMMAND
from app.postgres.tables import db

_LOGINS = text("select count(*) from access_logins where ended_at is null and expires_at > now()")


@click.command("access")
def access_command() -> None:
    """Say who is let in, and what would change it."""
    config = current_config()
    with database(), db.engine.connect() as connection:
        known = users.list_users(connection)
        valid = [key for key in keys.list_keys(connection) if not key["revoked_at"]]
        logins = connection.execute(_LOGINS).scalar_one()
    if config.access == "open":
        state = "open to everyone (ACCESS=open)"
    elif known:
        state = "for those who have signed in or show a key"
    elif config.is_local:
        state = f"open to programs of this machine, until there is a user: {COMMAND} user add NAME --role admin"
    else:
        state = f"closed until the set-up: the start prints its address; or {COMMAND} user add NAME --role admin"
    click.echo(f"The feed is {state}.")
    click.echo(f"{len(known)} users, {logins} logins, {len(valid)} keys.")
    click.echo(f"Programs of this machine, once there are users: {config.local_access} (LOCAL_ACCESS).")


@click.group("audit")
def audit_command() -> None:
    """Read and verify the audit log."""


@audit_command.command("list")
@click.option("--limit", type=click.IntRange(1, 100_000), default=50, show_default=True)
def list_entries(limit: int) -> None:
    """Print the newest entries, the oldest of them first."""
    with database(), db.engine.connect() as connection:
        found = audit.list_entries(connection, limit)
    for entry in reversed(found):
        details = json.dumps(entry["details"]) if entry["details"] else ""
        where = f" from {entry['address']}" if entry["address"] else ""
        line = f"{entry['id']:>6} {entry['at']:%Y-%m-%d %H:%M:%S} {entry['actor']}{where}: {entry['action']}"
        click.echo(shown(f"{line} {entry['subject']} {details}".rstrip()))


@audit_command.command("verify")
@click.option("--head", help="What an earlier run has printed: the log has to continue from there.")
def verify(head: str | None) -> None:
    """Tell whether every entry is as it was written and none is missing.

    Keep the head that it prints where the owner of the database cannot reach it, and give it back with --head.
    """
    with database(), db.engine.connect() as connection:
        broken = audit.first_break(connection)
        if broken is None and head is not None and not audit.contains(connection, head):
            raise click.ClickException("The log does not contain that head: it was replaced.")
        number, digest = audit.head(connection)
    if broken is not None:
        raise click.ClickException(f"The audit log is broken at entry {broken}.")
    click.echo(f"{number} entries, none altered or missing. Head: {digest}")
