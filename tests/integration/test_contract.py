"""The API keeps to its OpenAPI document: Schemathesis, with every check, on every operation.

``CONTRACT_CASES`` is the number of random cases for each operation; more take longer and try more.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import urllib.request

import pytest
from sqlalchemy import create_engine

from app.access import keys, passwords, users
from app.postgres.connections import sqlalchemy_url
from tests.event_stream import wait_until_ready
from tests.serving import environment

CASES = os.environ.get("CONTRACT_CASES", "4")
FEWER = os.environ.get("CONTRACT_CASES", "1")
SEED = os.environ.get("CONTRACT_SEED", "1")

_SETTINGS = """
[[operations]]
include-path-regex = "^/api/(users|setup|password|keys)"
checks.positive_data_acceptance.expected-statuses = ["2xx", 401, 403, 404, 409, 422, 429, "5xx"]

[[operations]]
include-operation-id-regex = "^(list(Sessions|Movements|Alerts|Metrics|Thresholds|SessionFigures)|\
read(SessionStatistics|Statistics|Flow|Profile))$"
checks.positive_data_acceptance.expected-statuses = ["2xx", 400, 401, 403, 404, 429, "5xx"]
"""

pytest.importorskip("schemathesis", reason="requirements-dev.txt brings it")


@pytest.mark.parametrize("who", ["everyone", "nobody", "admin"])
def test_the_api_keeps_to_its_document(gunicorn, database_url, tmp_path, who):
    shown = _shown(database_url, who)
    server = gunicorn("tests.drained:app")
    wait_until_ready(server)
    # Which passwords are guessable, what is past, which time zones and paging tokens there are, and whether a range is
    # too long, no schema can say. Who is let in with what is for
    # test_access_matrix.py: here every caller shows the same, and unknown keys from one address are slowed.
    (tmp_path / "schemathesis.toml").write_text(_SETTINGS)
    document = tmp_path / "openapi.json"
    document.write_bytes(_document(server.url, _shown(database_url, "admin") if shown is not None else {}))
    options = [*(f"--header={name}: {value}" for name, value in (shown or {}).items()), "--checks", "all"]
    options += ["--exclude-checks", "ignored_auth"]
    options += ["--max-examples", CASES if who == "everyone" else FEWER, "--seed", SEED]
    options += ["--generation-database", "none", "--no-color"]
    if who != "everyone":  # the same endpoints: what is systematic was tried by everyone
        options += ["--phases", "examples,fuzzing,stateful"]
    done = subprocess.run(
        [sys.executable, "-m", "schemathesis.cli", "run", str(document), "--url", server.url, *options],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=3000,
        check=False,
    )
    print(done.stdout)
    assert done.returncode == 0, f"{done.stdout[-20_000:]}\n{done.stderr}\n{server.log[-5000:]}"
    assert re.search(r"(\d+) generated, \1 passed", done.stdout)
    assert "✅ Examples" in done.stdout  # those of the document


def _shown(database_url, who):
    """What this caller shows, to a feed with users; None where there are none, and everyone may."""
    if who == "everyone":
        return None
    engine = create_engine(sqlalchemy_url(database_url))
    with engine.begin() as connection:
        if not users.user_of_name(connection, "ada"):
            users.create_user(connection, "ada", "admin", passwords.hashed("ada"))
        key, _ = keys.create_key(connection, who, "admin")
    engine.dispose()
    return {} if who == "nobody" else {"Authorization": f"Bearer {key}"}


def _document(url, headers):
    with urllib.request.urlopen(
        urllib.request.Request(f"{url}/api/openapi.json", headers=headers), timeout=60
    ) as answer:
        return answer.read()
