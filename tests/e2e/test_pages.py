"""Every page, as an operator meets it: it shows what is in the database, fits, and can be read by everybody."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from app.config import CHECKOUT
from tests.waiting import until

AXE = CHECKOUT / "app" / "dashboard" / "node_modules" / "axe-core" / "axe.min.js"
PATHS = ["/", "/live", "/sessions", "/sessions/{id}", "/alerts", "/system"]


class TestLooking:
    """Who looks changes nothing: all of these look at one feed."""

    @pytest.fixture(scope="class")
    @classmethod
    def feed(cls, shared_gunicorn):
        return shared_gunicorn(HEARTBEAT_SECONDS=1)

    @pytest.fixture(scope="class")
    @classmethod
    def counted(cls, shared_database):
        """A session with a bit of everything; its id."""
        session_id = shared_database.session()
        for person_id in range(1, 8):
            shared_database.movement(session_id, person_id, "out" if person_id % 3 == 0 else "in")
        for count in (1, 2, 3):
            shared_database.metric(session_id, count)
        shared_database.alert(session_id)
        return session_id

    @pytest.mark.parametrize("path", PATHS)
    @pytest.mark.parametrize("colours", ["light", "dark"])
    def test_nothing_on_a_page_keeps_anybody_out(self, context, tab, counted, path, colours):
        if not AXE.exists():
            pytest.skip("axe-core is not installed: run npm ci in app/dashboard")
        page = tab(path.format(id=counted))
        page.emulate_media(color_scheme=colours, reduced_motion="reduce")
        page.locator(".content :is(.panel, .table-scroll, .chart)").first.wait_for()
        page.evaluate(Path(AXE).read_text())
        found = page.evaluate("axe.run().then(({ violations }) => violations)")
        serious = [
            (one["id"], [node["html"][:150] for node in one["nodes"]])
            for one in found
            if one["impact"] in ("serious", "critical")
        ]
        assert serious == []

    @pytest.mark.parametrize("path", PATHS)
    def test_a_phone_shows_a_page_without_scrolling_sideways(self, browser, feed, counted, path):
        phone = browser.new_context(viewport={"width": 390, "height": 844}, is_mobile=True)
        page = phone.new_page()
        page.goto(feed.url + path.format(id=counted))
        page.locator(".content :is(.panel, .table-scroll, .chart)").first.wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        phone.close()

    def test_the_dashboard_counts_what_the_database_holds(self, tab, counted):
        page = tab("/")
        page.locator(".movements li").nth(6).wait_for()
        page.locator(".tile-value :not(.stale)").first.wait_for()
        tiles = page.locator(".tile-value").all_inner_texts()
        del tiles[3]  # the peak is counted by minute, and a new one may have begun meanwhile
        assert tiles == ["3", "5", "2", "1", "1"]

    def test_a_reload_stays_where_one_was(self, tab, counted):
        page = tab(f"/live?sessions={counted}&window=60")
        page.locator(".chart canvas").first.wait_for()
        page.reload()
        page.locator(".chart canvas").first.wait_for()
        assert page.get_by_role("button", name="1 h", exact=True).get_attribute("aria-pressed") == "true"

    def test_an_address_that_leads_nowhere_says_so(self, tab, feed):
        page = tab("/sessions/00000000-0000-4000-8000-000000000000")
        page.get_by_text("Session not found").wait_for()

    def test_vietnamese_is_one_click_away_and_stays(self, tab):
        page = tab("/alerts")
        page.get_by_role("button", name=re.compile("Chuyển sang tiếng Việt")).click()
        page.get_by_role("link", name="Cảnh báo").wait_for()
        page.reload()
        page.get_by_role("link", name="Cảnh báo").wait_for()
        assert page.locator("html").get_attribute("lang") == "vi"

    def test_the_csv_of_a_session_is_the_export_of_its_movements(self, tab, counted):
        page = tab(f"/sessions/{counted}")
        with page.expect_download() as download:
            page.get_by_role("link", name="Download CSV").click()
        lines = download.value.path().read_text().splitlines()
        assert (lines[0].split(",")[1], len(lines)) == ("session_id", 8)


def test_an_empty_dashboard_says_how_to_feed_it(tab):
    page = tab("/")
    page.get_by_role("button", name="Show how to send data").click()
    page.get_by_text("flask simulate").wait_for()


def test_a_session_is_started_renamed_stopped_and_deleted(tab, database):
    page = tab("/sessions")
    page.get_by_role("button", name="New session").click()
    page.get_by_label("Name", exact=True).fill("North gate")
    page.get_by_role("button", name="Start", exact=True).click()
    row = page.get_by_role("row", name=re.compile("North gate"))
    row.get_by_role("button", name=re.compile("Rename")).click()
    page.get_by_label("Name", exact=True).fill("South gate")
    page.get_by_role("button", name="Save").click()
    row = page.get_by_role("row", name=re.compile("South gate"))
    row.get_by_role("button", name=re.compile("Stop")).click()
    page.get_by_role("dialog").get_by_role("button", name="Stop").click()
    row.get_by_text("Completed", exact=True).wait_for()
    assert database.run("select end_time is not null and duration_seconds >= 0 from sessions")
    row.get_by_role("button", name=re.compile("Delete")).click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    page.get_by_text("No sessions match.").wait_for()
    assert database.run("select count(*) from sessions") == 1  # as long as it can be taken back
    until(lambda: database.run("select count(*) from sessions") == 0, what="deleted")


def test_sessions_are_found_by_name(tab, database):
    for name in ("North gate", "South gate", "Loading dock"):
        database.session(name)
    page = tab("/sessions")
    page.get_by_role("searchbox").fill("gate")
    page.get_by_role("row", name=re.compile("Loading dock")).wait_for(state="detached")
    page.locator("tbody tr").nth(1).wait_for()  # the list may be on its way
    assert page.locator("tbody tr").count() == 2
