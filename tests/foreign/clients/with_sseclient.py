"""sseclient-py: a parser only; the loop around it is what anyone would write."""

from __future__ import annotations

import sys
import time

import requests
from sseclient import SSEClient

last_event_id, wait_seconds = "", 1.0
while True:
    headers = {"Last-Event-ID": last_event_id} if last_event_id else {}
    try:
        with requests.get(sys.argv[1], headers=headers, stream=True, timeout=30) as response:
            response.raise_for_status()
            for event in SSEClient(response).events():
                last_event_id = event.id or last_event_id
                if event.retry is not None:
                    wait_seconds = int(event.retry) / 1000
                print(event.data, flush=True)
    except requests.RequestException:
        pass  # cut, or refused
    time.sleep(wait_seconds)
