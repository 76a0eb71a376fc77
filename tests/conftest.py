"""Fixtures: one real PostgreSQL for the run, a database cloned from a migrated template for each test.

``TEST_DATABASE_URL`` (a superuser of any other server) takes the place of the embedded one.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
import signal
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest

from app.config import Config
from app.postgres.connections import connect
from app.postgres.embedded import Server
from app.postgres.migrate import migrate
from tests.scratch import scratch_folder
from tests.serving import Gunicorn

# A shell that runs this in the background ignores SIGINT, and every process inherits that; commands end by SIGINT.
signal.signal(signal.SIGINT, signal.default_int_handler)

_TEMPLATE = f"feed_template_{os.getpid()}"
_numbers = itertools.count(1)


def _execute(url, statement):
    connection = connect(url, application_name="fixture")
    with connection.cursor() as cursor:
        cursor.execute(statement)
    connection.close()


def _with_database(url, name, role=None):
    parts = urlsplit(url)
    location = parts.netloc if role is None else f"{role}@{parts.netloc.rpartition('@')[2]}"
    return f"{parts.scheme}://{location}/{name}" + (f"?{parts.query}" if parts.query else "")


@pytest.fixture(scope="session")
def server_url():
    """A superuser's URL of one real PostgreSQL."""
    if given := os.environ.get("TEST_DATABASE_URL"):
        yield given
        return
    with scratch_folder() as folder:
        server = Server(folder, fsync="off", max_connections="300", max_notify_queue_pages="64")
        server.start()
        try:
            yield server.url("postgres", "postgres")
        finally:
            server.stop()


@pytest.fixture
def data_dir():
    """A DATA_DIR for an embedded server of the test's own."""
    with scratch_folder() as folder:
        yield folder


@pytest.fixture(scope="session")
def template(server_url):
    """The name of a migrated database that nobody is connected to."""
    owner = None if os.environ.get("TEST_DATABASE_URL") else "feed"
    _execute(server_url, f"create database {_TEMPLATE}" + (f" owner {owner}" if owner else ""))
    migrate(_with_database(server_url, _TEMPLATE, owner))
    yield _TEMPLATE
    _execute(server_url, f"drop database {_TEMPLATE} with (force)")


@contextmanager
def _database(server_url, template):
    """A copy of the template: its URL for a superuser, and for the app."""
    name = f"feed_{os.getpid()}_{next(_numbers)}"
    owner = None if os.environ.get("TEST_DATABASE_URL") else "feed"
    _execute(server_url, f"create database {name} template {template}" + (f" owner {owner}" if owner else ""))
    superuser = _with_database(server_url, name)
    # A copy is not a restored backup here.
    _execute(superuser, "update change_log_home set database_identity = database_identity()")
    yield superuser, _with_database(server_url, name, owner)
    _execute(server_url, f"drop database {name} with (force)")


@contextmanager
def _app(database_url):
    from app import create_app
    from app.postgres.tables import db

    app = create_app(dataclasses.replace(Config(), database_url=database_url))
    app.testing = True
    yield app
    with app.app_context():
        db.engine.dispose()


@pytest.fixture
def _urls(server_url, template):
    with _database(server_url, template) as urls:
        yield urls


@pytest.fixture
def admin_url(_urls):
    """A superuser's URL of this test's database."""
    return _urls[0]


@pytest.fixture
def database_url(_urls):
    """This test's database, migrated and empty, as the app reaches it: by a role that owns it and nothing else."""
    return _urls[1]


@pytest.fixture
def app(database_url):
    with _app(database_url) as app:
        yield app


@pytest.fixture(scope="module")
def shared_url(server_url, template):
    """The database of those tests of a file that change nothing which others of them see."""
    with _database(server_url, template) as (_, url):
        yield url


@pytest.fixture(scope="module")
def shared_client(shared_url):
    """A client for tests that share a database."""
    with _app(shared_url) as app:
        yield app.test_client()


@pytest.fixture
def client(app):
    return app.test_client()


@contextmanager
def _gunicorns(database_url, folder):
    started = []

    def start(*options, **settings):
        server = Gunicorn(
            folder / f"gunicorn-{len(started)}.log", *options, **{"DATABASE_URL": database_url} | settings
        )
        started.append(server)
        server.wait_until_listening()
        return server

    yield start
    for server in started:
        server.stop()
        print(f"gunicorn's log:\n{server.log}")  # pytest shows it if the test fails


@pytest.fixture
def gunicorn(database_url, tmp_path):
    """Start a real gunicorn on this test's database: ``gunicorn(WEB_CONCURRENCY=2, HEARTBEAT_SECONDS=0.5)``."""
    with _gunicorns(database_url, tmp_path) as start:
        yield start


@pytest.fixture(scope="module")
def shared_gunicorn(shared_url, tmp_path_factory):
    """Start a real gunicorn for tests that share a database."""
    with _gunicorns(shared_url, tmp_path_factory.mktemp("shared")) as start:
        yield start


@pytest.fixture
def embedded(data_dir, tmp_path):
    """Start a real gunicorn on an embedded server of its own."""
    started = []

    def start(*options, **settings):
        gunicorn = Gunicorn(tmp_path / f"{len(started)}.log", *options, DATA_DIR=data_dir, **settings)
        started.append(gunicorn)
        gunicorn.wait_until_listening()
        return gunicorn

    yield start
    for gunicorn in started:
        gunicorn.stop()
