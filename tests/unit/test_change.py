"""Change and Filter: what a payload says, and whom it concerns."""

import pytest

from app.feed.change import Change, Filter
from tests.making import change, payload

OPEN, RESOLVED = {"session_id": "s1", "is_resolved": False}, {"session_id": "s1", "is_resolved": True}


def alerts(**fields):
    return Filter(frozenset(["alerts"]), **fields)


def test_the_frame_holds_the_payload_to_the_letter():
    text = payload(7)
    assert text.encode() in Change.from_payload(text).frame


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        "[]",
        "{}",
        "7",
        '{"id":"x"}',
        '{"id":1,"data":{}}',
        payload(1, table="secrets"),
        "null",
        '{"id":7,"table":"sessions","action":"INSERT","session_id":null}',
    ],
)
def test_what_is_no_payload_of_the_log_is_refused(text):
    with pytest.raises(ValueError, match="not the payload of a change"):
        Change.from_payload(text)


@pytest.mark.parametrize(
    ("made", "wanted", "matches"),
    [
        (change(1), Filter(frozenset(["sessions"])), True),
        (change(1), Filter(frozenset(["alerts"])), False),
        (change(1), Filter(frozenset(["sessions"]), session_id="row-1"), True),
        (change(1), Filter(frozenset(["sessions"]), session_id="row-2"), False),
        (change(1, table="alert_logs", data=RESOLVED, old_data=OPEN), alerts(resolved=False), True),
        (change(1, table="alert_logs", data=RESOLVED, old_data=OPEN), alerts(resolved=True), True),
        (change(1, table="alert_logs", data=RESOLVED), alerts(resolved=False), False),
        (change(1, table="alert_logs", data=OPEN), alerts(session_id="s2"), False),
        (change(1, table="alert_logs", data={"session_id": None, "is_resolved": False}), alerts(), True),
        (change(1), Filter(frozenset(["sessions", "alerts"]), resolved=True), True),
        (change(1, table="alert_logs", action="TRUNCATE"), alerts(session_id="s1", resolved=True), True),
        (change(1, table="alert_logs", action="TEST"), alerts(session_id="s1"), True),
        (change(1, table="sessions", action="TEST"), alerts(), False),
    ],
)
def test_a_filter_matches_if_the_new_or_the_old_row_does(made, wanted, matches):
    assert wanted.matches(made) is matches


def test_a_row_that_moved_concerns_both_sessions():
    moved = change(1, table="people_movements", data={"session_id": "b"}, old_data={"session_id": "a"})
    assert set(moved.session_ids) == {"a", "b"}


def test_a_truncate_reaches_clients_as_reset():
    frame = change(3, table="alert_logs", action="TRUNCATE", data={}).frame
    assert b'"type":"connection","data":{"topics":["alerts"],"cursor":"3","status":"reset"}' in frame
