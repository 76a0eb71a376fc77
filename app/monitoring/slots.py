"""Slots: which worker keeps its figures under which number, in files that all workers of an arbiter share.

Invariant: a slot belongs to one worker at a time, and a new worker gets the lowest that is free. Counters stay in the
files of their slot, and the next worker goes on from them: one that is killed takes nothing back. What is only true
while a worker lives goes with it. Imports nothing that gevent would have to patch: the arbiter runs this.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

# Where prometheus_client looks for the files, once it is imported. SLOT is ours.
FOLDER = "PROMETHEUS_MULTIPROC_DIR"
SLOT = "PEOPLE_FEED_SLOT"


class Slots:
    """The slots of one arbiter, from ``open`` to ``close``."""

    def __init__(self) -> None:
        self._taken: set[int] = set()
        self._folder: Path | None = None

    def open(self) -> None:
        """Make the folder of the files. Without one, each worker would count for itself."""
        self._folder = Path(tempfile.mkdtemp(prefix="people-feed-metrics-"))
        os.environ[FOLDER] = str(self._folder)
        atexit.register(self._close_in, os.getpid())  # also if gunicorn gives up early

    def close(self) -> None:
        """Remove the folder. May be called twice, and without ``open``."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def take(self) -> int:
        """A slot for a worker that is about to start."""
        slot = next(number for number in range(len(self._taken) + 1) if number not in self._taken)
        self._taken.add(slot)
        return slot

    def give_back(self, slot: int) -> None:
        """The worker has ended, in whatever way."""
        self._taken.discard(slot)
        if self._folder is not None:
            for path in self._folder.glob(f"gauge_live*_{slot}.db"):
                path.unlink(missing_ok=True)

    def _close_in(self, pid: int) -> None:
        if os.getpid() == pid:  # workers inherit what runs at exit
            self.close()


slots = Slots()
