"""Connections to PostgreSQL, under gevent and without.

Invariant: ``connect`` ends within its time limit whatever the network does, and so does a greenlet's wait for an
answer. In a plain process libpq keeps the first promise; under gevent it ignores ``connect_timeout`` and blocks the
loop while resolving names, so we do both here. Knows nothing of pools, tables or the embedded server.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Any

import psycopg2
from psycopg2 import extensions
from psycopg2.extensions import connection as Connection

# A peer that vanished silently (a pulled cable, a firewall that lost its state) is noticed within about 15 seconds.
_KEEPALIVE = {"keepalives_idle": 5, "keepalives_interval": 3, "keepalives_count": 3, "tcp_user_timeout": 15_000}
# A firewall or proxy in between may keep acknowledging for a peer that is gone: then only silence tells. This is longer
# than any statement_timeout of ours.
_ANSWER_SECONDS = 15.0


# What we rely on, whatever the role, the database or a restored dump sets: tables are found, an idle Listener stays,
# and names arrive whole.
_PINNED: dict[str, str | int] = {
    "search_path": "public",
    "idle_session_timeout": 0,
    "statement_timeout": 0,
    "lock_timeout": 0,
    "default_transaction_isolation": "read committed",  # each statement has to see what was numbered before it
}


def use_gevent() -> None:
    """Make database calls block one greenlet instead of the whole process; call once, in a patched process."""
    extensions.set_wait_callback(_wait)


class _Patient(Connection):
    """A connection whose answers a greenlet may wait for without limit."""


def connect(
    url: str, *, application_name: str, connect_seconds: float = 5.0, is_patient: bool = False, **settings: str | int
) -> Connection:
    """Open a connection in autocommit mode; ``settings`` are server settings, such as ``statement_timeout=5000``.

    A statement whose answer keeps a greenlet waiting for 15 seconds fails, and its connection with it, unless
    ``is_patient``: for work that takes long, such as VACUUM.

    Raises:
        psycopg2.OperationalError: refused, or no answer within ``connect_seconds``.
    """
    parameters: dict[str, Any] = {**_KEEPALIVE, **extensions.parse_dsn(url), "application_name": application_name}
    parameters["client_encoding"] = "UTF8"
    # The last one counts: ours, then what the URL says, then what this connection is for.
    own, given = _options(_PINNED), _options(settings)
    parameters["options"] = " ".join(part for part in (own, parameters.get("options", ""), given) if part)
    if is_patient:
        parameters["connection_factory"] = _Patient
    if extensions.get_wait_callback() is None:
        connection: Connection = psycopg2.connect(**parameters, connect_timeout=max(2, round(connect_seconds)))
    else:
        connection = _connect_in_greenlet(parameters, connect_seconds)
    connection.autocommit = True
    return connection


def sqlalchemy_url(url: str) -> str:
    """The same database for SQLAlchemy, which means psycopg 3 by a bare ``postgresql://`` since 2.1."""
    return "postgresql+psycopg2://" + url.partition("://")[2]


def _connect_in_greenlet(parameters: dict[str, Any], seconds: float) -> Connection:
    import gevent  # here, so that commands and the arbiter do without

    timeout = gevent.Timeout.start_new(seconds)
    try:
        connection: Connection = psycopg2.connect(**_resolved(parameters))
        return connection
    except gevent.Timeout as fired:
        if fired is not timeout:
            raise
        raise psycopg2.OperationalError(f"no answer from the database within {seconds:g} seconds") from None
    except OSError as error:
        raise psycopg2.OperationalError(f"cannot look up {parameters.get('host')}: {error}") from error
    finally:
        timeout.close()


def _resolved(parameters: dict[str, Any]) -> dict[str, Any]:
    """Put addresses in place of one host name; libpq tries them in turn."""
    host = parameters.get("host", "/")
    if "/" in host or "," in host or "hostaddr" in parameters:
        return parameters
    found = socket.getaddrinfo(host, parameters.get("port", 5432), type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(str(address[0]) for *_, address in found))
    return parameters | {"hostaddr": ",".join(addresses), "host": ",".join([host] * len(addresses))}


def _options(settings: Mapping[str, str | int]) -> str:
    return " ".join(f"-c {name}={_escaped(value)}" for name, value in settings.items())


def _escaped(value: str | int) -> str:
    return str(value).replace("\\", r"\\").replace(" ", r"\ ")


def _wait(connection: Connection) -> None:
    from gevent.socket import wait_read, wait_write

    seconds = None if isinstance(connection, _Patient) else _ANSWER_SECONDS
    # In libpq's words, by which SQLAlchemy knows that the whole pool is in doubt.
    silence = psycopg2.OperationalError(f"could not receive data from server: silent for {_ANSWER_SECONDS:g} seconds")
    while (state := connection.poll()) != extensions.POLL_OK:
        if state == extensions.POLL_READ:
            wait_read(connection.fileno(), timeout=seconds, timeout_exc=silence)
        elif state == extensions.POLL_WRITE:
            wait_write(connection.fileno(), timeout=seconds, timeout_exc=silence)
        else:
            raise psycopg2.OperationalError(f"unknown state {state} of a connection")
