"""Cross-origin requests: off unless CORS_ORIGINS names the origins that may make them.

Invariant: an origin that is not named gets no CORS header at all. Cookies are never allowed, so ``*`` is safe to
name: other origins send a key. ``Last-Event-ID`` is allowed in both directions: clients other than EventSource send and
read it.
"""

from __future__ import annotations

from flask import Flask, Response, request

_SENT = "Authorization, Content-Type, Last-Event-ID, If-Match, If-None-Match, Idempotency-Key"
_ALLOWED = {
    "Access-Control-Allow-Methods": "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS",
    "Access-Control-Allow-Headers": _SENT,
    "Access-Control-Max-Age": "600",
}
_EXPOSED = "Last-Event-ID, Link, Location, ETag, Retry-After, X-Request-ID"


def register_cors(app: Flask, origins: tuple[str, ...]) -> None:
    """Let pages of these origins use the API; nothing to do if there are none."""

    def allow(response: Response) -> Response:
        origin = request.headers.get("Origin")
        if "*" not in origins:
            response.vary.add("Origin")
        if origin and ("*" in origins or origin in origins):
            response.headers["Access-Control-Allow-Origin"] = "*" if "*" in origins else origin
            response.headers["Access-Control-Expose-Headers"] = _EXPOSED
            if request.method == "OPTIONS":
                response.headers.extend(_ALLOWED)
        return response

    if origins:
        app.after_request(allow)
