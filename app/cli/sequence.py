"""flask sequence: gives changes their ids where no worker of the feed runs beside the database, or besides them.

Invariant: as many of these and of workers may run as one likes; one is awake at a time, and each does exactly the same.
"""

from __future__ import annotations

import signal
from functools import partial

import click
import gevent
from gevent.event import Event

from app import logs
from app.cli.database import current_config, database
from app.feed.periodic import Periodic
from app.feed.sequencer import Sequencer
from app.postgres.connections import connect, use_gevent


@click.command("sequence")
def command() -> None:
    """Give ids to changes until stopped; every worker of the feed does it by itself."""
    config, stopped = current_config(), Event()
    logs.set_up(config, level="info")
    with database() as url:
        sequencer = Sequencer(
            partial(connect, url, application_name="people-feed sequencer"),
            check_seconds=config.listener_check_seconds,
        )
        loops = (
            Periodic("numbering changes", sequencer.work, retry_seconds=1.0, grace_seconds=0.0, at_end=sequencer.close),
            Periodic("making room in the inbox", sequencer.tidy, first_seconds=5.0),
        )
        use_gevent()
        for number in (signal.SIGINT, signal.SIGTERM):
            gevent.signal_handler(number, stopped.set)
        for loop in loops:
            loop.start()
        click.echo("Numbering changes as they are committed. Ctrl-C ends it.")
        stopped.wait()
        for loop in loops:
            loop.stop()
    click.echo(f"Numbered {sequencer.totals['numbered']} changes.")
