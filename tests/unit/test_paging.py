"""Page tokens."""

from __future__ import annotations

import base64
import json

import pytest

from app.rest.paging import Position
from app.rest.problems import ProblemError

HERE = Position("2026-01-31 12:00:00+00", "7877b43d-418a-45b2-889b-046dfe1e4e4d")


def test_a_token_says_the_place_it_was_made_of():
    assert Position.read(HERE.token("-created_at"), "-created_at", "after") == HERE


@pytest.mark.parametrize(
    "written",
    [
        None,
        7,
        [],
        ["-created_at", "x"],
        ["created_at", "x", HERE.id],
        ["-created_at", 7, HERE.id],
        ["-created_at", "x", "y"],
    ],
)
def test_what_is_no_token_of_the_order_is_refused(written):
    token = base64.urlsafe_b64encode(json.dumps(written).encode()).decode()
    with pytest.raises(ProblemError) as refused:
        Position.read(token, "-created_at", "after")
    assert refused.value.errors[0].field == "after"
