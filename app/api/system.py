"""System: what this worker is doing, and what those of all hosts have reported, for the System page and monitoring.

Invariant: ``/api/system`` reads counters and nothing else: it answers without the database, each worker for itself. The
others answer from the database alone, so any worker gives the same answer; PostgreSQL renders it, and the models below
only describe it for the OpenAPI document.
"""

from __future__ import annotations

import os
import time
from typing import Annotated, Any, Literal

from flask import Response, jsonify
from pydantic import Field, WithJsonSchema

from app.api.current import current_feed
from app.feed.log import unreadable
from app.postgres.reports import MAX_POINTS, read_history, read_trigger_cost, read_workers
from app.postgres.snapshot import snapshot
from app.rest.document import Endpoints
from app.rest.resource import problem_response
from app.rest.rows import row_response
from app.rest.schema import Described, Strict
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


_Rate = Annotated[float | None, Field(ge=0, description="Since the report before; null in a worker's first.")]
_Time = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]
_Count = Annotated[int, Field(ge=0)]


class Delays(Described):
    """From the writing of a row to its publication, of the newest changes since the report before."""

    p50: float
    p99: float


class ReportedWorker(Described):
    """What one worker last said of itself; totals are those since it began."""

    host: str
    worker: _Count = Field(description="Its number on its host: one that takes another's place has the same.")
    process: int
    version: str
    started_at: _Time
    reported_at: _Time
    listener: Literal["connecting", "live", "reconnecting"]
    streams: _Count
    changes: _Count = Field(description="Each worker publishes all.")
    deliveries: _Count
    sent_bytes: _Count
    log_reads: _Count
    overflows: _Count
    reconnects: _Count
    unannounced: _Count
    errors: _Count
    changes_per_second: _Rate
    deliveries_per_second: _Rate
    cpu_percent: _Rate
    resident_bytes: int | None = Field(description="Null where its system does not tell.")
    commit_to_publish_ms: Delays | None


class Cost(Described):
    """What a part of it takes, since the database's statistics were last reset."""

    calls: _Count
    mean_us: float | None = Field(description="Microseconds of a call; null without one.")


class TriggerCost(Described):
    """What PostgreSQL measures of it."""

    record: Cost = Field(description="Of the triggers that note a change, which a writer waits for.")
    numbering: Cost = Field(description="Of giving ids to what is committed, which no writer waits for.")


class Workers(Described):
    """The workers of all hosts that have reported within 30 seconds."""

    workers: list[ReportedWorker]
    trigger_cost: TriggerCost | None = Field(description="Null where the server's track_functions is none.")


class SystemPoint(Described):
    """What all workers reported from one start up to the next; null where none did."""

    start: _Time
    workers: _Count
    streams: float | None
    changes_per_second: float | None = Field(description="Of the site: the highest of its workers.")
    deliveries_per_second: float | None = Field(description="Of all workers together.")
    sequencer_lag_seconds: float | None = Field(description="The age of the oldest change without an id, at most.")
    notify_queue_usage: float | None = Field(description="How full the notification queue was at most; 1 is full.")


class SystemHistory(Described):
    """Points of equal width, in order, up to the last that is over."""

    seconds: float = Field(gt=0, description="How wide a point is.")
    points: list[SystemPoint] = Field(max_length=MAX_POINTS)


class HistoryQuery(Strict):
    """How far back."""

    minutes: int = Field(default=60, ge=1, le=120, description="The last so many; reports are kept for two hours.")


@api.get(
    "/system/workers",
    takes("read", "metrics"),
    "listWorkers",
    summary="The workers of all hosts, and what the triggers cost",
    responses={200: Workers, 503: problem_response()},
)
@reads()
def workers() -> Response:
    """Each reports every ten seconds. One that is killed is listed for 30, or until its successor reports."""
    with snapshot() as connection:
        listed, cost = read_workers(connection), read_trigger_cost(connection)
    return row_response(f'{{"workers":{listed},"trigger_cost":{cost}}}')


@api.get(
    "/system/history",
    takes("read", "metrics"),
    "readSystemHistory",
    summary="What all workers together did in the last minutes",
    responses={200: SystemHistory, 400: problem_response(), 503: problem_response()},
)
@reads(query=HistoryQuery)
def history(query: HistoryQuery) -> Response:
    with snapshot() as connection:
        return row_response(read_history(connection, query.minutes))


def _percentiles(delays_ms: list[float]) -> dict[str, float] | None:
    if not delays_ms:
        return None
    return {
        "p50": round(delays_ms[len(delays_ms) // 2], 2),
        "p99": round(delays_ms[min(len(delays_ms) - 1, len(delays_ms) * 99 // 100)], 2),
    }
