"""Scope: what a credential lets its bearer do.

Invariant: an endpoint names the scopes of which one will do; a credential has one scope, which includes others.
"""

from __future__ import annotations

from typing import Literal, get_args

Scope = Literal["read", "ingest", "operate", "metrics", "admin"]
Role = Literal["viewer", "operator", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
ROLES: tuple[Role, ...] = get_args(Role)

# What each scope includes.
INCLUDED: dict[Scope, frozenset[Scope]] = {
    "read": frozenset({"read"}),
    "ingest": frozenset({"ingest"}),
    "operate": frozenset({"read", "operate"}),
    "metrics": frozenset({"metrics"}),
    "admin": frozenset(SCOPES),
}
SCOPE_OF_ROLE: dict[Role, Scope] = {"viewer": "read", "operator": "operate", "admin": "admin"}
