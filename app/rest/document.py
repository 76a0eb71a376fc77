"""Endpoints, and the OpenAPI document of them, which is made when it is first asked for.

Invariant: an endpoint is declared once; Flask routes it and the document describes it from the same declaration.
Deliberate: flask-openapi3 describes and does not serve. It would build every JSON schema at import, which took two
thirds of the time that a worker or a command needs to boot.
"""

from __future__ import annotations

import importlib.metadata
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, cast

from flask import Blueprint, Flask, Response, request

from app.config import CHECKOUT, IS_INSTALLED
from app.rest.overview import POLICY, STYLE, overview
from app.rest.problems import Problem
from app.rest.resource import problem_response
from app.rest.takes import Takes, declare, takes

if TYPE_CHECKING:
    from flask_openapi3.blueprint import APIBlueprint

View = Callable[..., Response]
# How clients show who they are; where nobody has to, these are ignored.
_SECURITY: dict[str, Any] = {
    "key": {"type": "http", "scheme": "bearer", "description": "A key, such as pf_…, of one of the scopes named."},
    "keyAsPassword": {"type": "http", "scheme": "basic", "description": "The same as a password, with any user name."},
    "login": {
        "type": "apiKey",
        "in": "cookie",
        "name": "people_feed",
        "description": "A browser's, from signIn. Its user's role includes the scope.",
    },
    "loginOverHttps": {
        "type": "apiKey",
        "in": "cookie",
        "name": "__Host-people_feed",
        "description": "The same, where the feed is reached by HTTPS.",
    },
    "ticket": {
        "type": "apiKey",
        "in": "query",
        "name": "ticket",
        "description": "From createTicket, for a minute and one stream: plain EventSource sends no headers.",
    },
}
# What takes a user who has signed in, whatever their role.
BY_LOGIN: list[dict[str, list[str]]] = [{"login": []}, {"loginOverHttps": []}]
# What the document says of an endpoint: a summary, the responses, extensions.
Description = Any
# Status → what stands in the document: a pydantic model, an OpenAPI response object, or None for an empty body.
Responses = Mapping[int, Any]


@dataclass(frozen=True)
class _Endpoint:
    method: str
    rule: str
    view: View
    takes: Takes
    operation: str
    description: dict[str, Any]


class Endpoints:
    """The endpoints below one prefix. ``get``, ``post`` … declare them as Flask's decorators do, with what each takes.

    Each has a name for clients that are generated, such as ``listSessions``. It stays, however the code is arranged.

    Args:
        tag, about: the group that they form in the document, and a sentence about it.
        responses: what every endpoint may answer with, besides its own.
    """

    def __init__(self, name: str, prefix: str, *, tag: str, about: str, responses: Responses | None = None) -> None:
        self.name = name
        self._prefix = prefix
        self._tag = tag
        self._about = about
        self._responses: dict[Any, Any] = dict(responses or {})
        self._endpoints: list[_Endpoint] = []

    def get(self, rule: str, takes: Takes, operation: str, **description: Description) -> Callable[[View], View]:
        """Declare a GET; ``description`` is the document's: ``summary``, ``responses`` (or a function), extensions."""
        return self._declare("get", rule, takes, operation, description)

    def post(self, rule: str, takes: Takes, operation: str, **description: Description) -> Callable[[View], View]:
        """Declare a POST."""
        return self._declare("post", rule, takes, operation, description)

    def put(self, rule: str, takes: Takes, operation: str, **description: Description) -> Callable[[View], View]:
        """Declare a PUT."""
        return self._declare("put", rule, takes, operation, description)

    def patch(self, rule: str, takes: Takes, operation: str, **description: Description) -> Callable[[View], View]:
        """Declare a PATCH."""
        return self._declare("patch", rule, takes, operation, description)

    def delete(self, rule: str, takes: Takes, operation: str, **description: Description) -> Callable[[View], View]:
        """Declare a DELETE."""
        return self._declare("delete", rule, takes, operation, description)

    def blueprint(self) -> Blueprint:
        """The endpoints as Flask serves them."""
        blueprint = Blueprint(self.name, __name__, url_prefix=self._prefix)
        for endpoint in self._endpoints:
            blueprint.add_url_rule(endpoint.rule, view_func=endpoint.view, methods=[endpoint.method.upper()])
        return blueprint

    def described(self) -> APIBlueprint:
        """The endpoints as the document describes them."""
        from flask_openapi3.blueprint import APIBlueprint
        from flask_openapi3.models.tag import Tag

        tags = [Tag(name=self._tag, description=self._about)]
        blueprint = APIBlueprint(
            self.name, __name__, url_prefix=self._prefix, abp_tags=tags, abp_responses=self._responses
        )
        for endpoint in self._endpoints:
            description, view = dict(endpoint.description), endpoint.view
            if callable(responses := description.get("responses")):
                description["responses"] = responses()
            if endpoint.takes.scopes:
                refusals = {status: problem_response() for status in (401, 403, 429, 503)}
                description["responses"] = {**refusals, **description.get("responses", {})}
                description.setdefault("security", _security(endpoint.takes))
            view.__annotations__ = view.schemas()  # type: ignore[attr-defined]
            getattr(blueprint, endpoint.method)(endpoint.rule, operation_id=endpoint.operation, **description)(view)
        return blueprint

    def _declare(
        self, method: str, rule: str, takes: Takes, operation: str, description: dict[str, Any]
    ) -> Callable[[View], View]:
        def decorate(view: View) -> View:
            self._endpoints.append(_Endpoint(method, rule, declare(takes)(view), takes, operation, description))
            return view

        return decorate


