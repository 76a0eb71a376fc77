"""The System page: all workers of all hosts, and their last hour."""

from __future__ import annotations

import re

from tests.waiting import until

REPORTS = """
insert into worker_reports
select 'north', 1, 0, now() - n * interval '10 seconds', 4711, '1.0', now() - interval '1 day', 'live',
       40, 60 * (360 - n), 100 * (360 - n), 0, 0, 0, 0, 0, 0, 1.5, 9.5, 360 - n, 5e7, 0.25, 0
from generate_series(0, 360) as n
"""
FIRST = """
insert into worker_reports
values ('south', 1, 0, now(), 4712, '1.0', now(), 'live', 0, 0, 0, 0, 0, 0, 0, 0, 0, null, null, 1, null, 0, 0)
"""


def test_the_page_shows_all_workers_and_the_last_hour(tab, database, feed):
    database.run(REPORTS)
    database.run(FIRST)
    database.session()
    until(lambda: database.run("select count(*) from worker_reports where version <> '1.0'"), what="its own report")
    page = tab("/system")
    row = page.get_by_role("row", name=re.compile("^north 0 "))
    assert row.inner_text().split("\t")[2:8] == ["Live", "40", "6", "10", "10 %", "50 MB"]
    row = page.get_by_role("row", name=re.compile("^south 0 "))
    assert row.inner_text().split("\t")[2:8] == ["Live", "0", "–", "–", "–", "–"]
    assert page.locator(".workers tbody tr").count() == 3
    chart = page.get_by_role("slider", name=re.compile("^Deliveries per second"))
    chart.focus()
    page.keyboard.press("Home")
    assert re.fullmatch(r".+: Deliveries per second 10", chart.get_attribute("aria-valuetext"))
    page.keyboard.press("Escape")
    for width in (390, 820, 1440, 2560, 3840):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.get_by_role("button", name=re.compile("Chuyển sang tiếng Việt")).click()
    page.get_by_role("columnheader", name="Máy chủ").wait_for()
