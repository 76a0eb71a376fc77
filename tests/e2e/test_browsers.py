"""What browsers refuse, lack, or do behind a page's back: figures go on, and nothing is missed."""

from __future__ import annotations

import re

import pytest

from tests.waiting import until

SHOWN = ".movements li .who"
# Android: only a service worker may notify.
NO_NOTIFICATION = (
    "const Real = Notification; window.Notification = function () { throw new TypeError('Illegal constructor'); };"
    " window.Notification.permission = 'granted'; window.Notification.requestPermission = async () => 'granted';"
)
BLOCKED = """
const refuse = () => { throw new DOMException('Access is denied for this document.', 'SecurityError'); };
Object.defineProperty(window, 'localStorage', { get: refuse });
LockManager.prototype.request = REQUEST;
"""
NO_CHANNEL = "window.BroadcastChannel = class { constructor() { throw new DOMException('', 'SecurityError'); } };"
# What the oldest browsers of docs/reference/dashboard.md lack.
OLD = """
for (const name of ['toReversed', 'toSorted', 'toSpliced', 'with', 'findLast', 'findLastIndex', 'group', 'groupToMap'])
    delete Array.prototype[name];
for (const name of ['union', 'intersection', 'difference', 'symmetricDifference', 'isSubsetOf', 'isSupersetOf',
    'isDisjointFrom']) delete Set.prototype[name];
for (const name of ['isWellFormed', 'toWellFormed']) delete String.prototype[name];
for (const [holder, names] of [[Array, ['fromAsync']], [Promise, ['withResolvers', 'try']],
    [Object, ['groupBy', 'hasOwn']], [Map, ['groupBy']], [AbortSignal, ['any', 'timeout']],
    [URL, ['canParse', 'parse']], [window, ['structuredClone', 'Iterator', 'scheduler', 'reportError']],
    [RegExp, ['escape']], [Math, ['sumPrecise']],
    [Error, ['isError']], [Uint8Array, ['fromBase64']], [crypto.constructor.prototype, ['randomUUID']]])
    for (const name of names) delete holder[name];
"""


def _streams(page):
    return page.evaluate("fetch('/api/system').then((answer) => answer.json()).then(({ streams }) => streams)")


def _tile(page, name):
    return page.locator(".tile", has_text=re.compile(f"^{name}")).locator(".tile-value")


def _people(count):
    return [f"Person {person_id}" for person_id in range(count, 0, -1)]


def test_a_notification_that_throws_costs_no_reader_a_row(context, tab, database, errors):
    context.add_init_script(NO_NOTIFICATION)
    session_id = database.session()
    page = tab("/")
    page.locator(".nav a[href='/alerts']").click()  # readers of this page are called after the one that notifies
    page.get_by_role("switch", name="Notify me").click()
    for message in ("First", "Second"):
        database.alert(session_id, message)
        page.locator(".toast", has_text=message).wait_for()
        page.locator(".alert-list", has_text=message).wait_for()
    until(lambda: len(errors) == 2, what="each exception is reported")
    assert all("Illegal constructor" in error for error in errors)
    errors.clear()


@pytest.mark.parametrize(
    "script",
    [
        BLOCKED.replace("REQUEST", "() => Promise.reject(new DOMException('denied', 'SecurityError'))"),
        BLOCKED.replace("REQUEST", "refuse"),
        NO_CHANNEL,
        "delete window.BroadcastChannel;",
        "delete Navigator.prototype.locks;",
    ],
    ids=["rejecting", "throwing", "refused channel", "no channel", "no locks"],
)
def test_a_page_whose_site_data_is_blocked_streams_for_itself(context, tab, database, script):
    context.add_init_script(script)
    session_id = database.session()
    tabs = [tab(f"/sessions/{session_id}") for _ in range(2)]
    until(lambda: _streams(tabs[0]) == 2, what="a stream for each tab")
    database.movement(session_id, 1)
    for page in tabs:
        page.locator(SHOWN, has_text="Person 1").wait_for()
    tabs[0].get_by_role("button", name=re.compile("Chuyển sang tiếng Việt")).click()
    tabs[0].get_by_role("link", name="Cảnh báo").click()
    tabs[0].get_by_role("button", name=re.compile("Màu")).click()
    assert tabs[0].locator("html").get_attribute("data-theme") == "light"


