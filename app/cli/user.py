"""flask user: who may sign in."""

from __future__ import annotations

import sys

import click
from sqlalchemy.exc import IntegrityError

from app.access import audit, users
from app.access.passwords import hashed, objection
from app.access.scope import ROLES, Role
from app.cli.database import database
from app.config import COMMAND
from app.postgres.tables import db

_ROLE = click.Choice(ROLES)
_STDIN = click.option("--password-stdin", is_flag=True, help="Read the password from the first line of stdin.")
ACTOR = "the command line"


@click.group("user")
def command() -> None:
    """Add, list, change and remove the users of the feed."""


@command.command("add")
@click.argument("name")
@click.option("--role", type=_ROLE, required=True)
@_STDIN
@click.option("--no-password", is_flag=True, help="For users whom a trusted proxy names (USER_HEADER).")
def add(name: str, role: Role, password_stdin: bool, no_password: bool) -> None:
    """Add a user NAME. The first one closes the feed: from then on everyone has to sign in."""
    with database():
        password_hash = None if no_password else _new_password(name, password_stdin)
        try:
            with db.engine.begin() as connection:
                user = users.create_user(connection, name, role, password_hash)
                audit.add_entry(connection, ACTOR, "", "add user", str(user["id"]), username=name, role=role)
        except IntegrityError as error:
            if "check" in str(error.orig):
                raise click.ClickException(
                    f"{name} is no user name: letters, digits and . _ @ + -, beginning with a letter or digit."
                ) from error
            raise click.ClickException(f"There is a user {name} already.") from error
    click.echo(f"{name} may sign in as {role}.")


@command.command("list")
def list_all() -> None:
    """List all users."""
    with database(), db.engine.connect() as connection:
        found = users.list_users(connection)
    for user in found:
        seen = f"{user['seen_at']:%Y-%m-%d %H:%M}" if user["seen_at"] else "never"
        state = "disabled" if user["is_disabled"] else "" if user["has_password"] else "no password"
        click.echo(f"{user['username']:<24} {user['role']:<9} seen {seen:<17} {state}".rstrip())
    if not found:
        click.echo("There is no user.")


@command.command("password")
@click.argument("name")
@_STDIN
def password(name: str, password_stdin: bool) -> None:
    """Give NAME a new password, and end their logins."""
    with database():
        _change(name, password_hash=_new_password(name, password_stdin))
    click.echo(f"{name} has a new password; their logins have ended.")


@command.command("role")
@click.argument("name")
@click.argument("role", type=_ROLE)
def role(name: str, role: Role) -> None:
    """Give NAME another role."""
    with database():
        _change(name, role=role)
    click.echo(f"{name} is {role} now.")


@command.command("disable")
@click.argument("name")
def disable(name: str) -> None:
    """Let NAME sign in no more; their logins end at once."""
    with database():
        _change(name, is_disabled=True)
    click.echo(f"{name} may not sign in.")


@command.command("enable")
@click.argument("name")
def enable(name: str) -> None:
    """Let NAME sign in again."""
    with database():
        _change(name, is_disabled=False)
    click.echo(f"{name} may sign in.")


@command.command("remove")
@click.argument("name")
def remove(name: str) -> None:
    """Remove NAME; their logins end at once, the keys that they made stay."""
    with database():
        try:
            with db.engine.begin() as connection:
                user = _known(users.user_of_name(connection, name), name)
                users.end_user(connection, user["id"])
                audit.add_entry(connection, ACTOR, "", "remove user", str(user["id"]), username=name)
        except IntegrityError as error:
            raise _no_administrator() from error
    click.echo(f"{name} is removed.")


def _change(name: str, **values: object) -> None:
    try:
        with db.engine.begin() as connection:
            user = _known(users.user_of_name(connection, name), name)
            users.change_user(connection, user["id"], **values)  # type: ignore[arg-type]
            shown = {key: value for key, value in values.items() if key != "password_hash"}
            audit.add_entry(
                connection, ACTOR, "", "change user", str(user["id"]), password="password_hash" in values, **shown
            )
    except IntegrityError as error:
        raise _no_administrator() from error


def _known(user: users.Row | None, name: str) -> users.Row:
    if user is None:
        raise click.ClickException(f"There is no user {name}; `{COMMAND} user list` shows all.")
    return user


def _no_administrator() -> click.ClickException:
    return click.ClickException("There would be no administrator left: make another user one first.")


def _new_password(name: str, from_stdin: bool) -> str:
    text = (
        sys.stdin.readline().rstrip("\r\n")
        if from_stdin
        else click.prompt("Password", hide_input=True, confirmation_prompt=True)
    )
    if wrong := objection(text, name):
        raise click.ClickException(f"The password {wrong}.")
    return hashed(text)
