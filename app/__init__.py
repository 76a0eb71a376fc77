"""The feed: create_app puts the parts together, and does no I/O. ``app.worker`` sets them going."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

from app.config import Config

if TYPE_CHECKING:
    from flask import Flask

# A queue of so many bytes is 1500 ordinary changes; with 10 000 clients that all lag, 10 GB are not what one wants.
_QUEUE_BYTES = 1024 * 1024


def create_app(config: Config | None = None) -> Flask:
    """The WSGI application, with its parts in ``extensions``: config, hub, listener, pruner, change_log."""
    # Deliberate: gunicorn's arbiter imports this package for its settings, forks, and only then does gevent patch.
    # What needs the patches is imported in the worker; so HUP brings new code, too.
    from app import cli, models
    from app.api import new_app, register
    from app.api.cors import register_cors
    from app.bookkeeper import Bookkeeper
    from app.changes import ChangeLog
    from app.database import connect
    from app.hub import Hub
    from app.listener import Listener
    from app.postgres import database_url
    from app.retention import Pruner
    from app.website import pages

    config = config or Config.from_environ(os.environ)
    url = database_url(config)
    app = new_app(__name__)
    hub = Hub(
        ring_bytes=config.ring_bytes,
        queue_frames=config.queue_frames,
        queue_bytes=_QUEUE_BYTES,
        max_streams=config.max_streams,
        max_streams_per_address=config.max_streams_per_address,
    )
    listener = Listener(
        partial(connect, url, application_name="people-feed listener"),
        hub,
        check_seconds=config.listener_check_seconds,
    )
    pruner = Pruner(
        partial(connect, url, application_name="people-feed pruner", is_patient=True),
        hours=config.retention_hours,
        most_bytes=config.retention_bytes,
    )
    bookkeeper = Bookkeeper(
        partial(connect, url, application_name="people-feed bookkeeper"), silence_seconds=config.session_silence_seconds
    )
    app.extensions.update(config=config, hub=hub, listener=listener, pruner=pruner, bookkeeper=bookkeeper)
    app.extensions["change_log"] = ChangeLog(url)
    models.register(app, url)
    register(app)
    app.register_blueprint(pages)
    register_cors(app, config.cors_origins)
    cli.register(app)
    return app
