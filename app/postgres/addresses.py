"""Addresses: what of a camera's address not everyone may see.

Invariant: the patterns mean the same to PostgreSQL, which renders rows, and to Python, which reads the change log; so
who compares a row with a change finds the same text. ``shownSource`` of the dashboard is the third of them.
What is no secret may be hidden as well, but not the other way round.
"""

from __future__ import annotations

import re

# What a colon is in, up to the last @: there are passwords with / ? # and @ in them, as they are. Without one, behind
# a scheme, what stands before the host. So door@2.mp4 and rtsp://camera/stream@2 stay.
USER_INFO = "^([^@:]*://)(?:.*:.*|[^/?#]*)@|^[^:]*:(?!//).*@"
# Many cameras take user and password after their host, as user=…&pwd=…
PARAMETER = "((?:user|usr|login|account|auth|pass|pwd|psw|pw|token|secret|key)[a-z0-9_-]*=)[^& ]+"

_USER_INFO = re.compile(USER_INFO, re.DOTALL)
_PARAMETER = re.compile(PARAMETER, re.IGNORECASE | re.ASCII)


def masked(address: str) -> str:
    """The address without user and password."""
    return _PARAMETER.sub(r"\1***", _USER_INFO.sub(lambda found: f"{found[1] or ''}***@", address))
