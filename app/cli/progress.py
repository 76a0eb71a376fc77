"""Progress: where a long command is, on stderr: one line that changes on a terminal, else one every ten seconds."""

from __future__ import annotations

import sys
from time import monotonic

import click

_SECONDS, _LINE_SECONDS = 0.2, 10.0


class Progress:
    """Says what is done, how much, and for how long."""

    def __init__(self) -> None:
        self._is_terminal = sys.stderr.isatty()
        self._began = self._said = monotonic()

    def at(self, doing: str, size: int) -> None:
        """It is doing this, and has come to so many bytes; said now and then."""
        now = monotonic()
        if now - self._said >= (_SECONDS if self._is_terminal else _LINE_SECONDS):
            self._said = now
            end = "\033[K\r" if self._is_terminal else "\n"
            print(f"{doing} … {megabytes(size)}, {now - self._began:.0f} s", end=end, file=sys.stderr, flush=True)

    def done(self, what: str) -> None:
        """A step has ended; begins the time of the next one."""
        click.echo(f"{what} ({monotonic() - self._began:.1f} s)", err=True)
        self._began = self._said = monotonic()


def megabytes(size: int) -> str:
    """A size for people."""
    return f"{size / 1e6:.1f} MB"
