"""How the docs tell people to run the feed: systemd accepts the unit, and what the image does serves."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
import time
import urllib.request

import pytest

from app.config import CHECKOUT
from tests.event_stream import wait_until_ready
from tests.serving import Gunicorn, environment
from tests.waiting import until

UNIT_PAGE = (CHECKOUT / "docs/how-to/run-with-systemd.md").read_text()
IMAGE_PAGE = (CHECKOUT / "docs/how-to/run-in-a-container.md").read_text()


def block(page, kind):
    [text] = re.findall(rf"```{kind}\n(.*?)```", page, re.DOTALL)
    return text


def instructions(name):
    """What the Dockerfile says after this word, in each line that begins with it."""
    return re.findall(rf"^{name} (.*)$", block(IMAGE_PAGE, "dockerfile"), re.MULTILINE)


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")
def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path):
    # The user and the folder of the page are not on this machine.
    text = block(UNIT_PAGE, "ini").replace("/opt/people-feed/app", str(CHECKOUT)).replace("User=feed", "User=root")
    unit = tmp_path / "people-feed.service"
    unit.write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True, timeout=120, check=False
    )
    ours = [line for line in (done.stdout + done.stderr).splitlines() if "people-feed" in line]
    assert (done.returncode, ours) == (0, [])


def test_the_unit_stops_as_gunicorn_needs_it(database_url, gunicorn):
    """By a TERM to the arbiter alone, within the time that the unit leaves."""
    unit = block(UNIT_PAGE, "ini")
    assert "KillMode=mixed" in unit
    feed = gunicorn()
    wait_until_ready(feed)
    began = time.monotonic()
    assert feed.stop() == 0
    assert time.monotonic() - began < int(re.search(r"TimeoutStopSec=(\d+)", unit)[1])


def is_healthy(words):
    return not subprocess.run([sys.executable, *words], capture_output=True, timeout=60, check=False).returncode


def test_the_image_holds_what_the_feed_needs(database_url, tmp_path):
    """The files that the Dockerfile copies, alone, serve, answer its health check and know the commands."""
    for instruction in instructions("COPY"):
        *names, target = instruction.split()
        for name in names:
            place = tmp_path / target / (name if target == "./" else "")
            if (CHECKOUT / name).is_dir():
                shutil.copytree(CHECKOUT / name, place, ignore=shutil.ignore_patterns("node_modules", "__pycache__"))
            else:
                shutil.copy(CHECKOUT / name, place)
    [settings] = instructions("ENV")
    given = dict(pair.split("=", 1) for pair in shlex.split(settings))
    [command] = [json.loads(line) for line in instructions("CMD")]
    assert (command, given["HOST"], given["PORT"]) == (["gunicorn"], "0.0.0.0", "8000")

    class Image(Gunicorn):
        folder = tmp_path

    feed = Image(tmp_path / "log", DATABASE_URL=database_url, HOST="0.0.0.0")
    try:
        feed.wait_until_listening()
        assert "Access: nobody yet. Set it up at " in feed.log
        port = feed.url.rpartition(":")[2]
        [check] = instructions("HEALTHCHECK")
        asked = [word.replace(":8000", f":{port}") for word in json.loads(check.partition("CMD ")[2])[1:]]
        until(lambda: is_healthy(asked), what="a healthy container")
        page = feed.url.replace("0.0.0.0", "127.0.0.1")
        with urllib.request.urlopen(page, timeout=20) as answer:
            assert b"/assets/" in answer.read()
    finally:
        feed.stop()
    assert not is_healthy(asked)
    done = subprocess.run(
        [sys.executable, "-m", "flask", "access"],
        cwd=tmp_path, env=environment(DATABASE_URL=database_url, HOST="0.0.0.0", FLASK_APP=given["FLASK_APP"]),
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert "The feed is closed until the set-up" in done.stdout, done.stderr
