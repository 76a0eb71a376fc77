"""Prometheus: ``/metrics``, the figures of this host's workers and of the site, and how long requests take."""

from __future__ import annotations

import logging
import re
import time
from functools import cache, partial

import gevent
import psycopg2
from flask import Flask, Response, current_app, g, request
from sqlalchemy.exc import SQLAlchemyError

from app.api.current import current_feed
from app.monitoring import figures
from app.monitoring.flush import Flush
from app.monitoring.page import page
from app.monitoring.reporter import Reporter
from app.postgres.connections import connect
from app.postgres.site import Site, read_site
from app.postgres.tables import db
from app.rest.document import Endpoints, version
from app.rest.takes import taken_by, takes
from app.rest.validation import reads

log = logging.getLogger(__name__)

api = Endpoints("prometheus", "", tag="health", about="Does it work?")
# Version 0.0.4 of the text format, which every scraper reads.
_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_PARAMETER = re.compile(r"<(?:[^:<>]+:)?([^<>]+)>")


@api.get(
    "/metrics",
    takes("metrics"),
    "readMetrics",
    summary="Figures of this host's workers and of the site, for Prometheus",
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
@reads()
def metrics() -> Response:
    feed = current_feed()
    current_app.extensions["flush"].work()
    folder = feed.config.data_dir if feed.config.database_url is None else None
    # In a thread: while it computes, streams go on.
    text = gevent.get_hub().threadpool.apply(page, (version(), _site(), folder))
    return Response(text, headers={"Cache-Control": "no-store"}, content_type=_TYPE)


def register_figures(app: Flask) -> None:
    """Time the requests, and let the worker's figures be flushed and reported."""
    feed = app.extensions["feed"]
    app.extensions["flush"] = Flush(feed.hub, feed.listener)
    reporting = partial(connect, feed.database_url, application_name="people-feed report", statement_timeout=5000)
    app.extensions["reporter"] = Reporter(reporting, feed.hub, feed.listener, cache(version))
    app.before_request(_begin)
    app.after_request(_time)


def _site() -> Site | None:
    config = current_feed().config
    try:
        with db.engine.connect() as connection:
            return read_site(
                connection,
                zone=config.time_zone,
                margin_seconds=config.clock_margin_seconds,
                silence_seconds=config.session_silence_seconds,
            )
    except (SQLAlchemyError, psycopg2.Error) as error:
        log.warning("/metrics tells nothing of the site: %s", str(error).strip().partition("\n")[0])
        return None


def _begin() -> None:
    g.began_at = time.perf_counter()


def _time(response: Response) -> Response:
    view = current_app.view_functions.get(request.endpoint or "")
    needed = taken_by(view) if view else None
    if "began_at" in g and not (needed and needed.is_stream):
        method = request.method if request.method in _METHODS else "_OTHER"
        # What no rule matches has no route: paths are the clients' choice.
        route = _PARAMETER.sub(r"{\1}", request.url_rule.rule) if request.url_rule else ""
        seconds = time.perf_counter() - g.began_at
        figures.REQUESTS.labels(method, route, str(response.status_code)).observe(seconds)
    return response
