"""The wheel: what is in it, and that it runs alone. So does the image, which is made of it.

The image itself is not built here: that takes a builder, and the base image.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import time
import urllib.request
import zipfile
from email.parser import Parser
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from app.config import CHECKOUT
from app.rest.document import version
from tests.event_stream import open_stream, wait_until_ready
from tests.scratch import make_folder
from tests.serving import Gunicorn, environment
from tests.waiting import until

pytest.importorskip("hatchling", reason="hatchling is not installed: ./run test installs it")

IMAGE = (CHECKOUT / "deploy/docker/Dockerfile").read_text()
COMPOSE = (CHECKOUT / "deploy/docker/compose.yaml").read_text()
# What the wheel has of the checkout.
TOPS = ("app", "sql", "wsgi.py", "gunicorn.conf.py")
_UNWANTED = shutil.ignore_patterns("node_modules", "__pycache__")


def instructions(name):
    """What the Dockerfile says after this word, in each line that begins with it."""
    return re.findall(rf"^{name} (.*)$", IMAGE, re.MULTILINE)


def pip(*words):
    done = subprocess.run(
        [sys.executable, "-m", "pip", "--disable-pip-version-check", *map(str, words)],
        env=environment(), capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def built(source, target):
    pip("wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", target, source)
    [wheel] = target.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built from what .dockerignore lets into the build of the image, and so of no other file of the checkout."""
    source = tmp_path_factory.mktemp("source")
    lines = (CHECKOUT / ".dockerignore").read_text().splitlines()
    assert "*" in lines
    for name in [line[1:] for line in lines if line.startswith("!")]:
        if (CHECKOUT / name).is_dir():
            shutil.copytree(CHECKOUT / name, source / name, ignore=_UNWANTED)
        else:
            shutil.copy(CHECKOUT / name, source / name)
    for name in lines:
        if (source / name).is_dir():
            shutil.rmtree(source / name)
    return built(source, tmp_path_factory.mktemp("wheel"))


def metadata_of(wheel):
    with zipfile.ZipFile(wheel) as archive:
        [name] = [name for name in archive.namelist() if name.endswith("METADATA")]
        return Parser().parsestr(archive.read(name).decode())


def needed(lines):
    """The names of the distributions that these requirements need, and those that these need in turn."""
    todo = [(Requirement(line), "") for line in lines]
    seen = set()
    while todo:
        requirement, extra = todo.pop()
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        for wanted in {"", *requirement.extras} - {extra for name, extra in seen if name == requirement.name}:
            seen.add((requirement.name, wanted))
            todo += [(Requirement(line), wanted) for line in distribution(requirement.name).requires or ()]
    return {name for name, _ in seen}


