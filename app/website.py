"""Website: the built dashboard, as pages and files.

Invariant: a name below /assets contains the hash of its content, so it may be cached forever; the page that names them
is revalidated each time, at the cost of a 304. Client-side routes answer with the page, unknown addresses with 404:
for browsers that is the page, too, which says so.
"""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from mimetypes import guess_type
from pathlib import Path

from flask import Blueprint, Response, abort, request
from werkzeug.exceptions import NotFound

from app.rest.takes import ALWAYS, declare

_BUILT = Path(__file__).resolve().parent / "static" / "dashboard"
# The browser accepts only what is ours: no inline script or style, no other host, no frame around us.
_POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_FOR_EVER = "public, max-age=31536000, immutable"
_ASK_FIRST = "no-cache"

pages = Blueprint("website", __name__)


@dataclass(frozen=True)
class _File:
    """A file, read once: the built dashboard does not change during a worker's life."""

    body: bytes
    packed: bytes | None  # made by the build
    kind: str
    tag: str


@pages.get("/")
@pages.get("/live")
@pages.get("/sessions")
@pages.get("/sessions/<uuid:session_id>")
@pages.get("/alerts")
@pages.get("/system")
@pages.get("/login")
@pages.get("/setup")
@pages.get("/account")
@pages.get("/admin")
@pages.get("/kiosk")
@declare(ALWAYS)
def page(session_id: object = None) -> Response:
    """The one page; the browser decides by the address what it shows."""
    return _page()


@pages.after_app_request
def unknown_page(response: Response) -> Response:
    """The page instead of a problem document, where a browser opens an address that leads nowhere."""
    leads_nowhere = isinstance(request.routing_exception, NotFound) and request.method in ("GET", "HEAD")
    if not leads_nowhere or request.path.startswith("/api/"):
        return response
    if request.accept_mimetypes.best_match(("application/problem+json", "text/html")) != "text/html":
        return response
    found = _page()
    found.status_code = 404
    return found


def _page() -> Response:
    response = _send(_mounted(request.script_root), _ASK_FIRST)
    response.headers["Content-Security-Policy"] = _POLICY
    response.headers["Referrer-Policy"] = "same-origin"
    return response


# Browsers ask for favicon.ico where a page names none, as those below /api.
@pages.get("/favicon.ico")
@pages.get("/favicon.svg")
@declare(ALWAYS)
def icon() -> Response:
    return _send(_read("favicon.svg"), "public, max-age=86400")


@pages.get("/assets/<name>")
@declare(ALWAYS)
def asset(name: str) -> Response:
    return _send(_read(f"assets/{name}"), _FOR_EVER)


def _send(file: _File | None, caching: str) -> Response:
    if file is None:
        abort(404)
    packed = file.packed if request.accept_encodings.quality("gzip") else None
    response = Response(packed or file.body, content_type=file.kind)
    if packed:
        response.headers["Content-Encoding"] = "gzip"
    response.headers["Cache-Control"] = caching
    response.headers["Vary"] = "Accept-Encoding"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.set_etag(f"{file.tag}{'-gzip' if packed else ''}")
    response.make_conditional(request)
    return response


@cache
def _mounted(prefix: str) -> _File | None:
    """The page that names its files below the prefix. One build serves every prefix: it names them relatively."""
    built = _read("index.html")
    if built is None:
        return None
    body = built.body.replace(b'="./', b'="%b/' % prefix.encode())
    return _File(body, gzip.compress(body, mtime=0), built.kind, _tag(body))


@cache
def _read(path: str) -> _File | None:
    # The routes let no slash into a name, so it cannot leave the folder.
    place = _BUILT / path
    if not place.is_file():
        return None
    body = place.read_bytes()
    kind = guess_type(place.name)[0] or "application/octet-stream"
    if kind.startswith("text/"):
        kind += "; charset=utf-8"
    packed = place.with_name(place.name + ".gz")
    return _File(body, packed.read_bytes() if packed.is_file() else None, kind, _tag(body))


def _tag(body: bytes) -> str:
    return sha256(body).hexdigest()[:16]
