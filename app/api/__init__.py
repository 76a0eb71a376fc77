"""The REST API and the streams: which endpoints there are. ``register`` puts them on an app."""

from __future__ import annotations

from flask import Flask

from app.api import (
    alerts,
    audit,
    health,
    keys,
    login,
    long_poll,
    metrics,
    movements,
    oidc,
    prometheus,
    sessions,
    sse,
    statistics,
    system,
    thresholds,
    tickets,
    users,
)
from app.api.guard import register_guard
from app.api.prometheus import register_figures
from app.rest.body import register_bodies
from app.rest.compression import register_compression
from app.rest.document import register_document
from app.rest.problems import register_problems
from app.rest.request_id import register_request_ids
from app.rest.validation import RowIdConverter

MAX_BODY_BYTES = 16 * 1024 * 1024  # 10 000 movements with every field are about 5 MB


def register(app: Flask) -> None:
    """Put the endpoints, their OpenAPI document and the problem documents on the app."""
    register_request_ids(app)
    register_figures(app)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
    app.url_map.strict_slashes = False
    app.url_map.converters["row"] = RowIdConverter
    modules = (
        sessions, movements, alerts, metrics, thresholds, statistics, long_poll, sse, health, system, login, oidc,
        users, keys, tickets, audit, prometheus,
    )  # fmt: skip
    endpoints = [module.api for module in modules]
    for one in endpoints:
        app.register_blueprint(one.blueprint())
    register_document(app, endpoints)
    register_problems(app)
    register_compression(app)
    register_bodies(app)
    register_guard(app)
