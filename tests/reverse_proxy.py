"""Reverse proxy: a site that has the feed below a path, and nothing of it anywhere else.

It passes requests on one by one and answers as the bytes come, so streams flow through it. Whatever an address of the
feed leaves out of the path ends at the site's own 404.
"""

from __future__ import annotations

import contextlib
import threading
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

_NOT_PASSED_ON = {"connection", "keep-alive", "transfer-encoding"}


class ReverseProxy:
    """``url`` is the site's; what is below ``path`` goes to ``feed_url``, without the path if ``strips``."""

    def __init__(self, feed_url: str, path: str, *, strips: bool) -> None:
        feed = urlsplit(feed_url).netloc

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                self.close_connection = True
                if self.path != path and not self.path.startswith((f"{path}/", f"{path}?")):
                    self.send_error(404, "The site has nothing here")
                    return
                target = self.path.removeprefix(path) if strips else self.path
                target = target if target.startswith("/") else f"/{target}"
                connection = HTTPConnection(feed, timeout=60)
                with contextlib.suppress(OSError, HTTPException):  # either end has left
                    self._pass_on(connection, target)
                connection.close()

            do_HEAD = do_POST = do_PATCH = do_PUT = do_DELETE = do_OPTIONS = do_GET  # noqa: N815

            def _pass_on(self, connection, target):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                headers = {name: value for name, value in self.headers.items() if name.lower() not in _NOT_PASSED_ON}
                connection.request(self.command, target, body or None, headers)
                response = connection.getresponse()
                self.send_response_only(response.status)
                for name, value in response.getheaders():
                    if name.lower() not in _NOT_PASSED_ON:
                        self.send_header(name, value)
                self.send_header("Connection", "close")
                self.end_headers()
                while piece := response.read1(65536):
                    self.wfile.write(piece)

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """Take no more requests."""
        self._server.shutdown()
        self._server.server_close()
