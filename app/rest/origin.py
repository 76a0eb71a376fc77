"""Origin: what pages of other sites may not make an operator's browser do.

Invariant: as long as the feed listens on loopback only, it answers to the names of this machine and to ALLOWED_HOSTS: a
page whose own name is made to resolve to 127.0.0.1 (DNS rebinding) is refused. A request that changes something and
comes from a browser comes from a page of ours, or of CORS_ORIGINS; programs that are no browsers name no origin. Every
answer says that it is neither to be framed, guessed at nor embedded elsewhere.

Reading across origins needs no check here: browsers withhold what CORS does not allow.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import Flask, Response, request

from app.config import is_loopback
from app.rest.problems import ProblemError

_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}


def register_origin(app: Flask, host: str, allowed_hosts: tuple[str, ...], origins: tuple[str, ...]) -> None:
    """Refuse what comes from elsewhere.

    Args:
        host: where the feed listens.
        allowed_hosts: further names that clients may use, without port; beyond loopback, all names if there are none.
        origins: whose pages may change something besides ours.
    """
    checks_host = is_loopback(host) or bool(allowed_hosts)

    def refuse() -> None:
        name = _name_of(request.headers.get("Host", ""))
        if checks_host and name and not is_loopback(name) and name not in allowed_hosts and name != host.lower():
            raise ProblemError(403, f"This feed does not answer to the name {name}: add it to ALLOWED_HOSTS.")
        if request.method not in _SAFE_METHODS and not _is_ours(origins):
            raise ProblemError(403, "Pages of other sites may change nothing here: add their origin to CORS_ORIGINS.")

    def describe(response: Response) -> Response:
        for header, value in _HEADERS.items():
            response.headers.setdefault(header, value)
        return response

    app.before_request(refuse)
    app.after_request(describe)


def is_from_elsewhere() -> bool:
    """Whether a page of another origin makes this request, also one of CORS_ORIGINS: what a browser adds by itself, and
    that it runs on this machine, then says nothing of who asks. Following a link is no such request."""
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        is_link = request.method in _SAFE_METHODS and request.headers.get("Sec-Fetch-Mode") == "navigate"
        return site not in ("same-origin", "none") and not is_link
    origin = request.headers.get("Origin")
    return origin is not None and origin.partition("://")[2] != request.headers.get("Host")


def _name_of(host: str) -> str:
    """The name in a Host header, in lower case, without port and brackets; empty if there is none, as in HTTP/1.0."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return host.lower()


def _is_ours(origins: tuple[str, ...]) -> bool:
    origin = request.headers.get("Origin")
    if origin is not None and ("*" in origins or origin in origins):
        return True
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site in ("same-origin", "none")
    # Browsers of before 2023. The scheme is not compared: a proxy may have ended TLS.
    return origin is None or origin.partition("://")[2] == request.headers.get("Host")
