"""What the how-to for producers tells people to copy: the camera counts, and its retries count nobody twice."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import urllib.request

import pytest

from app.config import CHECKOUT
from tests.serving import environment


@pytest.fixture
def camera(tmp_path):
    """The Python of the cookbook, as a file."""
    [code] = re.findall(
        r"```python\n(.*?)```", (CHECKOUT / "docs/how-to/write-from-a-camera.md").read_text(), re.DOTALL
    )
    path = tmp_path / "camera.py"
    path.write_text(code)
    return path


def get(url):
    with urllib.request.urlopen(url, timeout=20) as response:
        return json.load(response)


def test_the_camera_of_the_cookbook_counts(gunicorn, database_url, camera):
    api = f"{gunicorn(DATABASE_URL=database_url).url}/api"
    done = subprocess.run(
        [sys.executable, camera],
        input="in\nin\nout\n",
        env=environment(API=api),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    [session] = get(f"{api}/sessions")["items"]
    movements = get(f"{api}/movements?order=movement_time")["items"]
    assert [row["movement_direction"] for row in movements] == ["in", "in", "out"]
    assert get(f"{api}/metrics?limit=1")["items"][0]["current_people_count"] == 1
    assert session["status"] == "completed"


def test_the_camera_is_as_short_as_promised(camera):
    assert len([line for line in camera.read_text().splitlines() if line]) <= 15
