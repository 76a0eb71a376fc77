"""Ring: the newest changes of the log, kept in a worker's memory.

Invariant: it holds every change after ``floor`` up to ``cursor``, in order, and no more bytes of frames than it was
given. Whoever resumes from a cursor that it reaches back to costs the database nothing.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from app.changes import Change

# What a change costs beside its frame: the object, its tuples, two list places. Measured with tracemalloc.
_OVERHEAD_BYTES = 400


class Ring:
    """A bounded list of changes that forgets the oldest."""

    def __init__(self, max_bytes: int) -> None:
        self.floor = 0
        self.cursor = 0
        self.bytes = 0
        self._max_bytes = max_bytes
        self._changes: list[Change] = []
        self._ids: list[int] = []

    def __len__(self) -> int:
        return len(self._changes)

    def start_at(self, cursor: int) -> None:
        """Forget everything; the next change is the first after ``cursor``."""
        self.floor = self.cursor = cursor
        self.bytes = 0
        self._changes.clear()
        self._ids.clear()

    def append(self, changes: Sequence[Change]) -> None:
        """Take in the changes that follow ``cursor``."""
        self._changes.extend(changes)
        self._ids.extend(change.id for change in changes)
        self.bytes += sum(_size(change) for change in changes)
        self.cursor = self._ids[-1] if self._ids else self.cursor
        if self.bytes > self._max_bytes:
            self._forget()

    def after(self, cursor: int) -> list[Change] | None:
        """The changes after ``cursor``, or None if the ring does not reach back so far."""
        if cursor < self.floor:
            return None
        return self._changes[bisect_right(self._ids, cursor) :]

    def _forget(self) -> None:
        # A tenth more than needed: taking from a list's front costs its whole length.
        goal, gone = self._max_bytes * 9 // 10, 0
        while self.bytes > goal:
            self.bytes -= _size(self._changes[gone])
            gone += 1
        self.floor = self._ids[gone - 1]
        del self._changes[:gone]
        del self._ids[:gone]


def _size(change: Change) -> int:
    return len(change.frame) + _OVERHEAD_BYTES
