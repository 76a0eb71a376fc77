"""Compression: large responses are sent as gzip to clients that accept it.

Streams and exports are never compressed: they are incomplete when they begin, and a stream must arrive at once.
"""

from __future__ import annotations

import gzip

from flask import Flask, Response, request

_LEAST_BYTES = 4096  # below this, compression saves no packet
_LEVEL = 1  # the loop waits for it: 600 kB take about 5 ms


def register_compression(app: Flask) -> None:
    """Compress the JSON responses of the app if they are large enough."""
    app.after_request(_compress)


def _compress(response: Response) -> Response:
    if response.mimetype != "application/json" or response.is_streamed:
        return response
    response.vary.add("Accept-Encoding")
    data = response.get_data()
    if len(data) < _LEAST_BYTES or not request.accept_encodings["gzip"]:
        return response
    response.set_data(gzip.compress(data, _LEVEL, mtime=0))
    response.headers["Content-Encoding"] = "gzip"
    tag, _ = response.get_etag()
    if tag:
        response.set_etag(tag, weak=True)  # the same rows in different bytes
    return response
