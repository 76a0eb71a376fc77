"""The oracle, briefly. For a soak: ``python -m tests.fault.oracle --minutes 30``."""

from __future__ import annotations

import subprocess
import sys

from app.config import CHECKOUT


def test_the_oracle_finds_nothing_in_a_short_run():
    """With keys that end, besides all other faults. It is a process of its own, as it has many threads."""
    options = ["--minutes", "0.3", "--round-seconds", "18", "--seed", "20261124", "--gap-seconds", "0.5"]
    ended = subprocess.run(
        [sys.executable, "-m", "tests.fault.oracle", *options, "--clients", "24", "--rate", "120", "--access"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "0 lost, 0 twice, 0 out of order, 0 rows that differ." in ended.stdout
