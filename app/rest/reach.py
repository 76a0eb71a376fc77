"""Reach: which rows the current request may touch, and what of them it may see.

Invariant: a caller who is restricted to some counting sessions reads, changes and adds rows of these and no others;
other rows are to them as if they did not exist. A resource and its rows ask here, so each statement of ``rest/`` does.
Where nobody has said what a request may touch, it touches nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from flask import g
from sqlalchemy import Connection, Select


@dataclass(frozen=True)
class Reach:
    """``sessions`` are the ids of the counting sessions, or None for all; ``claim`` adds one that was just created.

    ``masks``: what a resource names as masked is rendered without its secrets. ``owner`` is whose Idempotency-Keys
    these are, where others must not be able to use them up.
    """

    sessions: Select[UUID] | None = None
    claim: Callable[[Connection, UUID], None] | None = None
    masks: bool = False
    owner: str = ""


def set_reach(reach: Reach) -> None:
    """Say what the current request may touch."""
    g.reach = reach


def current_reach() -> Reach:
    """What the current request may touch.

    Raises:
        RuntimeError, AttributeError: nobody has said so. What a response is made of is chosen during the request, also
            where it is rendered after it.
    """
    reach: Reach = g.reach
    return reach
