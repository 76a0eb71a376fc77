"""What the docs tell people to copy: the camera counts, and every curl is answered as its page says."""

from __future__ import annotations

import json
import os
import re
import shutil
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


PAGES = ("docs/reference/rest.md", "docs/how-to/write-from-a-camera.md", "docs/how-to/follow-from-a-browser.md")
MOVEMENT = '{"session_id": "%s", "person_id": 1, "movement_direction": "in"}\n'


def curls():
    """Each curl of the pages, with the status that its answer has there, or None if it succeeds."""
    text = "".join((CHECKOUT / page).read_text() for page in PAGES).replace("\\\n", " ")
    for command, answer in re.findall(r"^    (?:\$ )?(curl .*)\n(?=(.*))", text, re.MULTILINE):
        status = re.search(r'"status":(\d+)', answer)
        yield command, int(status[1]) if status else None


def post(url, **row):
    body = json.dumps(row).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=20) as response:
        return json.load(response)["id"]


def test_every_curl_is_found():
    assert len(list(curls())) > 25
    assert {status for _, status in curls()} == {None, 400, 412}


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
def test_every_curl_is_answered_as_its_page_says(gunicorn, database_url, tmp_path):
    api = f"{gunicorn(DATABASE_URL=database_url).url}/api"
    for command, wanted in curls():
        session = post(f"{api}/sessions", session_name="Main door")
        alert = post(f"{api}/alerts", session_id=session, alert_type="door_blocked")
        (tmp_path / "rows.ndjson").write_text(MOVEMENT % session)
        done = subprocess.run(
            [f'curl() {{ command curl -sS -w "\\n%{{http_code}}" "$@"; }}; {command}'],
            shell=True,
            cwd=tmp_path,
            env={**os.environ, "API": api, "S": session, "ALERT": alert},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, ""), command
        status = int(done.stdout.rsplit("\n", 1)[1])
        assert status == wanted if wanted else status < 300, (command, done.stdout)
