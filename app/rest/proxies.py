"""Proxies: what a proxy in front says of a request, believed if it is one of TRUSTED_PROXIES and ignored otherwise.

Invariant: past this, the address, scheme, host and prefix of a request are those that the client used, however many
passed it on: so limits for each address, cookies, Location and a mount below a path are right. Addresses are read from
the right: the first that is no proxy of ours is the client's, and what it wrote itself stands left of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import TYPE_CHECKING

from flask import Flask

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

Network = IPv4Network | IPv6Network
# In the WSGI environment: whether a proxy has forwarded the request, as far as it says so; whether we trust that proxy.
IS_FORWARDED = "people_feed.is_forwarded"
IS_TRUSTED = "people_feed.is_trusted"

_TRACES = ("HTTP_FORWARDED", "HTTP_VIA", "HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_HOST", "HTTP_X_FORWARDED_PROTO",
           "HTTP_X_FORWARDED_PREFIX", "HTTP_X_FORWARDED_PORT", "HTTP_X_FORWARDED_SERVER", "HTTP_X_REAL_IP")  # fmt: skip
_HOST = re.compile(r"[A-Za-z0-9_.-]+(?::\d{1,5})?|\[[0-9A-Fa-f:.]+\](?::\d{1,5})?")
# Some proxies write the port as well, which changes with each connection.
_ADDRESS = re.compile(r"^(?:\[([^\[\]]*)\]|([^:\[\]]*))(?::\d+)?$")
_PREFIX = re.compile(r"(?:/[A-Za-z0-9_~-]+)*/?")


def register_proxies(app: Flask, networks: Sequence[Network]) -> None:
    """Take over what the proxies in these networks say."""
    app.wsgi_app = _behind(networks, app.wsgi_app)  # type: ignore[method-assign, assignment]


def is_within(address: str, networks: Sequence[Network]) -> bool:
    """Whether the address is in one of the networks; what is no address is in none."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    parsed = getattr(parsed, "ipv4_mapped", None) or parsed
    return any(parsed.version == network.version and parsed in network for network in networks)


def _behind(networks: Sequence[Network], inner: WSGIApplication) -> WSGIApplication:
    def serve(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        environ[IS_FORWARDED] = any(name in environ for name in _TRACES)
        environ[IS_TRUSTED] = bool(networks) and is_within(environ.get("REMOTE_ADDR", ""), networks)
        if environ[IS_TRUSTED]:
            _take_over(environ, networks)
        return inner(environ, start_response)

    return serve


def _take_over(environ: WSGIEnvironment, networks: Sequence[Network]) -> None:
    addresses = [part.strip() for part in environ.get("HTTP_X_FORWARDED_FOR", "").split(",") if part.strip()]
    for address in reversed(addresses):
        environ["REMOTE_ADDR"] = _ADDRESS.sub(r"\1\2", address)[:45]
        if not is_within(environ["REMOTE_ADDR"], networks):
            break
    scheme = _last(environ, "HTTP_X_FORWARDED_PROTO")
    if scheme in ("http", "https"):
        environ["wsgi.url_scheme"] = scheme
    host = _last(environ, "HTTP_X_FORWARDED_HOST")
    if _HOST.fullmatch(host):
        environ["HTTP_HOST"] = host
    prefix = _last(environ, "HTTP_X_FORWARDED_PREFIX").rstrip("/")
    if prefix and _PREFIX.fullmatch(prefix):
        path: str = environ.get("PATH_INFO", "")
        if path == prefix or path.startswith(f"{prefix}/"):  # passed on, not stripped
            environ["PATH_INFO"] = path[len(prefix) :]
        environ["SCRIPT_NAME"] = prefix


def _last(environ: WSGIEnvironment, name: str) -> str:
    """The value that the nearest proxy has set; each proxy appends its own."""
    value: str = environ.get(name, "")
    return value.rpartition(",")[2].strip()
