"""Cursor: a position in the change log: everything up to an id, and perhaps a few changes beyond it.

Invariant: clients keep its text and send it back, and do not look inside. A snapshot may see changes that had no id
when it was taken; by the time they have one, others may have got lower ones. Then ``4711,4713,4715-4717`` says:
everything up to 4711, and these. Who continues there gets the changes after 4711 without those.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

# A PostgreSQL bigint has at most 19 digits. The text has to fit into a header, with room to spare.
_TEXT = re.compile(r"[0-9]{1,19}(?:,[0-9]{1,19}(?:-[0-9]{1,19})?)*")
_MAX_LENGTH = 2000
# How many ids a text may name beyond its first: a range is short however many it holds, and anyone may send one.
MAX_BEYOND = 1000


@dataclass(frozen=True, slots=True)
class Cursor:
    """Everything up to ``upto`` is known, and the ids in ``beyond``, all of which are greater."""

    upto: int
    beyond: frozenset[int] = frozenset()

    @classmethod
    def of(cls, upto: int, beyond: Iterable[int] = ()) -> Cursor:
        """The cursor of everything up to ``upto`` and these ids, which may follow it directly."""
        left = {number for number in beyond if number > upto}
        while upto + 1 in left:
            upto += 1
            left.discard(upto)
        return cls(upto, frozenset(left))

    @classmethod
    def read(cls, text: str) -> Cursor | None:
        """The cursor that a client sent back; None if the text cannot be one."""
        if len(text) > _MAX_LENGTH or not _TEXT.fullmatch(text):
            return None
        first, *rest = text.split(",")
        upto = last = int(first)
        beyond: list[int] = []
        for part in rest:
            start, _, end = part.partition("-")
            low, high = int(start), int(end or start)
            if not last < low <= high or len(beyond) + high - low >= MAX_BEYOND:
                return None
            beyond.extend(range(low, high + 1))
            last = high
        return cls.of(upto, beyond)

    @property
    def newest(self) -> int:
        """The newest change that is known."""
        return max(self.beyond, default=self.upto)

    def advanced(self, upto: int) -> Cursor:
        """The cursor once everything up to ``upto`` is known, too."""
        return Cursor.of(max(self.upto, upto), self.beyond) if self.beyond else Cursor(max(self.upto, upto))

    @property
    def is_short(self) -> bool:
        """Whether its text is one that ``read`` takes."""
        return len(self.beyond) <= MAX_BEYOND and len(str(self)) <= _MAX_LENGTH

    def __str__(self) -> str:
        return ",".join((str(self.upto), *_ranges(sorted(self.beyond))))


def _ranges(numbers: list[int]) -> Iterator[str]:
    for _, group in groupby(enumerate(numbers), lambda place: place[1] - place[0]):
        first, *_, last = [*(number for _, number in group)] * 2
        yield str(first) if first == last else f"{first}-{last}"
