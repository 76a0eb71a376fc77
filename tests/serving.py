"""A real gunicorn for tests, on a port of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

from app.config import CHECKOUT
from tests.waiting import until

_OURS = {"HOST", "PORT", "URL_PREFIX", "SCRIPT_NAME", "WEB_CONCURRENCY", "DATA_DIR", "DATABASE_URL"}


def environment(**settings: object) -> dict[str, str]:
    """Our own environment without the settings in it, and with these."""
    kept = {name: value for name, value in os.environ.items() if name not in _OURS and not name.startswith("DB_")}
    return kept | {name: str(value) for name, value in settings.items()}


def status(url: str) -> int:
    """The HTTP status that a GET answers with."""
    try:
        with urllib.request.urlopen(url, timeout=10) as response:
            return response.status
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


class Gunicorn:
    """``gunicorn wsgi:app`` in a session of its own: ``url``, ``pid`` (the arbiter's), ``log`` and ``stop()``."""

    command: tuple[str | Path, ...] = (sys.executable, "-m", "gunicorn")
    folder = CHECKOUT

    def __init__(self, log: Path, *options: str, **settings: object) -> None:
        self._log = log
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [*self.command, *options],
                cwd=self.folder,
                env=environment(**{"PORT": 0} | settings),
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        self.pid = self.process.pid
        self.url = ""

    @property
    def log(self) -> str:
        return self._log.read_text("utf-8", "replace")

    def wait_until_listening(self) -> None:
        def greeting():
            assert self.process.poll() is None, f"gunicorn gave up:\n{self.log}"
            return re.search(r"^People counting feed: (http://\S+)", self.log, re.MULTILINE)

        self.url = until(greeting, what="the greeting")[1]

    def workers(self) -> list[int]:
        """The processes of the workers."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        return [int(pid) for pid in children if "gunicorn" in _command(pid)]  # and not PostgreSQL

    def stop(self, by: int = signal.SIGTERM) -> int:
        """End it, and whatever is left of it after half a minute; its exit status. May be called twice."""
        if self.process.poll() is None:
            self.process.send_signal(by)
        try:
            return self.process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(self.pid, signal.SIGKILL)
            self.process.wait()
            raise AssertionError(f"gunicorn did not stop:\n{self.log}") from None


def _command(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
