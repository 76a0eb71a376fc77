"""Ring: the newest changes of the log, kept in a worker's memory.

Invariant: it holds every change after ``floor`` up to ``cursor``, in order, within its budget of frame bytes. A client
that resumes from a cursor within its reach costs the database nothing.

Reads return pieces that end at round ids. When many clients reconnect at once from different cursors, those with the
same filter soon read the same pieces, and the newest pieces are kept as ready-made bytes.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple

from app.feed.change import Change, Filter

# What a change costs beside its frame: the object, its tuples, two list places. Measured with tracemalloc.
_OVERHEAD_BYTES = 400
# A piece ends at the next multiple of this many ids, or earlier once it reaches this many bytes: large enough to
# amortise a write, small enough to share the loop.
_PIECE_IDS = 256
_PIECE_BYTES = 256 * 1024
# A kept piece has 256 kB, or one larger frame: 4 MB are kept in all.
_PIECES_KEPT = 16


class Piece(NamedTuple):
    """The frames of the matching changes after some cursor, their number, and the cursor that they lead up to.

    ``is_open``: it ends where the ring ended; it can grow once more changes arrive.
    """

    frames: bytes
    number: int
    cursor: int
    is_open: bool


class Ring:
    """A bounded list of changes that forgets the oldest."""

    def __init__(self, max_bytes: int) -> None:
        self.floor = 0
        self.cursor = 0
        self.bytes = 0
        self._max_bytes = max_bytes
        self._changes: list[Change] = []
        self._ids: list[int] = []
        self._pieces: dict[tuple[Filter, int], Piece] = {}

    def __len__(self) -> int:
        return len(self._changes)

    def start_at(self, cursor: int) -> None:
        """Forget everything; the next change is the first after ``cursor``."""
        self.floor = self.cursor = cursor
        self.bytes = 0
        self._changes.clear()
        self._ids.clear()
        self._pieces.clear()

    def append(self, changes: Sequence[Change]) -> None:
        """Add the changes that follow ``cursor``."""
        self._changes.extend(changes)
        self._ids.extend(change.id for change in changes)
        self.bytes += sum(_size(change) for change in changes)
        self.cursor = self._ids[-1] if self._ids else self.cursor
        if self.bytes > self._max_bytes:
            self._forget()

    def piece(self, after: int, wanted: Filter) -> Piece | None:
        """The next matching changes after a cursor, or None if the ring does not reach back that far."""
        if after < self.floor:
            return None
        key = wanted, after
        piece = self._pieces.get(key)
        if piece is None or (piece.is_open and piece.cursor < self.cursor):
            piece = self._pieces[key] = self._read(after, wanted)
            if len(self._pieces) > _PIECES_KEPT:
                del self._pieces[next(iter(self._pieces))]
        return piece

    def between(self, after: int, upto: int, wanted: Filter) -> list[Change] | None:
        """The matching changes after a cursor, up to another, as far as it reaches; None if it does not reach back."""
        if after < self.floor:
            return None
        some = self._changes[bisect_right(self._ids, after) : bisect_right(self._ids, upto)]
        return [change for change in some if wanted.matches(change)]

    def _read(self, after: int, wanted: Filter) -> Piece:
        start = bisect_right(self._ids, after)
        if start == len(self._ids):
            return Piece(b"", 0, max(after, self.cursor), is_open=True)
        # Counted from the next id that exists: ids may leap.
        end = (self._ids[start] - 1) // _PIECE_IDS * _PIECE_IDS + _PIECE_IDS
        frames, size = [], 0
        for change in self._changes[start : bisect_right(self._ids, end)]:
            if wanted.matches(change):
                frames.append(change.frame)
                size += len(change.frame)
                if size >= _PIECE_BYTES:
                    end = change.id
                    break
        return Piece(b"".join(frames), len(frames), min(end, self.cursor), is_open=end > self.cursor)

    def _forget(self) -> None:
        # A tenth more than needed: deleting from the front of a list costs its whole length.
        goal, gone = self._max_bytes * 9 // 10, 0
        while self.bytes > goal:
            self.bytes -= _size(self._changes[gone])
            gone += 1
        self.floor = self._ids[gone - 1]
        del self._changes[:gone]
        del self._ids[:gone]


def _size(change: Change) -> int:
    return len(change.frame) + _OVERHEAD_BYTES
