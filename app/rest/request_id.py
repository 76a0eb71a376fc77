"""Request ids: each request has one, which its answer and what is logged of it say.

Invariant: an id comes from a trusted proxy or is made here; nobody else can write into the log by it.
"""

from __future__ import annotations

import re
import secrets

from flask import Flask, Response, request

from app.logs import request_id
from app.rest.proxies import IS_TRUSTED

HEADER = "X-Request-ID"
_ID = re.compile(r"[A-Za-z0-9_.:-]{1,100}")


def register_request_ids(app: Flask) -> None:
    """Give each request its id. Before all else that may log."""
    app.before_request(_set)
    app.after_request(_tell)


def _set() -> None:
    given = request.headers.get(HEADER, "") if request.environ.get(IS_TRUSTED) else ""
    request_id.set(given if _ID.fullmatch(given) else secrets.token_hex(8))


def _tell(response: Response) -> Response:
    if (known := request_id.get()) is not None:
        response.headers[HEADER] = known
    return response
