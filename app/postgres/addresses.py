"""Addresses: what of a camera's address not everyone may see.

Invariant: PostgreSQL, which renders rows, and Python, which reads the change log, hide the same; so a row that is
compared with a change is the same text. ``shownSource`` of the dashboard is the third of them.
What is no secret may be hidden as well, but not the other way round.
"""

from __future__ import annotations

import re

# What a colon is in, up to the last @: there are passwords with / ? # and @ in them, as they are. Without one, behind
# a scheme, what stands before the host. So door@2.mp4 and rtsp://camera/stream@2 stay. This is for PostgreSQL, whose
# time for it is linear; Python's would be quadratic, and hold up the streams.
USER_INFO = "^([^@:]*://)(?:.*:.*|[^/?#]*)@|^[^:]*:(?!//).*@"
# Many cameras take user and password after their host, as user=…&pwd=…; bounded, or a long text would take long.
PARAMETER = "((?:user|usr|login|account|auth|pass|pwd|psw|pw|token|secret|key)[a-z0-9_-]{0,32}=)[^& ]+"

_PARAMETER = re.compile(PARAMETER, re.IGNORECASE | re.ASCII)
_SCHEME = re.compile(r"[^@:]*://")
_END_OF_HOST = re.compile(r"[/?#]")


def masked(address: str) -> str:
    """The address without user and password."""
    return _PARAMETER.sub(r"\1***", _without_user_info(address))


def _without_user_info(address: str) -> str:
    last = address.rfind("@")
    if last < 0:
        return address
    scheme = _SCHEME.match(address, 0, last)
    if scheme is None:
        colon = address.find(":")
        is_scheme = address.startswith("//", colon + 1)  # of no address, as in a@b://c@d
        return f"***{address[last:]}" if 0 <= colon < last and not is_scheme else address
    if ":" not in address[scheme.end() : last]:
        end = _END_OF_HOST.search(address, scheme.end())
        last = address.rfind("@", scheme.end(), end.start() if end else len(address))
    return address if last < 0 else f"{scheme[0]}***{address[last:]}"
