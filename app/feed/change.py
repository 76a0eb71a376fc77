"""Change: one row's change as recorded in the log, and the Filter that selects changes.

Invariant: a Change is read from its payload once and never altered; every client of this worker gets the same frame.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

from pydantic_core import from_json

from app.feed.sse import change_frame, connection_frame
from app.postgres.addresses import masked

Topic = Literal["sessions", "movements", "alerts", "metrics"]
TOPICS: tuple[Topic, ...] = get_args(Topic)


class _Source(NamedTuple):
    """Where the changes of a topic come from: the watched table and its NOTIFY channel."""

    table: str
    channel: str


_SOURCES: dict[Topic, _Source] = {
    "sessions": _Source("sessions", "session_changes"),
    "movements": _Source("people_movements", "movement_changes"),
    "alerts": _Source("alert_logs", "alert_changes"),
    "metrics": _Source("realtime_metrics", "metrics_changes"),
}
CHANNELS = tuple(source.channel for source in _SOURCES.values())
TOPIC_OF_TABLE: dict[str, Topic] = {source.table: topic for topic, source in _SOURCES.items()}
TABLES: dict[Topic, str] = {topic: source.table for topic, source in _SOURCES.items()}

# A camera's address in a payload. All clients get the same frame, so none gets user and password: those who may see
# them read them by REST, which hides them from the others in the same form.
_ADDRESS = re.compile(r'(?<="input_source":)"(?:[^"\\]|\\.)*"')

# Changes of a whole table concern every subscriber of its topic. After the first two, subscribers need a new snapshot.
_RESETS = ("TRUNCATE", "RESET")
TABLE_WIDE = (*_RESETS, "TEST")


class Change(NamedTuple):
    """One row's INSERT, UPDATE or DELETE (or a table's TRUNCATE, RESET or TEST) as recorded in the log.

    ``session_ids`` and ``resolved`` hold the values of both the new and the old row, since a filter matches
    if either does. ``frame`` is what every client of this worker gets, encoded once.
    """

    id: int
    topic: Topic
    action: str
    session_ids: tuple[str, ...]
    resolved: tuple[bool, ...]
    timestamp: float
    frame: bytes

    @property
    def is_table_wide(self) -> bool:
        """Whether it concerns every subscriber of its topic, whatever else the filter says."""
        return self.action in TABLE_WIDE

    @classmethod
    def from_payload(cls, payload: str) -> Change:
        """Parse a payload of the log.

        Raises:
            ValueError: it is none.
        """
        try:
            return cls._from_body(from_json(payload), payload)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ValueError(f"not the payload of a change: {payload[:200]!r}") from error

    @classmethod
    def unreadable(cls, change_id: int, topic: Topic, timestamp: float) -> Change:
        """What stands for a row of the log that cannot be parsed: a reset, for its topic alone."""
        return cls(
            change_id, topic, "RESET", (), (), timestamp, connection_frame([topic], change_id, "reset", timestamp)
        )

    @classmethod
    def _from_body(cls, body: dict[str, Any], payload: str) -> Change:
        change_id, action, timestamp = int(body["id"]), str(body["action"]), float(body["timestamp"])
        topic = TOPIC_OF_TABLE[body["table"]]
        if topic == "sessions":
            payload = _ADDRESS.sub(_hidden, payload)
        rows = [row for row in (body["data"], body["old_data"]) if row]
        column = "id" if topic == "sessions" else "session_id"
        sessions = [row[column] for row in rows if row.get(column)]
        return cls(
            change_id,
            topic,
            action,
            tuple(dict.fromkeys(sessions) if len(sessions) > 1 else sessions),
            tuple([row["is_resolved"] for row in rows]) if topic == "alerts" and action not in TABLE_WIDE else (),
            timestamp,
            connection_frame([topic], change_id, "reset", timestamp)
            if action in _RESETS
            else change_frame(change_id, payload, timestamp),
        )


def _hidden(text: re.Match[str]) -> str:
    address: str = from_json(text[0])
    hidden = masked(address)
    return text[0] if hidden == address else json.dumps(hidden, ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class Filter:
    """What a subscriber asks for. ``session_id`` and ``resolved`` are None for all."""

    topics: frozenset[Topic]
    session_id: str | None = None
    resolved: bool | None = None

    def __str__(self) -> str:
        topics = ", ".join(sorted(self.topics))
        return topics if self.session_id is None else f"{topics} of session {self.session_id}"

    def matches(self, change: Change) -> bool:
        """Whether the new or the old row matches, or the whole table is concerned."""
        if change.topic not in self.topics:
            return False
        if change.is_table_wide:
            return True
        if self.session_id is not None and self.session_id not in change.session_ids:
            return False
        return self.resolved is None or change.topic != "alerts" or self.resolved in change.resolved
