"""System: what this worker is doing, for the System page and for monitoring.

Invariant: reads counters and nothing else. Each worker answers for itself.
"""

from __future__ import annotations

import os
import time
from typing import Any

from flask import Response, jsonify

from app.api.current import current_feed
from app.feed.log import unreadable
from app.rest.document import Endpoints
from app.rest.takes import takes
from app.rest.validation import reads

api = Endpoints("system", "/api", tag="health", about="Does it work?")

_STARTED_AT = time.time()
_ANSWER: dict[str, Any] = {
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["worker", "started_at", "streams", "listener", "sequencer", "ring"],
                "properties": {
                    "worker": {"type": "integer", "description": "The number of its process."},
                    "started_at": {"type": "number", "description": "Seconds since 1970."},
                    "streams": {"type": "integer", "minimum": 0},
                    "listener": {"type": "object"},
                    "sequencer": {"type": "object", "description": "Gives ids to changes, in one worker at a time."},
                    "ring": {"type": "object"},
                    "commit_to_publish_ms": {"anyOf": [{"type": "object"}, {"type": "null"}]},
                },
            }
        }
    }
}


@api.get(
    "/system",
    takes("read", "metrics"),
    "readSystem",
    summary="Counters of the worker that answers",
    responses={200: _ANSWER},
)
@reads()
def system() -> Response:
    feed = current_feed()
    hub, listener, counts = feed.hub, feed.listener, feed.hub.counts
    cursor = None if listener.cursor is None else str(listener.cursor)
    return jsonify(
        worker=os.getpid(),
        started_at=_STARTED_AT,
        streams=hub.stream_count,
        opened=counts["opened"],
        changes=counts["changes"],
        deliveries=counts["deliveries"],
        replays=counts["resumed"],
        log_reads=counts["log_reads"],
        overflows=counts["overflows"],
        resets=counts["reset"],
        reconnects=listener.counts["reconnects"],
        unannounced=listener.counts["unannounced"],
        unreadable=len(unreadable),
        errors=listener.counts["failures"],
        listener={"state": listener.state, "cursor": cursor, "since": listener.since},
        sequencer={
            "state": feed.sequencer.state,
            "is_first": feed.sequencer.is_first,
            "numbered": feed.sequencer.totals["numbered"],
            "unrung": feed.sequencer.totals["unrung"],
        },
        ring={"frames": len(hub.ring), "bytes": hub.ring.bytes},
        commit_to_publish_ms=_percentiles(sorted(listener.delays_ms)),
    )


def _percentiles(delays_ms: list[float]) -> dict[str, float] | None:
    if not delays_ms:
        return None
    return {
        "p50": round(delays_ms[len(delays_ms) // 2], 2),
        "p99": round(delays_ms[min(len(delays_ms) - 1, len(delays_ms) * 99 // 100)], 2),
    }
