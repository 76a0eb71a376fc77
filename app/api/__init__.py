"""The REST API: one blueprint per resource, one place for errors, one OpenAPI document.

``new_app`` makes the app whose OpenAPI document is at /api/openapi.json and whose Swagger UI is at /api/swagger,
from its own package and without a CDN; ``register`` puts the blueprints and the errors on it.
"""

from __future__ import annotations

from flask_openapi3.models.info import Info
from flask_openapi3.openapi import OpenAPI

from app.api import alerts, changes, health, metrics, movements, sessions, statistics, stream, system, thresholds
from app.api.compression import register_compression
from app.api.errors import Problem, register_errors
from app.api.requests import RowIdConverter
from app.api.resource import problem_response

MAX_BODY_BYTES = 16 * 1024 * 1024  # 10 000 movements with every field are about 5 MB


def new_app(import_name: str, static_folder: str | None = "static") -> OpenAPI:
    """An empty app with a place for the OpenAPI document."""
    info = Info(title="People counting", version="1.0.0", description="Sessions, movements, metrics and alerts.")
    return OpenAPI(
        import_name,
        info=info,
        responses={400: problem_response()},
        security_schemes={},  # None would stand in the document as null
        doc_prefix="/api",
        doc_url="/openapi.json",
        validation_error_status=400,
        validation_error_model=Problem,
        static_folder=static_folder,
    )


def register(app: OpenAPI) -> None:
    """Put the resources and the errors on the app."""
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
    app.url_map.strict_slashes = False
    app.url_map.converters["row"] = RowIdConverter
    for module in (sessions, movements, alerts, metrics, thresholds, statistics, changes, stream, health, system):
        app.register_api(module.api)
    register_errors(app)
    register_compression(app)
