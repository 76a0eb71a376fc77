"""The docs say what the code does, in the words of the glossary, and their links lead somewhere."""

import functools
import re
import subprocess
import tomllib

import pytest

from app.cli import _COMMANDS
from app.config import CHECKOUT
from app.feed.change import TOPICS
from app.rest.document import version

_READER = (CHECKOUT / "app" / "config.py").read_text()
SETTINGS = sorted(set(re.findall(r'"((?:[A-Z]+_)*[A-Z]+)"', _READER)) - {"MB", "GB"})
PAGES = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"]
PAGES += sorted(str(path.relative_to(CHECKOUT)) for path in (CHECKOUT / "docs").rglob("*.md"))
WORDS = [*TOPICS, "live", "resumed", "reset", "connection", "heartbeat", "database_unavailable"]


def doc(name):
    return (CHECKOUT / name).read_text()


def anchors(text):
    """The anchors that a page has, as renderers of Markdown derive them from its headings."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def gone():
    """The names in the glossary's second table."""
    table = doc("docs/reference/glossary.md").partition("## Gone")[2]
    return re.findall(r"^\| `([^`]+)` \|", table, re.MULTILINE)


@functools.cache
def tracked():
    """What people read and write here, by name: not the history, not what the past was called, not what is built."""
    names = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=CHECKOUT, capture_output=True, text=True, check=True,
    ).stdout.split("\n")  # fmt: skip
    past = ("docs/reference/glossary.md", "CHANGELOG.md", "tests/unit/test_docs.py", "sql/0", "app/static/")
    readable = (".py", ".md", ".ts", ".tsx", ".css", ".toml", ".sql", ".html", "run", ".txt", ".c", ".mjs")
    kept = [name for name in names if name.endswith(readable) and not name.startswith(past)]
    return {name: doc(name) for name in kept}


def test_the_settings_are_found():
    assert {"PORT", "HEARTBEAT_SECONDS", "DATABASE_URL", "CHANGE_LOG_RETENTION"} <= set(SETTINGS)


@pytest.mark.parametrize("name", ["README.md", "docs/reference/settings.md"])
@pytest.mark.parametrize("setting", SETTINGS)
def test_every_setting_is_documented(name, setting):
    assert f"`{setting}`" in doc(name)


@pytest.mark.parametrize("command", sorted(_COMMANDS))
def test_every_command_is_documented(command):
    assert f"`./run flask {command}" in doc("docs/reference/commands.md")


@pytest.mark.parametrize("word", WORDS)
def test_the_protocol_explains_every_word_of_the_wire(word):
    assert re.search(rf"[`/,]{word}[`,]", doc("docs/reference/protocol.md"))


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere(name):
    page = CHECKOUT / name
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)", page.read_text()):
        there = (page.parent / target).resolve() if target else page
        assert there.exists(), target
        assert not anchor or anchor in anchors(there.read_text()), f"{target}#{anchor}"


def test_every_page_is_in_the_index():
    index = doc("docs/README.md")
    for name in PAGES:
        if name.startswith("docs/") and name != "docs/README.md":
            assert f"({name.removeprefix('docs/')})" in index, name


@pytest.mark.parametrize("name", gone())
def test_names_that_are_gone_stay_away(name):
    pattern = re.compile(rf"(?<![\w/.]){re.escape(name)}(?!\w)")
    assert [path for path, text in tracked().items() if pattern.search(text)] == []


def test_the_glossary_knows_what_is_gone_and_what_is_tracked():
    assert len(gone()) > 20
    assert {"app/feed/hub.py", "README.md", "app/dashboard/src/feed/cursor.ts"} <= tracked().keys()


def test_there_is_one_version():
    project = tomllib.loads(doc("pyproject.toml"))["project"]
    [newest, *_] = re.findall(r"^## \[(\d[^\]]*)\] - \d{4}-\d\d-\d\d$", doc("CHANGELOG.md"), re.MULTILINE)
    assert version() == project["version"] == newest
    assert '"version"' not in doc("app/dashboard/package.json")
