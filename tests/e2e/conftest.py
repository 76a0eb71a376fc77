"""Fixtures of the browser tests: Debian's Chromium against a real gunicorn and a real PostgreSQL.

The tests of a file share a feed, whose tables are emptied before each of them. One that ends its feed, or that needs
users, is marked ``own_feed`` and has a feed and a database of its own. A page that reports an error in its console
fails its test, unless the test expects the server to be away.
"""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
# The address bar of each new window would load two pages of its own, which takes longer than most tests. The switch
# takes the place of playwright's, so these are those, too.
WITHOUT = (
    "WebUIOmniboxPopup,WebUIOmniboxAimPopup,WebUIOmniboxFullPopup,AimEnabled,"
    "AvoidUnnecessaryBeforeUnloadCheckSync,DestroyProfileOnBrowserClose,HttpsFirstBalancedModeAutoEnable,HttpsUpgrades,"
    "LensOverlay,MediaRouter,PaintHolding,ThirdPartyStoragePartitioning,Translate"
)
# What Chromium does on its own (updates, sync, QUIC) has no place in a test; as root it needs --no-sandbox.
ARGUMENTS = [
    f"--disable-features={WITHOUT}",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # Names of other sites, for tests of what their pages may do.
    "--host-resolver-rules=MAP *.test 127.0.0.1",
]
LEFT_OUT = "the browser tests were left out: they need Chromium and the playwright package"


def pytest_collection_modifyitems(items):
    ours = [item for item in items if "/e2e/" in item.path.as_posix()]
    if not ours or has_browser():
        return
    for item in ours:
        item.add_marker(pytest.mark.skip(reason=LEFT_OUT))


def has_browser():
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return False
    if CHROMIUM:
        return True
    with sync_playwright() as playwright:  # its own download
        return Path(playwright.chromium.executable_path).exists()


@pytest.fixture(scope="session")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def shared_feed(shared_gunicorn):
    """The running feed of a file."""
    return shared_gunicorn(HEARTBEAT_SECONDS=1)


@pytest.fixture
def feed(request):
    """A running feed, whose tables are empty."""
    if request.node.get_closest_marker("own_feed"):
        return request.getfixturevalue("gunicorn")(HEARTBEAT_SECONDS=1)
    request.getfixturevalue("cleared")
    return request.getfixturevalue("shared_feed")


class Database:
    """Writes as programs do that know nothing of us: plain SQL, a transaction for each statement."""

    def __init__(self, url):
        self._connection = psycopg2.connect(url)
        self._connection.autocommit = True

    def run(self, statement, *values):
        """Execute; the first column of the first row, if it answers with one."""
        with self._connection.cursor() as cursor:
            cursor.execute(statement, values)
            row = cursor.fetchone() if cursor.description else None
        return row[0] if row else None

    def session(self, name="Main door"):
        return self.run("insert into sessions (session_name, input_source) values (%s, 'rtsp://1') returning id", name)

    def movement(self, session_id, person_id, direction="in"):
        self.run(
            "insert into people_movements (session_id, person_id, movement_direction) values (%s, %s, %s)",
            session_id, person_id, direction,
        )  # fmt: skip

    def metric(self, session_id, count):
        self.run("insert into realtime_metrics (session_id, current_people_count) values (%s, %s)", session_id, count)

    def alert(self, session_id, message="Crowded"):
        return self.run(
            "insert into alert_logs (session_id, alert_type, alert_message, current_value, threshold_value)"
            " values (%s, 'people_count', %s, 31, 30) returning id",
            session_id, message,
        )  # fmt: skip

    def close(self):
        self._connection.close()


@pytest.fixture
def cleared(shared_url):
    """The file's database without what the test before wrote."""
    with closing(Database(shared_url)) as database:
        database.run("truncate sessions, people_movements, realtime_metrics, alert_logs, alert_thresholds cascade")


@pytest.fixture
def feeds_url(request):
    """The URL of the feed's database."""
    return request.getfixturevalue("database_url" if request.node.get_closest_marker("own_feed") else "shared_url")


@pytest.fixture
def database(feeds_url, feed):
    with closing(Database(feeds_url)) as database:
        yield database


@pytest.fixture(scope="module")
def shared_database(shared_url):
    """What tests that share a database look at, written once."""
    with closing(Database(shared_url)) as database:
        yield database


@pytest.fixture
def context(browser):
    context = browser.new_context(locale="en-GB", viewport={"width": 1440, "height": 900})
    yield context
    context.close()


@pytest.fixture
def errors():
    """What pages complained about; a test that breaks the server clears it."""
    found = []
    yield found
    assert found == []


@pytest.fixture
def tab(context, feed, errors):
    """Open a tab at a path."""

    def open_tab(path="/"):
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.goto(feed.url + path)
        page.locator(".connection.good").wait_for()
        return page

    return open_tab
