"""The docs say what the code does."""

import re

import pytest

from app.config import CHECKOUT
from app.feed.change import TOPICS

_READER = (CHECKOUT / "app" / "config.py").read_text()
SETTINGS = sorted(set(re.findall(r'"((?:[A-Z]+_)*[A-Z]+)"', _READER)) - {"MB", "GB"})


def doc(name):
    return (CHECKOUT / name).read_text()


def test_the_settings_are_found():
    assert {"PORT", "HEARTBEAT_SECONDS", "DATABASE_URL", "CHANGE_LOG_RETENTION"} <= set(SETTINGS)


@pytest.mark.parametrize("name", ["README.md", "docs/operations.md"])
@pytest.mark.parametrize("setting", SETTINGS)
def test_every_setting_is_documented(name, setting):
    assert f"`{setting}`" in doc(name)


WORDS = [*TOPICS, "live", "resumed", "reset", "connection", "heartbeat", "database_unavailable"]


@pytest.mark.parametrize("word", WORDS)
def test_the_protocol_explains_every_word_of_the_wire(word):
    assert re.search(rf"[`/,]{word}[`,]", doc("docs/protocol.md"))


@pytest.mark.parametrize("name", ["README.md", *(f"docs/{path.name}" for path in (CHECKOUT / "docs").glob("*.md"))])
def test_links_lead_somewhere(name):
    page = CHECKOUT / name
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), target