@pytest.fixture(scope="module")
def programs(wheel):
    """Where the programs are of an environment that has the wheel, what it depends on, and nothing else.

    What it depends on is copied from our own environment: to unpack and to compile it takes three quarters of a minute.
    """
    folder = make_folder("feed-wheel-", on_disk=True)  # in memory programs may not be run
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True, timeout=60)
    packages = folder / Path(sysconfig.get_path("purelib")).relative_to(sys.prefix)
    for name in needed(metadata_of(wheel).get_all("Requires-Dist")):
        for file in distribution(name).files:
            if ".." not in file.parts:  # those are programs
                (packages / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(file.locate(), packages / file)  # with its time, by which Python trusts what is compiled
    pip("--python", folder / "bin" / "python", "install", "--quiet", "--no-deps", wheel)
    pip("--python", folder / "bin" / "python", "check")
    yield folder / "bin"
    shutil.rmtree(folder)


@pytest.fixture
def start(programs, tmp_path):
    """Start ``people-feed`` in a folder that has an app and a wsgi.py of its own."""
    started = []
    folder = tmp_path / "current"
    folder.mkdir()
    for name in ("app.py", "wsgi.py"):
        (folder / name).write_text("raise SystemExit('this is not the feed')")

    class Installed(Gunicorn):
        command = (programs / "people-feed",)

    Installed.folder = folder

    def start(**given):
        feed = Installed(tmp_path / "log", PYTHONPATH="", **given)
        started.append(feed)
        feed.wait_until_listening()
        return feed

    yield start
    for feed in started:
        feed.stop()


def run(programs, folder, *words, **given):
    return subprocess.run(
        [programs / "people-feed", *words],
        cwd=folder, env=environment(PYTHONPATH="", **given), capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def get(url):
    with urllib.request.urlopen(url, timeout=20) as answer:
        return answer.read()


def test_the_wheel_holds_the_program_and_nothing_else(wheel):
    tops = [CHECKOUT / name for name in TOPS]
    files = [path for top in tops for path in (top.rglob("*") if top.is_dir() else [top]) if path.is_file()]
    names = {path.relative_to(CHECKOUT).as_posix() for path in files if "__pycache__" not in path.parts}
    wanted = {f"people_feed/{name}" for name in names if not name.startswith("app/dashboard/")}
    found = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert found == wanted | {"people_feed/__init__.py"}
    assert {"people_feed/gunicorn.conf.py", "people_feed/sql/schema.sql"} < found
    assert {name.rpartition(".")[2] for name in found} <= {"py", "sql", "sha256", "js", "css", "svg", "html", "gz"}


def test_the_wheel_depends_on_what_the_requirements_name(wheel):
    said = metadata_of(wheel)
    lines = (CHECKOUT / "requirements.txt").read_text().splitlines()
    wanted = [re.sub(r"\W", "", line).lower() for line in lines if not line.startswith("#")]
    assert sorted(re.sub(r"\W", "", line).lower() for line in said.get_all("Requires-Dist")) == sorted(wanted)
    assert said["Version"] == version()


def test_a_wheel_of_the_checkout_is_the_same_to_the_byte(wheel, tmp_path):
    assert built(CHECKOUT, tmp_path).read_bytes() == wheel.read_bytes()


def test_installed_alone_it_serves_and_stops(start, programs, data_dir, tmp_path):
    feed = start(HOME=data_dir)
    wait_until_ready(feed)
    place = data_dir / ".local/share/people-feed"
    assert f"Database: embedded PostgreSQL in {place}" in feed.log
    assert "(people-feed user add NAME --role admin)" in feed.log
    assert b"/assets/" in get(feed.url)
    assert json.loads(get(f"{feed.url}/api/openapi.json"))["info"]["version"] == version()
    with open_stream(feed.url, "/api/sse/sessions") as stream:
        statement = "insert into sessions (session_name) values ('by psql')"
        done = run(programs, tmp_path, "psql", "-c", statement, HOME=data_dir)
        assert done.returncode == 0, done.stderr
        [change] = stream.changes(1)
        assert change["data"]["session_name"] == "by psql"
    assert feed.stop() == 0
    assert not (place / "postgres/data/postmaster.pid").exists()


def test_its_commands_are_those_of_flask_that_need_no_checkout(programs, tmp_path):
    assert run(programs, tmp_path, "--version").stdout == f"people-feed {version()}\n"
    said = run(programs, tmp_path, "--help").stdout
    assert "Usage: people-feed [OPTIONS] COMMAND" in said
    commands = set(re.findall(r"^  ([a-z-]+)  ", said.partition("Commands:")[2], re.MULTILINE))
    assert {"doctor", "tail", "stats", "migrate"} < commands
    assert {"run", "schema", "shell"}.isdisjoint(commands)
    wrong = run(programs, tmp_path, "stats", PORT="http")
    assert (wrong.returncode, "Traceback" in wrong.stderr) == (1, False)
    assert "PORT='http' is wrong" in wrong.stderr


def is_healthy(words):
    return not subprocess.run([sys.executable, *words], capture_output=True, timeout=60, check=False).returncode


def test_what_the_image_starts_serves_and_passes_its_health_check(start, programs, database_url, tmp_path):
    given = dict(pair.split("=", 1) for line in instructions("ENV") for pair in shlex.split(line))
    assert [json.loads(line) for line in instructions("ENTRYPOINT")] == [["people-feed"]]
    assert (given["HOST"], given["PORT"], instructions("EXPOSE")) == ("0.0.0.0", "8000", ["8000"])
    feed = start(DATABASE_URL=database_url, HOST="0.0.0.0")
    assert "Access: nobody yet. Set it up at " in feed.log
    [check] = instructions("HEALTHCHECK")
    port = feed.url.rpartition(":")[2]
    asked = [word.replace(":8000", f":{port}") for word in json.loads(check.partition("CMD ")[2])[1:]]
    until(lambda: is_healthy(asked), what="a healthy container")
    done = run(programs, tmp_path, "access", DATABASE_URL=database_url, HOST="0.0.0.0")
    assert "The feed is closed until the set-up" in done.stdout, done.stderr
    began = time.monotonic()
    assert feed.stop() == 0
    assert time.monotonic() - began < int(re.search(r"stop_grace_period: (\d+)s", COMPOSE)[1])
    assert not is_healthy(asked)


def test_the_containers_need_no_right():
    assert instructions("USER") == ["10001"]
    feed = COMPOSE.partition("\n  feed:\n")[2].partition("\nvolumes:")[0]
    for line in ("read_only: true", "cap_drop:\n      - ALL", "- no-new-privileges:true", "tmpfs:\n      - /tmp\n"):
        assert line in feed
