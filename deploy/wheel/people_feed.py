"""people-feed: what ``./run`` and ``./run flask COMMAND`` are in a checkout, where the wheel is installed.

Invariant: this folder of the wheel has the checkout's layout, and comes first on the path of this process. So ``app``
means ours here, whatever the current folder holds, and nothing to other programs of the environment. The current folder
stays what it was: settings that name files are relative to it.
"""

from __future__ import annotations

import os
import shlex
import sys
from importlib import metadata
from pathlib import Path

_NAME = "people-feed"
_FOLDER = Path(__file__).resolve().parent
_HELP = """Start the feed, or run one of its commands.

Without a command, this starts the feed; Ctrl-C stops it. Environment variables are its settings.
"""


def main() -> None:
    """Do what the command line says."""
    sys.path.insert(0, str(_FOLDER))
    if sys.argv[1:]:
        _run_command()
    else:
        _serve()


def _serve() -> None:
    from gunicorn import util
    from gunicorn.app.wsgiapp import run

    # gunicorn puts the current folder first on the path, unless it is there: an app or a wsgi.py in it would be ours.
    sys.path.append(util.getcwd())
    # Not on the command line: gunicorn repeats that to start anew, on USR2.
    config = shlex.join(["--config", str(_FOLDER / "gunicorn.conf.py")])
    os.environ["GUNICORN_CMD_ARGS"] = f"{config} {os.environ.get('GUNICORN_CMD_ARGS', '')}"
    run(prog=_NAME)


def _run_command() -> None:
    import click

    from app.cli import create_app

    app = create_app()
    app.cli.help = _HELP
    click.version_option(metadata.version(_NAME), message="%(prog)s %(version)s")(app.cli)
    with app.app_context():
        app.cli(prog_name=_NAME)
