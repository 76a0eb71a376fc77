"""The API keeps to its OpenAPI document: Schemathesis, with every check, on every operation.

``CONTRACT_CASES`` is the number of random cases for each operation; more take longer and try more.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from tests.event_stream import wait_until_ready
from tests.serving import environment

CASES = os.environ.get("CONTRACT_CASES", "5")
SEED = os.environ.get("CONTRACT_SEED", "1")

pytest.importorskip("schemathesis", reason="requirements-dev.txt brings it")


def test_the_api_keeps_to_its_document(gunicorn, tmp_path):
    server = gunicorn("tests.drained:app")
    wait_until_ready(server)
    options = [
        "--checks",
        "all",
        "--max-examples",
        CASES,
        "--seed",
        SEED,
        "--generation-database",
        "none",
        "--no-color",
    ]
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "schemathesis.cli",
            "run",
            f"{server.url}/api/openapi.json",
            "--checks",
            "all",
            *options,
        ],
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
