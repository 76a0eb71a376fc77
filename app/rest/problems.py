"""Problems: the one place that turns exceptions into application/problem+json (RFC 9457).

Invariant: whatever a view raises, the client gets a problem document with a truthful status: what the client can fix is
4xx and names every wrong field, an unavailable or busy database is 503 with Retry-After, anything else is 500 and
logged. Views raise; they never build error responses.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import psycopg2
from flask import Flask, Response, request
from flask.typing import ResponseReturnValue
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy import exc
from werkzeug.exceptions import HTTPException, NotFound
from werkzeug.routing import RequestRedirect

log = logging.getLogger(__name__)

RETRY_AFTER_SECONDS = 2
# SQLSTATEs (or their classes) that are temporary: no connection, no resources, shutdown or cancelled by a timeout,
# deadlock or serialization failure, lock timeout, read-only standby.
_PASSING = ("08", "53", "57", "40", "55P03", "25006")
_MESSAGES = {
    "23503": "does not exist",  # foreign key
    "23505": "is taken already",  # unique
    "23514": "is out of range",  # check
    "23502": "may not be null",  # not null
}


class FieldError(BaseModel):
    """One wrong field. ``row`` counts from 0 where a request holds many rows."""

    model_config = ConfigDict(defer_build=True)

    field: str
    message: str
    row: int | None = Field(default=None, json_schema_extra={"type": "integer"})


class Problem(BaseModel):
    """A problem document, RFC 9457."""

    model_config = ConfigDict(defer_build=True)

    type: str
    title: str
    status: int
    detail: str
    errors: list[FieldError] = Field(default_factory=list)


class ProblemError(Exception):
    """Raised by views: the request cannot be served, and the client is told why."""

    def __init__(
        self,
        status: int,
        detail: str,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
        members: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status, self.detail, self.errors, self.headers = status, detail, errors, headers or {}
        self.members = members or {}


def register_problems(app: Flask) -> None:
    """Answer every exception of the app with a problem document."""
    app.register_error_handler(ProblemError, _on_problem)
    app.register_error_handler(HTTPException, _on_http)
    app.register_error_handler(exc.SQLAlchemyError, _on_database)
    app.register_error_handler(psycopg2.Error, _on_database)
    app.register_error_handler(Exception, _on_anything)


def problem(
    status: int,
    detail: str,
    errors: Sequence[FieldError] = (),
    headers: Mapping[str, str] | None = None,
    members: Mapping[str, Any] | None = None,
) -> Response:
    """A problem document as a response; ``members`` are additional members of the document."""
    document: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
    }
    if errors:
        document["errors"] = [error.model_dump(exclude_none=True) for error in errors]
    return Response(
        json.dumps({**document, **(members or {})}),
        status,
        {"Content-Type": "application/problem+json", "Cache-Control": "no-store", **(headers or {})},
    )


def field_errors(error: ValidationError, row: int | None = None) -> list[FieldError]:
    """What pydantic says about each wrong field; errors of the body as a whole are named ``body``."""
    return [
        FieldError(field=".".join(map(str, item["loc"])) or "body", message=_sentence(item["msg"]), row=row)
        for item in error.errors(include_url=False, include_context=False, include_input=False)
    ]


def _sentence(message: str) -> str:
    if message.startswith("Extra inputs"):
        return "is not known here"
    if message.startswith("String should match pattern '^[^"):
        return "may not contain NUL characters"
    if message.startswith("String should match pattern '^("):
        return "should be names of columns, separated by commas"
    if message.startswith("String should match pattern"):
        return message.replace("String should match pattern", "should match")
    return message.removeprefix("Value error, ")


def _on_problem(error: ProblemError) -> Response:
    return problem(error.status, error.detail, error.errors, error.headers, error.members)


def _on_http(error: HTTPException) -> ResponseReturnValue:
    if error.response is not None:  # abort(response), as redirects do it
        return error.get_response()
    headers = {name: value for name, value in error.get_headers() if name != "Content-Type"}
    status = error.code or 500
    if isinstance(error, RequestRedirect):
        return error.get_response()
    if isinstance(error, NotFound) and error.description == NotFound.description:
        return problem(404, f"There is nothing at {request.script_root}{request.path}.")
    return problem(status, error.description or HTTPStatus(status).phrase, headers=headers)


def _on_database(error: exc.SQLAlchemyError | psycopg2.Error) -> Response:
    original = error.orig if isinstance(error, exc.DBAPIError) else error
    code = getattr(original, "pgcode", None) or ""
    if _passes(error, original, code):
        log.warning("database unavailable or busy: %s", str(original).strip())
        return problem(
            503,
            "The database is unavailable or busy; please try again shortly.",
            headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
        )
    if code.startswith("23"):
        return _on_constraint(original, code)
    if code.startswith("22"):
        log.info("the database refused a value: %s", str(original).strip())
        return problem(400, "A value is malformed or out of range for the database.")
    return _on_anything(error)


def _passes(error: Exception, original: object, code: str) -> bool:
    if code:
        return code.startswith(_PASSING)
    if isinstance(error, exc.TimeoutError):  # no connection of the pool became free in time
        return True
    return isinstance(original, psycopg2.OperationalError | psycopg2.InterfaceError) or bool(
        getattr(error, "connection_invalidated", False)
    )


def _on_constraint(original: object, code: str) -> Response:
    diagnosis = getattr(original, "diag", None)
    field = constraint_field(
        getattr(diagnosis, "table_name", None), getattr(diagnosis, "constraint_name", None)
    ) or getattr(diagnosis, "column_name", None)
    message = _MESSAGES.get(code, "is not accepted")
    if field and diagnosis and code == "23514" and not diagnosis.constraint_name:  # by a trigger, which says why
        return problem(409, diagnosis.message_primary, [FieldError(field=field, message=diagnosis.message_primary)])
    status = 409 if code in ("23503", "23505") else 422
    errors = [FieldError(field=field, message=message)] if field else []
    return problem(status, f"{field or 'The row'} {message}.", errors)


def constraint_field(table: str | None, constraint: str | None) -> str | None:
    """The column of a constraint, from its name in sql/, such as people_movements_session_id_fkey."""
    if not table or not constraint:
        return None
    if constraint == f"{table}_pkey":
        return "id"
    match = re.fullmatch(rf"{re.escape(table)}_(\w+)_(?:fkey|key|check)", constraint)
    return match[1] if match else None


def _on_anything(error: Exception) -> Response:
    log.error("a request failed", exc_info=error)
    return problem(500, "Something went wrong on the server; it has been logged.")
