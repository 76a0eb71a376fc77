"""What the pages show of a range of time: what the server says of it, as the address says it."""

from __future__ import annotations

import re

import psycopg2
import pytest

from tests.waiting import until

PEAK = ".tile.hero .tile-value"


class TestLooking:
    """Who looks changes nothing: all of these look at one feed."""

    @pytest.fixture(scope="class")
    @classmethod
    def feed(cls, shared_feed):
        return shared_feed

    @pytest.fixture(scope="class")
    @classmethod
    def completed(cls, shared_database):
        """A session of two hours, three days ago: 5 inside, but 37 in its middle; ten came in. Its id."""
        session_id = shared_database.run(
            "insert into sessions (session_name, input_source, status, start_time, end_time) values ('Night shift',"
            " 'rtsp://1', 'completed', now() - interval '3 days', now() - interval '70 hours') returning id"
        )
        shared_database.run(
            "insert into realtime_metrics (session_id, timestamp, current_people_count)"
            " select id, start_time + n * interval '1 minute', case n when 60 then 37 else 5 end"
            " from sessions, generate_series(0, 119) as n where id = %s",
            session_id,
        )
        shared_database.run(
            "insert into people_movements (session_id, person_id, movement_direction, movement_time)"
            " select id, n, 'in', start_time + n * interval '1 minute'"
            " from sessions, generate_series(1, 10) as n where id = %s",
            session_id,
        )
        return session_id

    @pytest.fixture(scope="class")
    @classmethod
    def active(cls, shared_database):
        """A session with a reading every ten minutes: 5 inside in these seven days, 9 in those before. Its id."""
        session_id = shared_database.session("Main door")
        shared_database.run(
            "insert into realtime_metrics (session_id, timestamp, current_people_count)"
            " select %s, date_trunc('day', now()) - n * interval '10 minutes', case when n > 1008 then 9 else 5 end"
            " from generate_series(1, 2016) as n",
            session_id,
        )
        return session_id

    def test_a_completed_session_opens_on_its_own_time_and_shows_its_peak(self, tab, completed):
        page = tab(f"/sessions/{completed}")
        page.get_by_role("button", name="The whole session", pressed=True).wait_for()
        page.locator(PEAK, has_text=re.compile("^37$")).wait_for()
        page.locator(".tile.in .tile-value", has_text=re.compile("^10$")).wait_for()
        page.get_by_role("slider", name=re.compile("^People inside: People inside 5")).wait_for()
        assert re.search(r" – .+ UTC · each point .+, of single readings", page.locator(".range-said").inner_text())

    def test_a_shared_address_shows_the_same_range(self, tab, completed, shared_database):
        first, second = (
            shared_database.run(
                "select to_char((start_time + %s * interval '1 minute') at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI')"
                " from sessions where id = %s",
                minutes, completed,
            )
            for minutes in (0, 30)
        )  # fmt: skip
        page = tab(f"/sessions/{completed}")
        page.get_by_role("button", name="From … to …").click()
        page.get_by_label("From", exact=True).fill(first)
        page.get_by_label("To", exact=True).fill(second)
        page.get_by_role("button", name="Show", exact=True).click()
        page.locator(PEAK, has_text=re.compile("^5$")).wait_for()
        said = page.locator(".range-said").inner_text()
        other = tab("/" + page.url.split("/", 3)[3])
        other.locator(".range-said", has_text=said).wait_for()
        other.locator(PEAK, has_text=re.compile("^5$")).wait_for()

    def test_a_preset_changes_the_address_and_the_charts_and_back_takes_it_back(self, tab, completed):
        page = tab(f"/sessions/{completed}")
        page.locator(".range-said", has_text="single readings").wait_for()
        own = page.locator(".range-said").inner_text()
        page.get_by_role("button", name="30 days").click()
        page.wait_for_url(re.compile(r"\?range=30d$"))
        page.locator(".range-said", has_text="of whole hours").wait_for()
        page.get_by_role("button", name="Yesterday").click()
        page.locator(".chart", has_text="no readings").nth(5).wait_for()
        page.locator(".flow-history", has_text="Nobody passed in this time.").wait_for()
        page.go_back()
        page.get_by_role("button", name="30 days", pressed=True).wait_for()
        page.locator(PEAK, has_text=re.compile("^37$")).wait_for()
        page.go_back()
        page.locator(".range-said", has_text=own).wait_for()
        page.go_forward()
        page.get_by_role("button", name="30 days", pressed=True).wait_for()

    def test_comparing_shows_both_weeks(self, tab, active):
        page = tab(f"/sessions/{active}?range=yesterday")
        page.get_by_role("button", name="Compare with the week before").click()
        page.wait_for_url(re.compile(r"compare=week"))
        page.locator(".tile.hero", has_text="a week before: 9").wait_for()
        page.locator(".chart-legend", has_text="People inside, a week before").wait_for()
        chart = page.get_by_role("slider", name=re.compile("^People inside: "))
        chart.focus()
        page.keyboard.press("End")
        page.keyboard.press("ArrowLeft")
        both = re.compile(r"People inside 5, People inside, a week before 9$")
        until(lambda: both.search(chart.get_attribute("aria-valuetext") or ""), what="both said")

    def test_an_active_session_is_live_until_a_range_is_chosen(self, tab, active):
        page = tab(f"/sessions/{active}")
        page.get_by_role("button", name="Live", pressed=True).wait_for()
        page.get_by_role("button", name="5 min", exact=True).wait_for()
        page.get_by_role("button", name="A year").click()
        page.locator(PEAK, has_text=re.compile("^9$")).wait_for()
        page.get_by_role("button", name="Live").click()
        page.get_by_role("button", name="5 min", exact=True).wait_for()

    def test_the_dashboard_has_a_history_with_a_typical_week(self, tab, completed):
        page = tab("/")
        page.get_by_role("link", name="History").click()
        page.wait_for_url(re.compile(r"/\?range=7d$"))
        page.locator(".tile.in .tile-value", has_text=re.compile("^10$")).wait_for()
        page.locator(".flow-history .bar").nth(100).wait_for()
        page.locator(".week tbody tr").nth(6).wait_for()
        assert page.locator(".week tbody tr").first.locator("td").count() == 24
        page.go_back()
        page.get_by_role("region", name="Newest movements").wait_for()


@pytest.mark.own_feed
def test_a_range_that_cannot_be_read_says_so_where_it_would_be(tab, database, feed, errors):
    page = tab(f"/sessions/{database.session()}?range=today")
    page.locator(".chart", has_text="no readings").nth(5).wait_for()
    feed.stop()
    page.get_by_role("button", name="7 days").click()
    page.locator(".failed", has_text="The server cannot be reached.").nth(1).wait_for()
    page.locator(".chart").nth(5).wait_for()
    errors.clear()  # the browser's own word on the refused connections


def test_a_request_whose_range_nobody_wants_any_more_is_aborted(tab, database, feeds_url):
    page = tab(f"/sessions/{database.session()}?range=today")
    page.locator(".chart", has_text="no readings").nth(5).wait_for()
    holder = psycopg2.connect(feeds_url)
    holder.cursor().execute("lock table realtime_metrics in access exclusive mode")
    page.get_by_role("button", name="30 days").click()
    page.locator(".charts.waiting .chart").nth(5).wait_for()  # those of today stay meanwhile
    with page.expect_event("requestfailed", lambda request: "/api/metrics/series" in request.url):
        page.get_by_role("button", name="A year").click()
    holder.close()
    page.locator(".charts:not(.waiting) .chart").nth(5).wait_for()
    page.locator(".range-said", has_text="of whole hours").wait_for()
