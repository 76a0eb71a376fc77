"""httpx-sse, reconnecting as its documentation proposes, but for two things.

There only a ReadError is tried again, and an event without an id takes away the id that an earlier connection left.
"""

from __future__ import annotations

import sys
import time

import httpx
from httpx_sse import SSEError, connect_sse

last_event_id, wait_seconds = "", 0.0
with httpx.Client(timeout=30) as client:  # httpx gives up after five silent seconds, unless told
    while True:
        time.sleep(wait_seconds)
        headers = {"Last-Event-ID": last_event_id} if last_event_id else {}
        try:
            with connect_sse(client, "GET", sys.argv[1], headers=headers) as source:
                for event in source.iter_sse():
                    last_event_id = event.id or last_event_id
                    if event.retry is not None:
                        wait_seconds = event.retry / 1000
                    print(event.data, flush=True)
        except (httpx.TransportError, SSEError):
            pass  # cut, or refused
