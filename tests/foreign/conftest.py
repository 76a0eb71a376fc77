"""Without what `./run test` installs, clients that others wrote are left out, as the browser tests are."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.e2e.conftest import has_browser

HERE = Path(__file__).parent
LEFT_OUT = "clients that others wrote were left out: they need Chromium and what `./run test` installs"
# What of it needs no browser.
WITHOUT_BROWSER = ("test_generated.py",)


def pytest_collection_modifyitems(items):
    ours = [item for item in items if HERE in item.path.parents]
    if ours and _has_packages():
        in_browser = [item for item in ours if item.path.name not in WITHOUT_BROWSER]
        ours = [] if not in_browser or has_browser() else in_browser
    for item in ours:
        item.add_marker(pytest.mark.skip(reason=LEFT_OUT))


def _has_packages():
    python = all(find_spec(name) is not None for name in ("httpx_sse", "openapi_python_client"))
    return python and (HERE / "node_modules").is_dir()
