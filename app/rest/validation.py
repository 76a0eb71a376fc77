"""Validation: path, query and body are checked against their schemas before a view runs.

Invariant: a view gets valid values or is not called, and the problem names every wrong field of path, query and body
together. Path and query are parsed from strings (``limit=10`` is a number), bodies as strict JSON. flask-openapi3 reads
the same schemas for the OpenAPI document; its own validation can do neither of the two, and is not used.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, wraps
from uuid import UUID

from flask import Response, request
from pydantic import BaseModel, Field, ValidationError
from pydantic_core import from_json
from werkzeug.routing import BaseConverter

from app.rest.body import read_body
from app.rest.problems import FieldError, ProblemError, field_errors
from app.rest.schema import Strict

View = Callable[..., Response]
Schema = type[BaseModel] | Callable[[], type[BaseModel]]
JSON_TYPES = ("application/json",)
# What is not ingest: one row, or the ids of 10 000.
MAX_BODY_BYTES = 1024 * 1024
# More fields than any table has columns. pydantic reports each unknown one: a megabyte of them took five seconds.
MAX_FIELDS = 100
PATCH_TYPES = ("application/json", "application/merge-patch+json")


class RowIdConverter(BaseConverter):
    """``<row:id>``: matches what stands for an id, except for the words that name something else there.

    Otherwise PUT /api/alerts/export would be about an alert of that name instead of 405.
    """

    regex = (
        "(?!(?:export|resolve|reopen|acknowledge|unacknowledge|mute|unmute|stop|resume|delete|figures|series)$)[^/]+"
    )
    part_isolating = True


class ById(Strict):
    """The path of one row."""

    id: UUID = Field(description="The id of the row.")


def reads(
    path: Schema | None = None, query: Schema | None = None, body: Schema | None = None
) -> Callable[[View], View]:
    """Call the view with those of ``path``, ``query`` and ``body`` that have a schema.

    A schema is a model, or a function that makes one at the first request: most models are derived from tables, and
    making them all at import would take longer than anything else in the project.
    """

    def decorate(view: View) -> View:
        given = {"path": path, "query": query, "body": body}

        @cache
        def schemas() -> dict[str, type[BaseModel]]:
            return {name: one if isinstance(one, type) else one() for name, one in given.items() if one}

        @wraps(view)
        def checked(**path_values: str) -> Response:
            known = schemas()
            return view(**_arguments(known.get("path"), known.get("query", Strict), known.get("body"), path_values))

        checked.__delay_validate_request__ = True  # type: ignore[attr-defined]
        checked.schemas = schemas  # type: ignore[attr-defined]
        return checked

    return decorate


def _arguments(
    path: type[BaseModel] | None, query: type[BaseModel], body: type[BaseModel] | None, path_values: dict[str, str]
) -> dict[str, BaseModel]:
    arguments: dict[str, BaseModel] = {}
    errors: list[FieldError] = _given_twice(query)
    for name, schema, values in (("path", path, path_values), ("query", query, request.args.to_dict())):
        try:
            if schema:
                arguments[name] = schema.model_validate_strings(values, strict=False)
        except ValidationError as error:
            errors += field_errors(error)
    status = 400 if errors else 422
    if body:
        try:
            sent = json_body()
            refuse_many_fields(sent)
            arguments["body"] = body.model_validate_json(sent)
        except ValidationError as error:
            errors += _body_errors(error)
    if errors:
        raise refused(status, errors)
    if query is Strict:
        del arguments["query"]
    return arguments


def json_body() -> bytes:
    """The body, if its type is JSON; reading it raises 413 if it is too large."""
    wanted = PATCH_TYPES if request.method == "PATCH" else JSON_TYPES
    refuse_encoding()
    if request.mimetype not in wanted:
        raise ProblemError(
            415,
            f"The body must be {' or '.join(wanted)}, not {request.mimetype or 'without a content type'}.",
            headers={"Accept-Patch" if request.method == "PATCH" else "Accept-Post": ", ".join(wanted)},
        )
    return read_body(MAX_BODY_BYTES)


def refuse_many_fields(body: bytes) -> None:
    """Count the fields before they are validated; a body that is not JSON is left to validation."""
    try:
        parsed = from_json(body)
    except ValueError:
        return
    if isinstance(parsed, dict) and len(parsed) > MAX_FIELDS:
        raise refused(422, [FieldError(field="body", message=f"has more than {MAX_FIELDS} fields")])


def refuse_encoding() -> None:
    """Compressed bodies are refused: their true size would be known too late."""
    if request.headers.get("Content-Encoding", "identity") != "identity":
        raise ProblemError(415, "The body must come without Content-Encoding.", headers={"Accept-Encoding": "identity"})


def _body_errors(error: ValidationError) -> list[FieldError]:
    for item in error.errors(include_url=False, include_input=False):
        if item["type"] == "json_invalid":
            raise ProblemError(400, f"The body is not valid JSON: {item['ctx']['error']}.")
    return field_errors(error)


def _given_twice(query: type[BaseModel]) -> list[FieldError]:
    known = None if query.model_config.get("extra") == "forbid" else query.model_fields
    return [
        FieldError(field=name, message="is given more than once")
        for name, values in request.args.lists()
        if len(values) > 1 and (known is None or name in known)
    ]


def refused(status: int, errors: list[FieldError]) -> ProblemError:
    """The problem of these wrong fields."""
    names = sorted({error.field for error in errors})
    shown = ", ".join(names[:8]) + (" and more" if len(names) > 8 else "")
    return ProblemError(status, f"Not accepted: {shown[:500]}.", errors)
