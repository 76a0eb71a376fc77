"""Folders for the data of a PostgreSQL that lives as long as its tests.

Invariant: the path is short enough for a socket, and the embedded server's user may go there; pytest's own folders are
root's alone. They are in memory where the system has room for them there: each test copies a database, and files that
nobody will read again cost a disk more than all else that the test does.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_MEMORY = Path("/dev/shm")
_ROOM_BYTES = 4_000_000_000  # write-ahead logs of bulk rows, on each of some servers; containers often have 64 MB


def make_folder(prefix: str, *, on_disk: bool = False) -> Path:
    """A new folder, which the caller removes."""
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir="/tmp" if on_disk or not _has_room() else _MEMORY))
    folder.chmod(0o755)
    return folder


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A new folder, until the end of the block."""
    folder = make_folder("feed-test-")
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def _has_room() -> bool:
    return os.access(_MEMORY, os.W_OK | os.X_OK) and shutil.disk_usage(_MEMORY).free > _ROOM_BYTES
