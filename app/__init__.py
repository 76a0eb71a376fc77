"""People counting, live: create_app puts the parts together, and does no I/O."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

from app.config import Config

if TYPE_CHECKING:
    from flask import Flask


def create_app(config: Config | None = None) -> Flask:
    """The WSGI application; ``extensions`` hold its ``config`` and its ``feed``, which the server starts.

    Raises:
        ConfigError: names every setting that is wrong.
    """
    # Deliberate: gunicorn's arbiter imports this package for its settings, forks, and only then does gevent patch.
    # Whatever needs the patches is imported in the worker; so HUP brings new code, too.
    from flask import Flask

    from app import api, cli, website
    from app.access.access import Access
    from app.access.register import Register
    from app.feed.feed import Feed
    from app.postgres import tables
    from app.postgres.connections import connect
    from app.postgres.embedded import database_url
    from app.rest.cors import register_cors
    from app.rest.origin import register_origin
    from app.rest.prefix import register_prefix
    from app.rest.proxies import register_proxies

    config = config or Config.from_environ(os.environ)
    url = database_url(config)
    app = Flask(__name__, static_folder=None)
    app.extensions["config"] = config
    register = Register(partial(connect, url, application_name="people-feed access", statement_timeout=5000))
    app.extensions["access"] = Access(config, register)
    app.extensions["feed"] = Feed.from_config(config, url, register)
    tables.register(app, url)
    register_origin(app, config.host, config.allowed_hosts, config.cors_origins)
    api.register(app)
    app.register_blueprint(website.pages)
    register_cors(app, config.cors_origins)
    register_proxies(app, config.trusted_proxies)
    register_prefix(app, config.url_prefix)
    cli.register(app)
    return app
