"""The table of tests/event_streams.py says what a browser makes of a stream."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from app.config import CHECKOUT
from tests.event_streams import CASES


class _Streams(BaseHTTPRequestHandler):
    """The list of streams at /streams, and each at its number."""

    def do_GET(self):
        number = self.path.rpartition("/")[2]
        if number.isdigit():
            kind, text = "text/event-stream", list(CASES.values())[int(number)][0]
        else:
            types = [
                "message",
                *{event[0] for _, events, _ in CASES.values() for event in events if isinstance(event, tuple)},
            ]
            streams = [f"/streams/{number}" for number in range(len(CASES))]
            kind, text = "application/json", json.dumps({"streams": streams, "types": types})
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_):
        pass


@contextmanager
def _chromium(script, url):
    command = [sys.executable, "-m", "tests.foreign.clients.in_chromium", script, url]
    with subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE) as chromium:
        yield chromium.stdout
        chromium.kill()


def test_chromium_takes_from_every_stream_what_the_table_says():
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Streams)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    with server, _chromium("streams", f"http://127.0.0.1:{server.server_address[1]}/streams") as answers:
        found = {name: json.loads(line) for name, line in zip(CASES, answers, strict=False)}
        server.shutdown()
    assert len(found) == len(CASES)
    for name, (_, events, last) in CASES.items():
        said = [("message", event) if isinstance(event, str) else event for event in events]
        assert [(kind, data) for kind, data, _ in found[name]] == said, name
        assert not events or found[name][-1][2] == last, name
