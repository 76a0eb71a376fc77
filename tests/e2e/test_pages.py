"""Every page, as an operator meets it: it shows what is in the database, fits, and can be read by everybody."""

from __future__ import annotations

import io
import re
from itertools import pairwise
from pathlib import Path

import openpyxl
import pytest

from app.config import CHECKOUT
from tests.waiting import until

AXE = CHECKOUT / "app" / "dashboard" / "node_modules" / "axe-core" / "axe.min.js"
PATHS = ["/", "/?range=7d", "/live", "/sessions", "/sessions/{id}", "/sessions/{id}?range=today", "/alerts", "/system"]


class TestLooking:
    """Who looks changes nothing: all of these look at one feed."""

    @pytest.fixture(scope="class")
    @classmethod
    def feed(cls, shared_feed):
        return shared_feed

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
        shared_database.run(
            "insert into alert_logs (session_id, alert_type, acknowledged_at, acknowledged_by, note, muted_until)"
            " values (%s, 'fps', now(), 'ada', 'The service comes.', null),"
            " (%s, 'cpu', null, null, null, now() + interval '1 h')",
            session_id, session_id,
        )  # fmt: skip
        return session_id

    @pytest.mark.parametrize("path", PATHS)
    @pytest.mark.parametrize("colours", ["light", "dark"])
    def test_nothing_on_a_page_keeps_anybody_out(self, context, tab, counted, path, colours):
        if not AXE.exists():
            pytest.skip("axe-core is not installed: run npm ci in app/dashboard")
        page = tab(path.format(id=counted))
        page.emulate_media(color_scheme=colours, reduced_motion="reduce")
        page.locator(".content :is(.panel, .table-scroll, .chart)").first.wait_for()
        # Charts are faded while other ones are on their way.
        until(lambda: page.locator(":is(.charts, .flow-history, .week).waiting").count() == 0, what="all charts")
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

    def test_an_address_that_no_page_has_is_a_page_and_404(self, tab, feed, errors):
        page = tab("/nosuch")
        page.get_by_role("heading", name="Page not found", level=1).wait_for()
        assert all("404" in error for error in errors)
        errors.clear()
        asked = page.request.get(f"{feed.url}/nosuch", headers={"Accept": "*/*"})
        assert (asked.status, asked.json()["status"]) == (404, 404)
        assert page.request.get(f"{feed.url}/api/nosuch", headers={"Accept": "text/html"}).json()["status"] == 404

    @pytest.mark.parametrize("path", [*PATHS, "/login", "/account", "/admin"])
    def test_a_page_has_one_title_and_no_level_is_skipped(self, tab, counted, errors, path):
        page = tab(path.format(id=counted))
        page.locator("h1").wait_for(state="attached")
        levels = page.eval_on_selector_all("h1, h2, h3, h4", "all => all.map((one) => Number(one.tagName[1]))")
        assert levels.count(1) == 1
        assert all(after - before <= 1 for before, after in pairwise(levels))
        errors.clear()  # without users, some pages are refused

    def test_vietnamese_is_one_click_away_and_stays(self, tab):
        page = tab("/alerts")
        page.get_by_role("button", name=re.compile("Chuyển sang tiếng Việt")).click()
        page.get_by_role("link", name="Cảnh báo").wait_for()
        page.reload()
        page.get_by_role("link", name="Cảnh báo").wait_for()
        assert page.locator("html").get_attribute("lang") == "vi"

    @pytest.mark.parametrize("path", PATHS)
    def test_a_page_has_one_heading_and_buttons_that_differ(self, tab, counted, path):
        page = tab(path.format(id=counted))
        page.locator(".content :is(.panel, .table-scroll, .chart)").first.wait_for()
        assert page.locator("h1").count() == 1
        names = page.locator(".content button").evaluate_all("all => all.map((one) => one.ariaLabel ?? one.innerText)")
        assert len(names) == len(set(names))

    def test_looking_at_a_chart_moves_nothing_and_says_the_time_and_the_values(self, tab, counted):
        page = tab(f"/live?sessions={counted}")
        page.locator(".chart canvas").nth(5).wait_for()
        boxes = "[...document.querySelectorAll('.chart, .chart *:not(.readout, .readout *, [class^=u-])')]"
        where = f"JSON.stringify({boxes}.map((one) => one.getBoundingClientRect()))"
        before = page.evaluate(where)
        page.locator(".chart-body").first.hover()
        readout = page.locator(".readout").first
        readout.wait_for()
        assert re.fullmatch(r"\d\d:\d\d:\d\d", readout.locator("caption").inner_text())
        assert readout.locator("tr").count() == 1
        assert page.evaluate(where) == before

    def test_a_chart_is_read_with_the_keyboard(self, tab, counted):
        page = tab(f"/live?sessions={counted}")
        chart = page.get_by_role("slider", name=re.compile("^In and out"))
        chart.focus()
        page.keyboard.press("End")
        until(
            lambda: re.match(r"\d\d:\d\d:\d\d: In .+, Out .+", chart.get_attribute("aria-valuetext") or ""), what="said"
        )
        newest = chart.get_attribute("aria-valuenow")
        page.keyboard.press("ArrowLeft")
        assert int(chart.get_attribute("aria-valuenow")) == int(newest) - 1

    def test_a_session_exports_the_movements_of_the_range_that_is_shown(self, tab, counted):
        page = tab(f"/sessions/{counted}")
        menu = page.get_by_text("Export movements")

        def download(name):
            menu.click()
            with page.expect_download() as found:
                page.get_by_role("link", name=name, exact=True).click()
            return found.value

        lines = download("CSV").path().read_text().splitlines()
        assert (lines[0].split(",")[1], len(lines)) == ("session_id", 8)
        workbook = download("Excel workbook (XLSX)")
        assert workbook.suggested_filename == "movements.xlsx"
        assert openpyxl.load_workbook(io.BytesIO(workbook.path().read_bytes())).worksheets[0].max_row == 8
        page.goto(page.url + "?from=2001-01-01T00:00:00Z&to=2001-01-02T00:00:00Z")
        assert len(download("CSV for Excel").path().read_text("utf-8-sig").splitlines()) == 1


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
    page.get_by_text("No camera is counting yet").wait_for()
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


