"""Camera addresses: Python and PostgreSQL hide the same of them, and neither takes long."""

from __future__ import annotations

import time
from contextlib import closing

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from app.postgres.addresses import PARAMETER, USER_INFO, masked
from app.postgres.connections import connect

TEXTS = st.lists(
    st.sampled_from(
        ["rtsp", "://", ":", "@", "/", "?", "#", "user", "pass=", "x", "é", "\n", "&", " ", "pwd", "=", "\\1"]
    ),
    max_size=14,
).map("".join)


@pytest.fixture(scope="module")
def postgres(server_url):
    with closing(connect(server_url, application_name="test")) as connection, connection.cursor() as cursor:
        yield cursor


def hidden(cursor, address):
    cursor.execute(
        "select regexp_replace(regexp_replace(%s, %s, '\\1***@', ''), %s, '\\1***', 'gi')",
        (address, USER_INFO, PARAMETER),
    )
    return cursor.fetchone()[0]


@settings(max_examples=1500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(TEXTS)
@example("rtsp://ada:sesame@10.0.0.7/main")
@example("rtsp://ada:se@sa/m?e@10.0.0.7:554/main?pwd=x")
@example("rtsp://camera/stream@2")
@example("door@2.mp4")
@example("ada:sesame@camera")
@example("a@b://c@d")
def test_both_hide_the_same(postgres, address):
    assert masked(address) == hidden(postgres, address)


@pytest.mark.parametrize(
    "address",
    [":" * 1_000_000, "x://@" + ":" * 1_000_000, "user" * 250_000, "@" * 1_000_000, "x://" + "a:@/" * 250_000],
    ids=["colons", "colons behind", "names", "ats", "mixed"],
)
def test_a_long_text_takes_no_longer_than_it_should(postgres, address):
    # A quadratic search would take minutes.
    began = time.monotonic()
    masked(address)
    hidden(postgres, address)
    assert time.monotonic() - began < 20
