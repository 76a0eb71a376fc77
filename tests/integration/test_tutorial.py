"""The tutorial's camera: each command and the program of its page, in order, in one shell, as a newcomer types them."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
import urllib.request

import pytest

from app.config import CHECKOUT
from tests.event_stream import wait_until_ready
from tests.serving import environment

PAGE = (CHECKOUT / "docs/tutorial/your-own-camera.md").read_text()


def commands():
    """The indented lines outside of the program; a backslash continues one."""
    text = re.sub(r"```.*?```", "", PAGE, flags=re.DOTALL).replace("\\\n", " ")
    return [line.strip() for line in re.findall(r"^    (\S.*)$", text, re.MULTILINE)]


def typed(command, url):
    """The command where this test's feed is, and with the Python that runs this."""
    ours = {
        "./run flask": f"{shlex.quote(sys.executable)} -m flask --app app.cli:create_app",
        "./run python": shlex.quote(sys.executable),
        "http://127.0.0.1:8000": url,
    }
    for theirs, replaced in ours.items():
        command = command.replace(theirs, replaced)
    return command


def get(url):
    with urllib.request.urlopen(url, timeout=20) as response:
        return json.load(response)


def test_the_commands_are_found():
    first, *others = commands()
    assert first == "./run"
    assert len(others) == 5


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
def test_the_tutorial_ends_with_a_camera_on_the_dashboard(gunicorn, database_url, tmp_path):
    feed = gunicorn()
    wait_until_ready(feed)
    [program] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "door.py").write_text(program)
    _start, *others = commands()
    *counting, stop = [typed(command, feed.url) for command in others]

    def run(*lines):
        done = subprocess.run(
            ["bash", "-c", "\n".join(["set -euo pipefail", *lines])],
            cwd=tmp_path,
            env=environment(DATABASE_URL=database_url, API=f"{feed.url}/api", PYTHONPATH=CHECKOUT),
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return done.stdout

    *_, known = run(*counting, 'echo; echo "KEY=$KEY SESSION=$SESSION"').splitlines()
    [card] = get(f"{feed.url}/api/sessions/figures")
    assert card["inside"] == 3
    today = get(f"{feed.url}/api/stats")
    assert (today["now"]["inside"], today["today"]["entered"], today["today"]["exited"]) == (3, 4, 1)
    [session] = get(f"{feed.url}/api/sessions")["items"]
    assert (session["session_name"], session["status"]) == ("Shop door", "active")
    run(known, stop)
    assert get(f"{feed.url}/api/sessions/{session['id']}")["status"] == "completed"
