"""Names of constraints become names of fields."""

from __future__ import annotations

import pytest

from app.rest.problems import constraint_field


@pytest.mark.parametrize(
    ("table", "constraint", "field"),
    [
        ("sessions", "sessions_pkey", "id"),
        ("people_movements", "people_movements_session_id_fkey", "session_id"),
        ("sessions", "sessions_fps_check", "fps"),
        ("sessions", "somebody_elses_rule", None),
        (None, None, None),
    ],
)
def test_a_constraint_names_its_field(table, constraint, field):
    assert constraint_field(table, constraint) == field
