"""requests-sse, which comes back by itself, also after an error that it lets through."""

from __future__ import annotations

import sys

from requests_sse import EventSource

with EventSource(sys.argv[1], timeout=30) as source:
    while True:
        try:
            for event in source:
                print(event.data, flush=True)
        except UnicodeDecodeError:
            pass  # HTTP/1.0 has ended within a letter; source goes on where it was
