"""What is written is seen: at once, through a restart of the server, and by six tabs over one stream."""

from __future__ import annotations

import json
import re
import statistics
import time
import urllib.request

import pytest

from tests.waiting import until

SHOWN = ".movements li .who"
# Notes the moment at which each new movement stands in the document.
WATCH = """() => {
    window.seen = {};
    new MutationObserver(() => {
        const who = document.querySelector('.movements li .who')?.textContent;
        if (who && !(who in window.seen)) window.seen[who] = Date.now();
    }).observe(document.body, { childList: true, subtree: true, characterData: true });
}"""


def _until(page, expression):
    """Wait for a state of the page. (Its policy forbids the eval that Playwright's own waiting uses.)"""
    return until(lambda: page.evaluate(expression), what=expression)


def _rows(page, count):
    _until(page, f"document.querySelectorAll('.movements li').length === {count}")


def _streams(url):
    with urllib.request.urlopen(f"{url}/api/system", timeout=10) as response:
        return json.load(response)["streams"]


def _tile(page, name):
    return page.locator(".tile", has_text=re.compile(f"^{name}")).locator(".tile-value")


def test_a_row_that_sql_inserts_appears_on_the_page(tab, database):
    session_id = database.session()
    page = tab(f"/sessions/{session_id}")
    page.get_by_text("Nobody has passed yet.").first.wait_for()
    page.evaluate(WATCH)
    written = {}
    for person_id in range(1, 31):
        database.movement(session_id, person_id)
        written[f"Person {person_id}"] = time.time() * 1000
        _until(page, f"'Person {person_id}' in window.seen")
    seen = page.evaluate("window.seen")
    print(f"from commit to page: {statistics.median(seen[who] - at for who, at in written.items()):.0f} ms (median)")
    assert page.locator(SHOWN).all_inner_texts() == [f"Person {person_id}" for person_id in range(30, 0, -1)]


@pytest.mark.own_feed
def test_nothing_is_missed_while_the_server_restarts(tab, database, feed, gunicorn, errors):
    session_id = database.session()
    page = tab("/")
    detail = tab(f"/sessions/{session_id}")
    for person_id in range(1, 11):
        database.movement(session_id, person_id)
    page.locator(".movements li").nth(9).wait_for()
    port = feed.url.rpartition(":")[2]
    feed.stop()
    page.locator(".connection.bad").wait_for()
    for person_id in range(11, 31):
        database.movement(session_id, person_id, "out" if person_id % 2 else "in")
    gunicorn(PORT=port, HEARTBEAT_SECONDS=1)
    page.locator(".connection.good").wait_for(timeout=30_000)
    _rows(page, 30)
    expected = [f"Person {person_id}" for person_id in range(30, 0, -1)]
    _rows(detail, 30)
    assert detail.locator(SHOWN).all_inner_texts() == expected
    for name, count in (("Entered today", "20"), ("Exited today", "10")):
        _tile(page, name).get_by_text(count, exact=True).wait_for()
    errors.clear()  # the browser's own word on the refused connections


def test_six_tabs_share_one_stream_and_another_takes_over(tab, database, feed):
    session_id = database.session()
    tabs = [tab(f"/sessions/{session_id}") for _ in range(6)]
    until(lambda: _streams(feed.url) == 1, what="one stream")
    database.movement(session_id, 1)
    for page in tabs:
        page.locator(SHOWN, has_text="Person 1").wait_for()
    tabs.pop(0).close()  # the first tab leads
    for person_id in range(2, 12):
        database.movement(session_id, person_id)
    expected = [f"Person {person_id}" for person_id in range(11, 0, -1)]
    for page in tabs:
        _rows(page, 11)
        assert page.locator(SHOWN).all_inner_texts() == expected
    until(lambda: _streams(feed.url) == 1, what="one stream again")


def test_an_alert_is_raised_notified_and_resolved(context, tab, database):
    context.grant_permissions(["notifications"])
    context.add_init_script(
        "window.notified = []; const Real = Notification;"
        "window.Notification = class extends Real { constructor(title, options) {"
        " super(title, options); window.notified.push(options.body); } };"
    )
    session_id = database.session()
    page = tab("/alerts")
    page.get_by_role("switch", name="Notify me").click()
    alert_id = database.alert(session_id, "Too crowded at the main door")
    page.locator(".toast", has_text="Too crowded at the main door").wait_for()
    _until(page, "window.notified.includes('Too crowded at the main door')")
    page.locator(".alert", has_text="Main door").get_by_role("button", name="Resolve").click()
    page.get_by_text("No open alerts. All clear.").wait_for()
    assert database.run("select is_resolved and resolved_at is not null from alert_logs where id = %s", alert_id)
    page.get_by_role("button", name="Resolved", exact=True).click()
    page.locator(".alert.resolved", has_text="Too crowded").wait_for()


def test_a_deleted_session_leaves_every_page(tab, database, errors):
    session_id = database.session("Short visit")
    dashboard, detail = tab("/"), tab(f"/sessions/{session_id}")
    dashboard.locator(".card", has_text="Short visit").wait_for()
    database.run("delete from sessions where id = %s", session_id)
    dashboard.locator(".card", has_text="Short visit").wait_for(state="detached")
    detail.get_by_text("Session not found").wait_for()
    # A request for its statistics that was under way may have come too late, and browsers report each 404.
    errors[:] = [error for error in errors if "404 (NOT FOUND)" not in error]


def test_truncated_tables_are_read_again(tab, database):
    session_id = database.session()
    database.alert(session_id)
    page = tab("/alerts")
    page.locator(".alert").wait_for()
    database.run("truncate alert_logs")
    page.get_by_text("No open alerts. All clear.").wait_for()
