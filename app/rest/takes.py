"""Takes: what it takes to use an endpoint, as the endpoint declares it.

Invariant: an endpoint that declares nothing is open to nobody; a test looks for it. Who has what is not known here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, cast

View = TypeVar("View", bound=Callable[..., Any])

# How an endpoint keeps to the counting sessions that its caller is restricted to. rows: by what ``reach.py`` says.
# query: its session_id has to be one of them. path: the id in its path. none: it is not for such callers.
Within = Literal["rows", "query", "path", "none"]


@dataclass(frozen=True)
class Takes:
    """One of these scopes will do; without any, everyone may. ``within`` says how it keeps to a restriction.

    ``before_setup``: also while nobody is known yet. ``is_stream``: it may wait until it is known who is let in.
    """

    scopes: frozenset[str]
    within: Within = "none"
    before_setup: bool = False
    is_stream: bool = False


def takes(*scopes: str, within: Within = "none", is_stream: bool = False) -> Takes:
    """One of these scopes is needed."""
    return Takes(frozenset(scopes), within, is_stream=is_stream)


# Everyone may, but while nobody is known yet. Always: even then.
NOTHING = Takes(frozenset())
ALWAYS = Takes(frozenset(), before_setup=True)


def declare(takes: Takes) -> Callable[[View], View]:
    """Declare what a view takes."""

    def decorate(view: View) -> View:
        view.takes = takes  # type: ignore[attr-defined]
        return view

    return decorate


def taken_by(view: object) -> Takes | None:
    """What a view takes; None if it does not say."""
    return cast("Takes | None", getattr(view, "takes", None))
