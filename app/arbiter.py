"""What gunicorn's arbiter does besides watching workers: settings, database, migrations, and a greeting.

Invariant: a mistake that waiting cannot cure (a wrong value, a port in use, a refused login, data of another version)
ends the start with a sentence and a non-zero status; a database that does not answer yet does not. ``gunicorn.conf.py``
is run again on HUP, so state lives here. Imports nothing that gevent would have to patch.
"""

from __future__ import annotations

import atexit
import errno
import logging
import os
import re
import socket
import threading
from collections.abc import Mapping
from contextlib import closing
from typing import NoReturn

import psycopg2
from psycopg2.extensions import parse_dsn

from app import logs
from app.access.start import add_admin, has_users, offer_setup
from app.config import COMMAND, Config, ConfigError
from app.postgres.connections import connect
from app.postgres.embedded import PostgresError, Server, database_url
from app.postgres.migrate import MigrationError, migrate

log = logging.getLogger(__name__)
_MIGRATE_LATER = "migrate-later"
_server: Server | None = None
_is_asked = False
_has_users = False
_setup_token: str | None = None
_stopping = threading.Event()


def read_config(environ: Mapping[str, str]) -> Config:
    """Read the settings, or exit with what is wrong with them."""
    try:
        return Config.from_environ(environ)
    except ConfigError as error:
        _give_up(str(error))


def start(config: Config, addresses: list[tuple[str, int] | str]) -> None:
    """Check that ``addresses`` are free to listen on, start the embedded server if it is wanted, and migrate."""
    global _server
    logs.set_up(config)
    for address in addresses:
        _check_free(address)
    atexit.register(_stop_in, os.getpid())  # also if gunicorn gives up early
    try:
        if config.database_url is None:
            _server = Server(config.data_dir)
            _server.start()
            migrate(_server.url())
            _let_in(config, _server.url())
            _server.watch()
        else:
            _migrate_or_wait(config, config.database_url)
    except (PostgresError, MigrationError, psycopg2.Error) as error:
        stop()
        _give_up(str(error).strip())


def reload(config: Config) -> None:
    """Apply the migrations of a newer program, on HUP. Its workers start in any case."""
    try:
        _migrate_or_wait(config, database_url(config))
    except (MigrationError, psycopg2.Error) as error:
        log.error("The migrations were not applied: %s", str(error).strip())


def stop() -> None:
    """Release the embedded server. May be called twice."""
    _stopping.set()
    if _server:
        _server.stop()


def greet(config: Config, urls: list[str]) -> None:
    """Say where the feed is, who is let in, and how to stop it."""
    if config.database_url is None:
        database = f"embedded PostgreSQL in {config.data_dir}"
    else:
        parts = parse_dsn(config.database_url)
        database = f"PostgreSQL at {parts.get('host', 'its socket')}, database {parts.get('dbname', parts.get('user'))}"
    access = _access(config, urls[0]) if _is_asked else "Access: known once the database answers."
    feed = f"People counting feed: {' '.join(urls)}"
    print(feed, f"Database: {database}", access, "Stop it with Ctrl-C.", sep="\n", flush=True)


def _let_in(config: Config, url: str) -> None:
    """Make the administrator that the settings name, or find out what the set-up takes."""
    global _is_asked, _has_users, _setup_token
    with closing(connect(url, application_name="people-feed start")) as connection:
        file = config.admin_password_file
        if file is not None and add_admin(connection, file.read_text("utf-8").strip()):
            log.warning("The user admin was made, with the password in %s.", file)
        _has_users = has_users(connection)
        # One that was printed stays good: a reload prints nothing.
        if not (_has_users or config.is_local or config.access == "open" or _setup_token):
            _setup_token = offer_setup(connection)
        _is_asked = True


def _access(config: Config, url: str = "") -> str:
    url = url if url and not config.port else config.url  # the system has chosen the port
    if config.access == "open":
        return f"Access: OPEN, everyone who reaches {config.bind} may do everything, as ACCESS=open says."
    if _has_users:
        return f"Access: users sign in at {url}/login."
    if config.is_local:
        return (
            f"Access: open to programs of this machine, until there is a user ({COMMAND} user add NAME --role admin)."
        )
    return f"Access: nobody yet. Set it up at {url}/setup#{_setup_token}"


def _migrate_or_wait(config: Config, url: str) -> None:
    """Migrate now, or as soon as the database answers."""
    try:
        migrate(url)
        _let_in(config, url)
    except psycopg2.OperationalError as error:
        if _refuses(error):
            raise
        log.error("The database does not answer yet; trying until it does: %s", str(error).strip())
        if not any(
            thread.name == _MIGRATE_LATER for thread in threading.enumerate()
        ):  # still trying since an earlier HUP
            threading.Thread(target=_migrate_later, args=(config, url), name=_MIGRATE_LATER, daemon=True).start()


def _migrate_later(config: Config, url: str) -> None:
    while not _stopping.wait(1.0):
        try:
            migrate(url)
            _let_in(config, url)
        except psycopg2.OperationalError:
            continue  # logged once; the Listener says more
        except (MigrationError, psycopg2.Error):
            log.exception("The database answers, but the migrations were not applied.")
            continue
        log.warning("The database answers.")
        print(_access(config), flush=True)
        return


def _refuses(error: psycopg2.OperationalError) -> bool:
    """Whether the server or the name service refused, rather than not answered."""
    text = str(error)
    if re.search("starting up|shutting down|recovery|not yet accepting|too many|Temporary failure", text):
        return False
    return "FATAL" in text or "could not translate host name" in text


def _check_free(address: tuple[str, int] | str) -> None:
    if isinstance(address, str):  # a Unix socket, by -b on the command line
        return
    host, port = address
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(where)
            probe.listen()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            _give_up(f"Port {port} of {host} is in use: stop the program that uses it, or set PORT to another one.")
        _give_up(f"Cannot listen on {host}, port {port}: {error.strerror or error}. Set HOST and PORT.")


def _stop_in(pid: int) -> None:
    if os.getpid() == pid:  # workers inherit the registration
        stop()


def _give_up(message: str) -> NoReturn:
    raise SystemExit(f"Cannot start: {message}")
