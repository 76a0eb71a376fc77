"""Idempotency: a request that is repeated is not carried out again.

Invariant: the same Idempotency-Key always names the same rows, because their ids are derived from it. So nothing is
stored and nothing expires, it works across workers and restarts, and the primary key decides between two requests that
arrive at once.
"""

from __future__ import annotations

from uuid import UUID, uuid5

from flask import request

from app.rest.problems import FieldError, ProblemError
from app.rest.reach import current_reach

# Ours alone; changing it would turn every old key into a new one.
_NAMESPACE = UUID("3b6a6f0e-55a2-4f0d-8d0c-6b1f5c1d3a77")
_MAX_KEY = 255


def row_id_of_key(resource: str, number: int = 0) -> UUID | None:
    """The id of the row with this number in a request with an Idempotency-Key, else None."""
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return None
    if not 0 < len(key) <= _MAX_KEY:
        wrong = FieldError(field="Idempotency-Key", message=f"should have 1 to {_MAX_KEY} characters")
        raise ProblemError(400, "Not accepted: Idempotency-Key.", [wrong])
    owner = current_reach().owner
    return uuid5(_NAMESPACE, f"{resource}\n{key}\n{number}" + (f"\n{owner}" if owner else ""))
