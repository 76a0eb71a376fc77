"""The unit of deploy/systemd: systemd accepts it, and the feed does what it counts on.

What only a running systemd can show, the sandbox, is not tried here.
"""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import sys
import time

import pytest

from app.config import CHECKOUT
from tests.event_stream import wait_until_ready

UNIT = (CHECKOUT / "deploy/systemd/people-feed.service").read_text()


def settings(name):
    """What the unit says after this name, in each line that begins with it."""
    return re.findall(rf"^{name}=(.*)$", UNIT, re.MULTILINE)


@pytest.fixture
def unit(tmp_path):
    """The unit with a program and a user that are on this machine."""
    unit = tmp_path / "people-feed.service"
    unit.write_text(
        UNIT.replace("/opt/people-feed/bin/people-feed", sys.executable).replace("User=people-feed", "User=root")
    )
    return unit


def analyze(*words):
    done = subprocess.run(
        ["systemd-analyze", *map(str, words)], capture_output=True, text=True, timeout=120, check=False
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")
def test_systemd_finds_nothing_wrong_with_the_unit(unit):
    status, said = analyze("verify", "--man=no", unit)
    assert (status, [line for line in said.splitlines() if "people-feed" in line]) == (0, [])


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")
def test_the_unit_exposes_little(unit):
    status, said = analyze("security", "--offline=true", "--threshold=20", unit)  # tenths: 2.0 of 10
    assert status == 0, said


def test_the_unit_leaves_the_feed_no_right_but_those_of_an_ordinary_user():
    assert settings("User") == ["people-feed"]
    assert settings("CapabilityBoundingSet") == [""]
    assert settings("NoNewPrivileges") == ["yes"]
    assert settings("ProtectSystem") == ["strict"]
    assert settings("Environment") == ["DATA_DIR=%S/people-feed"]
    assert settings("StateDirectory") == ["people-feed"]


def test_the_feed_says_when_it_has_started(gunicorn, tmp_path):
    """As Type=notify needs it: once, when it listens."""
    assert settings("Type") == ["notify"]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(60)
        gunicorn(NOTIFY_SOCKET=tmp_path / "notify")
        assert b"READY=1" in systemd.recv(4096).splitlines()


def test_the_unit_stops_as_gunicorn_needs_it(database_url, gunicorn):
    """By a TERM to the arbiter alone, within the time that the unit leaves."""
    assert settings("KillMode") == ["mixed"]
    feed = gunicorn()
    wait_until_ready(feed)
    began = time.monotonic()
    assert feed.stop() == 0
    assert time.monotonic() - began < int(settings("TimeoutStopSec")[0])