def test_pages_without_data_say_so(tab):
    tab("/live").get_by_text("No session has sent readings yet.").wait_for()
    tab("/sessions").get_by_text("No camera is counting yet").wait_for()


def test_charts_without_readings_say_so(tab, database):
    page = tab(f"/sessions/{database.session()}")
    page.locator(".chart", has_text="no readings").nth(5).wait_for()


def test_one_of_hundreds_of_cameras_is_found_and_groups_are_picked(tab, database):
    database.run(
        "insert into sessions (session_name, input_source)"
        " select (array['North gate ', 'Level '])[1 + mod(n, 2)] || n, 'rtsp://1' from generate_series(1, 190) as n"
    )
    database.session("Loading dock")
    page = tab("/live")
    page.get_by_role("button", name="Choose sessions: 1 of 191").click()
    page.get_by_role("button", name="Choose none").click()
    page.get_by_role("searchbox", name="Search by name").fill("loading")
    page.get_by_role("checkbox").nth(1).wait_for(state="detached")
    page.get_by_role("checkbox", name="Loading dock").check()
    page.get_by_role("searchbox", name="Search by name").fill("level 1")
    page.get_by_role("button", name="Choose all: Level").click()
    page.get_by_text("At most 24 at a time.").wait_for()
    page.reload()
    page.get_by_role("button", name="Choose sessions: 24 of 191").wait_for()
    page.get_by_role("button", name="Loading dock", pressed=True).wait_for()


@pytest.mark.parametrize("path", PATHS)
def test_a_very_long_name_makes_no_page_wider(tab, database, path):
    session_id = database.session("Camera-at-the-" + "very-" * 36 + "end")
    database.metric(session_id, 3)
    database.alert(session_id)
    page = tab(path.format(id=session_id))
    for width in (390, 820, 1440):
        page.set_viewport_size({"width": width, "height": 844})
        page.locator(".content :is(.panel, .table-scroll, .chart)").first.wait_for()
        until(lambda width=width: page.evaluate("innerWidth") == width, what="the new width")
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_phone_shows_who_is_inside_and_what_can_be_done(tab, database):
    database.session("Main door")
    page = tab("/sessions")
    page.set_viewport_size({"width": 390, "height": 844})
    for part in ("td.figure:not(.when)", ".row-actions button:last-child"):
        box = page.locator(part).first.bounding_box()
        assert box["x"] + box["width"] <= 390


def test_a_page_is_found_as_it_was_left(tab, database):
    database.run("insert into sessions (session_name) select 'Door ' || n from generate_series(1, 60) as n")
    page = tab("/sessions?order=session_name")
    for number in (2, 3):
        page.get_by_role("button", name="Next page").click()
        page.get_by_text(f"Page {number}", exact=True).wait_for()
    page.get_by_role("link", name="Live").click()
    page.get_by_role("button", name="15 min").click()
    page.get_by_role("link", name="Sessions").click()
    page.get_by_text("Page 3", exact=True).wait_for()
    page.get_by_role("link", name="Live").click()
    page.get_by_role("button", name="15 min", pressed=True).wait_for()
    page.go_back()
    page.get_by_text("Page 3", exact=True).wait_for()
    page.reload()
    page.get_by_text("Page 3", exact=True).wait_for()
    page.get_by_role("button", name="Previous page").click()
    page.get_by_text("Page 2", exact=True).wait_for()


@pytest.mark.own_feed
def test_the_tab_tells_of_open_alerts_and_of_a_lost_connection(tab, database, feed, errors):
    session_id = database.session("North gate")
    page = tab(f"/sessions/{session_id}")
    until(lambda: page.title() == "North gate · People counting", what="the name")
    database.alert(session_id)
    until(lambda: page.title() == "(1) North gate · People counting", what="an open alert")
    icon = page.locator("link[rel=icon]")
    assert "alert" in icon.get_attribute("href")
    feed.stop()
    until(lambda: page.title().startswith("Connection lost · North gate"), what="lost")
    assert "lost" in icon.get_attribute("href")
    errors.clear()  # the browser's own word on the refused connections
