"""Failures: how long those who guess wrong have to wait, whichever worker is asked.

Invariant: nobody is locked out. The wait of an account grows to a few seconds only, and not for an address from which
its user is signed in; the wait of an address grows to a minute. A try is counted before it is looked at, so many at
once are no way around.
Every function works in the transaction of its caller.
"""

from __future__ import annotations

from ipaddress import IPv6Address, IPv6Network
from typing import Literal

from sqlalchemy import Connection, text

Kind = Literal["account", "address", "key"]
MOST_SECONDS: dict[Kind, float] = {"account": 5.0, "address": 60.0, "key": 10.0}

# Holds the subject until the transaction ends: of many tries at once, each sees the count of the one before.
_WAIT = text(
    "insert into access_failures as f values (:kind, :subject, 0, now())"
    " on conflict (kind, subject) do update set failures = f.failures"
    " returning extract(epoch from next_at - now())::float8"
)
_COUNT = text("select count_failure(:kind, :subject, :most)")
_FORGIVE = text(
    "update access_failures set failures = greatest(0, failures - 1), next_at = now()"
    " where (kind, subject) = (:kind, :subject)"
)
_FORGET = text("delete from access_failures where next_at < now() - interval '1 day'")


def seconds_to_wait(connection: Connection, kind: Kind, subject: str) -> float:
    """How long the subject still has to wait; nobody else learns it before the transaction ends."""
    seconds: float = connection.execute(_WAIT, {"kind": kind, "subject": _counted(kind, subject)}).scalar_one()
    return max(0.0, seconds)


def count(connection: Connection, kind: Kind, subject: str) -> float:
    """Count a failure; returns how long the subject has to wait now."""
    seconds: float = connection.execute(
        _COUNT, {"kind": kind, "subject": _counted(kind, subject), "most": MOST_SECONDS[kind]}
    ).scalar_one()
    return seconds


def forgive(connection: Connection, kind: Kind, subject: str) -> None:
    """The failure that was counted was none."""
    connection.execute(_FORGIVE, {"kind": kind, "subject": _counted(kind, subject)})


def forget(connection: Connection) -> None:
    """Remove what is a day old."""
    connection.execute(_FORGET)


def _counted(kind: Kind, subject: str) -> str:
    """Whoever has one address of IPv6 has the whole network that it is in, 2^64 of them."""
    if kind == "account" or ":" not in subject:
        return subject
    try:
        address = IPv6Address(subject)
    except ValueError:
        return subject
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(IPv6Network((int(address), 64), strict=False))
