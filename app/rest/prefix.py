"""Prefix: the app below a path of a site, such as /people.

Invariant: views see the paths that they declare, whether the proxy strips the prefix or passes it on, and also past the
proxy; ``request.script_root`` is the prefix, and every address that leaves the server begins with it.
Deliberate: it is a setting, or what a trusted proxy says (proxies.py). No other header says where the app is mounted.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from flask import Flask

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


def register_prefix(app: Flask, prefix: str) -> None:
    """Mount the app below the prefix; nothing to do if it is empty."""
    if prefix:
        app.wsgi_app = _below(prefix, app.wsgi_app)  # type: ignore[method-assign, assignment]


def _below(prefix: str, inner: WSGIApplication) -> WSGIApplication:
    def serve(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path: str = environ.get("PATH_INFO", "")
        if path == prefix or path.startswith(f"{prefix}/"):
            environ["PATH_INFO"] = path[len(prefix) :]
        environ["SCRIPT_NAME"] = prefix
        return inner(environ, start_response)

    return serve