def _security(takes: Takes) -> list[dict[str, list[str]]]:
    """One of these will do: a scheme and, as OpenAPI 3.1 has it for roles, the scope that it takes."""
    schemes = [name for name in _SECURITY if takes.is_stream or name != "ticket"]
    return [{name: [scope]} for name in schemes for scope in sorted(takes.scopes)]


def register_document(app: Flask, endpoints: Sequence[Endpoints]) -> None:
    """Serve the document at /api/openapi.json, a page of it at /api/, and Swagger UI at /api/swagger without a CDN."""
    prefix: str = app.extensions["config"].url_prefix

    @cache
    def document() -> Flask:
        return _document(endpoints, app.url_map.converters, prefix)

    @declare(takes("read"))
    def serve(path: str = "") -> Response:
        return cast(Response, Response.from_app(document().wsgi_app, request.environ))

    @cache
    def rendered(root: str) -> str:
        return overview(document().api_doc, root)  # type: ignore[attr-defined]

    @declare(takes("read"))
    def show() -> Response:
        headers = {"Content-Security-Policy": POLICY, "Cache-Control": "no-cache"}
        return Response(rendered(request.script_root), headers=headers, mimetype="text/html")

    @declare(takes("read"))
    def show_style() -> Response:
        return Response(STYLE, headers={"Cache-Control": "no-cache"}, mimetype="text/css")

    app.add_url_rule("/api/", "overview", show)
    app.add_url_rule("/api/overview.css", "overview_style", show_style)
    for rule in ("/api/openapi.json", "/api/swagger", "/api/swagger/<path:path>"):
        app.add_url_rule(rule, "document", serve)


def version() -> str:
    """The version of the project; pyproject.toml is the one place where it stands, and the wheel is made from."""
    if IS_INSTALLED:
        return importlib.metadata.version("people-feed")
    with (CHECKOUT / "pyproject.toml").open("rb") as file:
        project: dict[str, str] = tomllib.load(file)["project"]
    return project["version"]


def _document(endpoints: Sequence[Endpoints], converters: Mapping[str, Any], prefix: str) -> Flask:
    from flask_openapi3.models.info import Info
    from flask_openapi3.models.server import Server
    from flask_openapi3.openapi import OpenAPI

    document = OpenAPI(
        "document",
        info=Info(title="People counting", version=version(), description="Sessions, movements, metrics and alerts."),
        responses={400: problem_response()},
        servers=[Server(url=prefix)] if prefix else None,
        security_schemes=_SECURITY,
        doc_prefix="/api",
        doc_url="/openapi.json",
        validation_error_status=400,
        validation_error_model=Problem,
        static_folder=None,
    )
    document.url_map.strict_slashes = False
    document.url_map.converters.update(converters)
    for one in endpoints:
        document.register_api(one.described())
    return document
