"""The commands of ``flask``: which there are, and where each one is.

Invariant: a command's module is imported when the command is used or its help is shown, and ``create_app`` here knows
no endpoint, so each command starts quickly.
"""

from __future__ import annotations

import os
from importlib import import_module

import click
from flask import Flask
from flask.cli import AppGroup, routes_command, run_command

from app.config import IS_INSTALLED, Config, ConfigError

_COMMANDS = {
    "access": "app.cli.access:access_command",
    "adopt": "app.cli.adopt:command",
    "audit": "app.cli.access:audit_command",
    "backup": "app.cli.backup:command",
    "database-url": "app.cli.database:url_command",
    "doctor": "app.cli.doctor:command",
    "grant": "app.cli.grant:command",
    "key": "app.cli.key:command",
    "migrate": "app.cli.database:migrate_command",
    "prune": "app.cli.prune:command",
    "psql": "app.cli.psql:command",
    "recount": "app.cli.recount:command",
    "replay": "app.cli.replay:command",
    "restore": "app.cli.restore:command",
    "schema": "app.cli.schema:command",
    "sequence": "app.cli.sequence:command",
    "simulate": "app.cli.simulate:command",
    "stats": "app.cli.stats:command",
    "tail": "app.cli.tail:command",
    "user": "app.cli.user:command",
}
if IS_INSTALLED:
    del _COMMANDS["schema"]  # it writes into the checkout


class _Commands(AppGroup):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *_COMMANDS})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return super().get_command(ctx, cmd_name)
        module, _, name = _COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command


def register(app: Flask) -> None:
    """Give the app its commands."""
    app.cli = _Commands(app.name)
    # Flask's own know only the app of commands: they would serve, and list, nothing.
    run_command.hidden = routes_command.hidden = True


def create_app() -> Flask:
    """An app of commands alone: its settings, the pool of the database, no endpoint.

    Raises:
        SystemExit: says which settings are wrong.
    """
    from app.postgres import tables
    from app.postgres.embedded import database_url

    try:
        config = Config.from_environ(os.environ)
    except ConfigError as error:
        raise SystemExit(str(error)) from None
    app = Flask("app", static_folder=None)
    app.extensions["config"] = config
    tables.register(app, database_url(config))
    register(app)
    return app
