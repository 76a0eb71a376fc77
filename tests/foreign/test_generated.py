"""Clients that others' generators make from the document compile, and work."""

from __future__ import annotations

import compileall
import re
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from app.access import keys, passwords, users
from app.postgres.connections import sqlalchemy_url
from tests.serving import environment

HERE = Path(__file__).parent
PACKAGES = HERE / "node_modules"
# The one thing that the generator leaves out, and says so; what it makes sends arrays instead.
_KNOWN = "Unsupported content type application/x-ndjson"
_PYTHON = """
import sys
from people_counting import AuthenticatedClient
from people_counting.api.analytics import read_flow
from people_counting.api.movements import create_movement, list_movements
from people_counting.api.sessions import create_session
from people_counting.models import Movement, MovementPage, NewMovement, NewSession, Problem, Session

url, ingest, read = sys.argv[1:]
camera = AuthenticatedClient(base_url=url, token=ingest, raise_on_unexpected_status=True)
session = create_session.sync(client=camera, body=NewSession(session_name="generated"))
assert isinstance(session, Session), session
movement = NewMovement(session_id=session.id, person_id=7, movement_direction="in")
made = create_movement.sync(client=camera, body=movement)
assert isinstance(made, Movement), made
written = create_movement.sync(client=camera, body=[movement, movement])
assert written.to_dict() == {"inserted": 2, "repeated": 0}, written

reader = AuthenticatedClient(base_url=url, token=read, raise_on_unexpected_status=True)
page = list_movements.sync(client=reader, session_id=session.id, direction="in")
assert isinstance(page, MovementPage), page
assert [row.person_id for row in page.items] == [7, 7, 7]
assert sum(bucket.entered for bucket in read_flow.sync(client=reader, tz="Europe/Berlin")) == 3
wrong = read_flow.sync(client=reader, tz="Mars")
assert isinstance(wrong, Problem), wrong
assert (wrong.status, wrong.errors[0].field) == (400, "tz")
"""
_TYPESCRIPT = """
import type { components, operations, paths } from './api.js';

type Page = operations['listSessions']['responses'][200]['content']['application/json'];
export const names = (page: Page): string[] => page.items.map((row) => row.session_name ?? '');
export const movement: operations['createMovement']['requestBody']['content']['application/json'] = {
  session_id: '9b2f7c1e-3d0a-4b57-8c61-2f4e5a6b7c8d',
  person_id: 7,
  movement_direction: 'in',
};
export const flow: NonNullable<operations['readFlow']['parameters']['query']> = { tz: 'Europe/Berlin', bucket: 'hour' };
// @ts-expect-error: there are no such buckets
export const wrong: NonNullable<operations['readFlow']['parameters']['query']> = { bucket: 'year' };
export const path: keyof paths = '/api/sessions/{id}/stop';
export const direction: components['schemas']['Movement']['movement_direction'] = 'out';
"""


@pytest.fixture
def people(database_url):
    """A feed that somebody may sign in at, and what a camera and a reader show there."""
    engine = create_engine(sqlalchemy_url(database_url))
    with engine.begin() as connection:
        users.create_user(connection, "ada", "admin", passwords.hashed("ada"))
        made = {scope: keys.create_key(connection, scope, scope)[0] for scope in ("ingest", "read")}
    engine.dispose()
    return made


@pytest.fixture
def served(gunicorn, people, tmp_path):
    """The feed, and its document in a file."""
    feed = gunicorn()
    request = urllib.request.Request(
        f"{feed.url}/api/openapi.json", headers={"Authorization": f"Bearer {people['read']}"}
    )
    document = tmp_path / "openapi.json"
    with urllib.request.urlopen(request, timeout=60) as answer:
        document.write_bytes(answer.read())
    return feed, document


def run(*command, folder):
    done = subprocess.run(
        [str(part) for part in command],
        cwd=folder, env=environment(), capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def test_a_python_client_is_generated_and_writes_and_reads(served, people, tmp_path):
    feed, document = served
    config = tmp_path / "config.yaml"
    config.write_text("post_hooks: []\nliteral_enums: true\n")
    options = ("--path", document, "--config", config, "--meta", "none", "--output-path", tmp_path / "people_counting")
    said = run(sys.executable, "-m", "openapi_python_client", "generate", *options, folder=tmp_path)
    assert re.findall(r"(?:WARNING|ERROR) (.*)\n\n(.*)", said) == [
        ("parsing POST /api/metrics within metrics.", _KNOWN),
        ("parsing POST /api/movements within movements.", _KNOWN),
    ]
    assert compileall.compile_dir(tmp_path / "people_counting", quiet=1)
    (tmp_path / "use.py").write_text(_PYTHON)
    run(sys.executable, "use.py", feed.url, people["ingest"], people["read"], folder=tmp_path)


def test_types_of_typescript_are_generated_and_fit(served, tmp_path):
    _, document = served
    run(PACKAGES / ".bin/openapi-typescript", document, "-o", tmp_path / "api.d.ts", folder=tmp_path)
    (tmp_path / "use.ts").write_text(_TYPESCRIPT)
    options = ("--noEmit", "--strict", "--module", "nodenext", "--target", "es2022")
    run(PACKAGES / ".bin/tsc", *options, "use.ts", folder=tmp_path)
