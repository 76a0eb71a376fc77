"""Without what `./run test` installs, clients that others wrote are left out, as the browser tests are."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.e2e.conftest import has_browser

HERE = Path(__file__).parent
LEFT_OUT = "clients that others wrote were left out: they need Chromium and what `./run test` installs"


def pytest_collection_modifyitems(items):
    ours = [item for item in items if HERE in item.path.parents]
    if not ours or _is_complete():
        return
    for item in ours:
        item.add_marker(pytest.mark.skip(reason=LEFT_OUT))


def _is_complete():
    packages = (HERE / "node_modules").is_dir() and find_spec("httpx_sse") is not None
    return packages and has_browser()
