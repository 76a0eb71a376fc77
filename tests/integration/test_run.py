"""./run: builds an environment beside the one in use, and swaps it whole."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from app.config import CHECKOUT
from tests.serving import environment

_PREFIX = "import sys; print(sys.prefix)"


@pytest.fixture
def checkout(tmp_path):
    """A checkout that asks for nothing, so that its environment is made in seconds."""
    shutil.copy(CHECKOUT / "run", tmp_path / "run")
    (tmp_path / "requirements.txt").write_text("# nothing\n")
    return tmp_path


def start(checkout, *command):
    return subprocess.Popen(
        [checkout / "run", *command],
        env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def prefix(process):
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return out.strip()


def test_an_environment_in_use_stays_when_the_requirements_change(checkout):
    running = start(checkout, "python", "-c", "input(); import wsgiref.simple_server, sys; print(sys.prefix)")
    first = prefix(start(checkout, "python", "-c", _PREFIX))
    (checkout / "requirements.txt").write_text("# something else\n")
    second = prefix(start(checkout, "python", "-c", _PREFIX))
    assert second != first
    out, err = running.communicate("\n", timeout=60)
    assert (running.returncode, out.strip()) == (0, first), err
    assert prefix(start(checkout, "python", "-c", _PREFIX)) == second


def test_two_first_starts_at_once_share_one_environment(checkout):
    both = [start(checkout, "python", "-c", _PREFIX) for _ in range(2)]
    assert len({prefix(process) for process in both}) == 1
    assert len(list(checkout.glob(".venv-*"))) == 1


def test_an_environment_of_an_earlier_kind_is_replaced(checkout):
    (checkout / ".venv" / "bin").mkdir(parents=True)
    assert prefix(start(checkout, "python", "-c", _PREFIX)).startswith(str(checkout / ".venv-"))
    assert (checkout / ".venv").is_symlink()


def test_an_installation_that_fails_says_why_and_leaves_no_environment(checkout):
    (checkout / "requirements.txt").write_text("/no/such/package\n")
    process = start(checkout, "python", "-c", _PREFIX)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 1
    assert "no/such/package" in err
    assert "run: this failed:" in err
    assert not (checkout / ".venv").exists()