def test_a_kept_page_lets_the_others_go_on_and_misses_nothing(tab, database):
    session_id = database.session()
    kept = tab(f"/sessions/{session_id}")  # the first tab leads
    other = tab(f"/sessions/{session_id}")
    kept.get_by_text("Nobody has passed yet.").first.wait_for()
    database.movement(session_id, 1)
    kept.locator(SHOWN, has_text="Person 1").wait_for()
    kept.evaluate("dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true }))")
    for person_id in range(2, 12):
        database.movement(session_id, person_id)
    other.locator(SHOWN, has_text="Person 11").wait_for(timeout=5000)
    assert other.locator(SHOWN).all_inner_texts() == _people(11)
    assert kept.locator(SHOWN).all_inner_texts() == _people(1)
    kept.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))")
    database.movement(session_id, 12)
    for page in (kept, other):
        page.locator(SHOWN, has_text="Person 12").wait_for()
        assert page.locator(SHOWN).all_inner_texts() == _people(12)
        page.locator(".connection.good").wait_for()
    until(lambda: _streams(kept) == 1, what="one stream")


def test_a_page_that_one_returns_to_shows_what_came_meanwhile(tab, database):
    session_id = database.session()
    page = tab(f"/sessions/{session_id}")
    page.goto(page.url.partition("/sessions")[0] + "/api/system")
    database.movement(session_id, 1)
    page.go_back()
    page.locator(SHOWN, has_text="Person 1").wait_for()
    database.movement(session_id, 2)
    page.locator(SHOWN, has_text="Person 2").wait_for()
    assert page.locator(SHOWN).all_inner_texts() == _people(2)


def test_the_oldest_browsers_show_figures(context, tab, database):
    context.add_init_script(OLD)
    session_id = database.session()
    for person_id in range(1, 4):
        database.movement(session_id, person_id)
    database.metric(session_id, 3)
    page = tab("/")
    _tile(page, "Inside now").get_by_text("3", exact=True).wait_for()
    page.locator(".card-count", has_text="3").wait_for()
    for path in ("/live", f"/sessions/{session_id}"):
        page = tab(path)
        page.locator(".chart canvas").first.wait_for()
        page.locator(".chart-body[aria-label='People inside: People inside 3']").wait_for()


def test_a_door_that_sends_only_movements_shows_what_the_server_counts(tab, database):
    session_id = database.session("Side door")
    for person_id, direction in enumerate(("in", "in", "in", "out"), 1):
        database.movement(session_id, person_id, direction)
    dashboard, detail, sessions = tab("/"), tab(f"/sessions/{session_id}"), tab("/sessions")
    dashboard.locator(".card-count:not(.stale)", has_text=re.compile("^2$")).wait_for()
    sessions.locator("td.figure span:not(.stale)", has_text=re.compile("^2$")).wait_for()
    for name, value in (("Inside now", "2"), ("Entered", "3"), ("Exited", "1"), ("Peak", "2"), ("CPU", "–")):
        _tile(detail, name).get_by_text(value, exact=True).wait_for()
    database.movement(session_id, 5)
    dashboard.locator(".card-count", has_text=re.compile("^3$")).wait_for()
    sessions.locator("td.figure span", has_text=re.compile("^3$")).wait_for()
    for name, value in (("Inside now", "3"), ("Entered", "4")):
        _tile(detail, name).get_by_text(value, exact=True).wait_for()


@pytest.mark.own_feed
def test_cards_and_tiles_say_as_of_when_once_the_stream_is_away(tab, database, feed, errors):
    session_id = database.session()
    database.movement(session_id, 1)
    database.metric(session_id, 7)
    dashboard, detail = tab("/"), tab(f"/sessions/{session_id}")
    dashboard.locator(".card-count:not(.stale)", has_text="7").wait_for()
    detail.locator(".hero .tile-value span:not(.stale)", has_text="7").wait_for()
    _tile(detail, "Entered").locator("span:not(.stale)", has_text="1").wait_for()
    feed.stop()
    dashboard.locator(".card-count.stale", has_text="7").wait_for()
    dashboard.locator(".card-foot", has_text=re.compile(r"as of \d\d:\d\d")).wait_for()
    for name in ("Inside now", "Entered", "Exited", "Peak"):
        tile = detail.locator(".tile", has_text=re.compile(f"^{name}"))
        tile.locator(".tile-value .stale").wait_for()
        tile.locator(".tile-detail", has_text=re.compile(r"as of \d\d:\d\d")).wait_for()
    errors.clear()  # the browser's own word on the refused connections
