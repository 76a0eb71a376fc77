"""The dashboard below a path of a site, in a browser: it never asks the site for anything beside that path."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from tests.reverse_proxy import ReverseProxy
from tests.waiting import until


@pytest.fixture(scope="module", params=[True, False], ids=["stripped", "passed on"])
def site(shared_gunicorn, request):
    """A running feed, as the site has it."""
    server = shared_gunicorn(HEARTBEAT_SECONDS=1, URL_PREFIX="/people")
    proxy = ReverseProxy(server.url, "/people", strips=request.param)
    yield SimpleNamespace(url=f"{proxy.url}/people")
    proxy.stop()


@pytest.fixture
def feed(site, cleared):
    return site


def test_every_page_works_below_a_path(tab, feed, context, database):
    asked = []
    context.on("request", lambda request: asked.append(request.url))
    main_door = database.session("Main door")
    database.run("update sessions set status = 'active'")
    page = tab("/")

    # Within the dashboard, no page is loaded again.
    for name in ("live", "alerts", "system", "sessions"):
        page.locator(f'.nav a[href="/people/{name}"]').click()
        page.wait_for_url(f"{feed.url}/{name}")
        page.locator(f'.nav a[href="/people/{name}"][aria-current="page"]').wait_for()
        page.locator(".content :is(.panel, .table-scroll, .chart)").first.wait_for()
    assert asked.count(f"{feed.url}/") == 1
    files = [url for url in asked if "/assets/" in url]
    assert len(files) == len(set(files))

    # A row that appears in the database appears on the page, and leads on.
    back_door = database.session("Back door")
    page.get_by_role("link", name="Back door").click()
    page.wait_for_url(f"{feed.url}/sessions/{back_door}")
    page.get_by_role("heading", name="Back door").wait_for()
    page.reload()
    page.get_by_role("heading", name="Back door").wait_for()
    with page.expect_download() as download:
        page.get_by_text("Export movements").click()
        page.locator("a[download]").first.click()
    assert download.value.url.startswith(f"{feed.url}/api/movements/export?")
    page.go_back()
    page.wait_for_url(f"{feed.url}/sessions")
    page.get_by_role("link", name="Main door").wait_for()

    # Filters stay in the address, an alert's toast and an address that leads nowhere lead back.
    database.alert(main_door)
    page.locator('.toast a[href="/people/alerts"]').click()
    page.wait_for_url(f"{feed.url}/alerts")
    page.evaluate("history.pushState(null, '', '/people/nowhere'); dispatchEvent(new PopStateEvent('popstate'))")
    page.locator('.content a[href="/people/"]').click()
    page.wait_for_url(f"{feed.url}/")
    page.get_by_role("link", name="Main door").first.click()
    page.wait_for_url(f"{feed.url}/sessions/{main_door}")

    page.get_by_role("button", name="Stop: Main door").click()
    page.get_by_role("dialog").get_by_role("button", name="Stop", exact=True).click()
    until(lambda: database.run("select status from sessions where id = %s", main_door) != "active", what="it stops")
    assert [url for url in asked if not url.startswith(f"{feed.url}/")] == []


@pytest.mark.parametrize("path", ["", "/", "/live", "/sessions", "/alerts", "/system"])
def test_every_address_can_be_opened(tab, database, path):
    database.session()
    page = tab(path)
    page.locator(".content :is(.panel, .table-scroll, .chart)").first.wait_for()
