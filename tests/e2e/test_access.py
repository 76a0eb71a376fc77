"""Who is let in, as people meet it in a browser: set-up, logins and their ends, roles, keys, screens, other sites."""

from __future__ import annotations

import contextlib
import json
import random
import re
import socket
import subprocess
import sys
import threading
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from app.access.passwords import hashed
from app.config import CHECKOUT
from tests.reverse_proxy import ReverseProxy
from tests.serving import environment
from tests.waiting import until

pytestmark = pytest.mark.own_feed
AXE = CHECKOUT / "app" / "dashboard" / "node_modules" / "axe-core" / "axe.min.js"
PASSWORD = "violet tractor under seven lamps"
OTHER_PASSWORD = "nine copper kettles whisper north"
PEOPLE = {"ada": "admin", "olga": "operator", "vic": "viewer"}
SHOWN = ".movements li .who"
# What browsers say of each refusal; these tests are full of them.
REFUSED = re.compile(r"the server responded with a status of (401|403|409|422|429) ")
FETCH = """async ([method, path, body]) => {
    const headers = body === null ? {} : { 'Content-Type': 'application/json' };
    const answer = await fetch(path, { method, headers, body: body === null ? undefined : JSON.stringify(body) });
    return answer.status;
}"""


@pytest.fixture(scope="module")
def password_hash():
    return hashed(PASSWORD)


@pytest.fixture
def people(database, password_hash):
    """A user of each role."""
    for name, role in PEOPLE.items():
        database.run(
            "insert into access_users (username, role, password_hash) values (%s, %s, %s)", name, role, password_hash
        )


@pytest.fixture
def enter(browser, feed):
    """A browser of its own, in which somebody has signed in if named."""
    made = []

    def new_context(name=None, **options):
        context = browser.new_context(locale="en-GB", viewport={"width": 1440, "height": 900}, **options)
        made.append(context)
        if name is not None:
            sign_in(context, feed.url, name)
        return context

    yield new_context
    for context in made:
        context.close()


@pytest.fixture
def show(errors):
    """Open an address in a new tab."""

    def open_tab(context, address):
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text) if is_complaint(message) else None)
        page.goto(address)
        return page

    return open_tab


def is_complaint(message):
    return message.type == "error" and not REFUSED.search(message.text)


def sign_in(context, url, name, password=PASSWORD):
    """Sign in without a page: the browser has the cookie."""
    answer = context.request.post(f"{url}/api/login", data={"username": name, "password": password})
    assert answer.status == 200, answer.text()


def fill_in(page, name, password=PASSWORD):
    """Sign in by the form."""
    page.get_by_role("button", name="Sign in").wait_for()  # another form may have been there just before
    if name is not None:
        page.get_by_label("User name").fill(name)
    page.get_by_label("Password", exact=True).fill(password)
    page.get_by_role("button", name="Sign in").click()


def live(page):
    page.locator(".connection.good").wait_for()


def flask(database_url, *words, said=""):
    command = [sys.executable, "-m", "flask", "--app", "app.cli:create_app", *words]
    settings = environment(DATABASE_URL=database_url)
    subprocess.run(
        command, input=said, env=settings, cwd=CHECKOUT, check=True, capture_output=True, text=True, timeout=60
    )


def ended(page):
    """The dialog over a page whose access has ended."""
    dialog = page.get_by_role("dialog", name=re.compile("Your access has ended|You are signed out"))
    dialog.wait_for()
    return dialog


def _free_port():
    """A port that nobody listens on, out of the range that the system gives to others meanwhile."""
    for port in random.sample(range(20_000, 32_000), 50):
        with closing(socket.socket()) as probe, contextlib.suppress(OSError):
            probe.bind(("0.0.0.0", port))
            return port
    raise AssertionError("no port is free")


class TestSetUp:
    @pytest.fixture
    def feed(self, gunicorn):
        return gunicorn(HOST="0.0.0.0", PORT=_free_port(), HEARTBEAT_SECONDS=1)

    def test_the_address_that_the_start_prints_makes_the_first_administrator(self, feed, enter, show, database):
        database.session("Main door")
        address = re.search(r"^Access: .* (http://\S+/setup#\S+)$", feed.log, re.MULTILINE)[1]
        base, token = address.rpartition("/setup#")[::2]
        context = enter()
        sent = []
        context.on("request", lambda request: sent.append((request.url, request.headers.get("referer", ""))))

        page = show(context, f"{base}/sessions")
        page.get_by_text("Nobody can sign in yet.").wait_for()
        assert page.get_by_label("Password", exact=True).count() == 0
        page.goto(address)
        page.get_by_role("heading", name="Set up the first admin").wait_for()
        assert page.url == f"{base}/setup"

        page.get_by_label("User name").fill("ada")
        page.get_by_label("Password", exact=True).fill("password1234")
        page.get_by_role("button", name="Make the admin").click()
        page.get_by_role("alert").get_by_text("one of the commonest").wait_for()
        assert database.run("select count(*) from access_users") == 0
        page.get_by_label("Password", exact=True).fill(PASSWORD)
        page.get_by_role("button", name="Make the admin").click()
        page.wait_for_url(f"{base}/")
        page.get_by_role("link", name="Main door").wait_for()
        live(page)
        page.get_by_role("group", name="Account").get_by_text("ada").wait_for()
        assert database.run("select role from access_users where username = 'ada'") == "admin"
        assert not [words for words in sent if token in "".join(words)]
        page.go_back()
        assert token not in page.url
        assert token not in page.evaluate("JSON.stringify([localStorage, sessionStorage, history.state])")

        # It has worked once.
        late = show(enter(), address)
        late.get_by_label("User name").fill("mallory")
        late.get_by_label("Password", exact=True).fill(OTHER_PASSWORD)
        late.get_by_role("button", name="Make the admin").click()
        late.get_by_role("alert").get_by_text("Somebody has set this up already.").wait_for()
        assert database.run("select array_agg(username) from access_users") == ["ada"]
        late.get_by_role("link", name="Sign in").click()
        fill_in(late, "ada")
        late.wait_for_url(f"{base}/")


def test_a_login_leads_back_and_a_logout_leaves_nothing(people, feed, enter, show, database):
    database.session("North gate")
    database.session("Loading dock")
    context = enter()
    page = show(context, f"{feed.url}/sessions?search=gate&status=active#content")
    page.wait_for_url(f"{feed.url}/login?next=*")
    fill_in(page, "ada")
    page.wait_for_url(f"{feed.url}/sessions?search=gate&status=active#content")
    page.get_by_role("link", name="North gate").wait_for()
    assert page.get_by_role("searchbox").input_value() == "gate"
    page.get_by_role("link", name="Loading dock").wait_for(state="detached")
    cookie = context.cookies()[0]
    assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (True, "Lax", "/")

    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url(f"{feed.url}/login")
    page.get_by_label("User name").wait_for()
    assert context.cookies() == []
    context.add_cookies([cookie])
    assert context.request.get(f"{feed.url}/api/sessions").status == 401
    context.clear_cookies()
    page.go_back()
    page.get_by_label("User name").wait_for()
    assert "North gate" not in page.content()


def test_a_link_to_the_login_leads_nowhere_else(people, feed, enter, show, database):
    database.session()
    context = enter("vic")
    for next_page in ("//evil.test/", "/\\evil.test/", "https://evil.test/", "/login?next=/login"):
        page = show(context, f"{feed.url}/login?next={next_page}")
        page.get_by_role("link", name="Main door").wait_for()
        assert page.url == f"{feed.url}/"


def test_wrong_passwords_are_refused_and_soon_have_to_wait(people, feed, enter, show, database):
    database.session("Main door")
    page = show(enter(), f"{feed.url}/")
    button = page.get_by_role("button", name=re.compile("^Sign in"))
    fill_in(page, "vic", "wrong")
    alert = page.get_by_role("alert")
    alert.get_by_text("The user name or the password is wrong.").wait_for()

    def has_to_wait():
        if button.is_enabled():
            button.click()
        return "Too many attempts" in alert.inner_text() if alert.count() else False

    until(has_to_wait, what="the wait")
    database.run("update access_failures set next_at = now() + interval '6 seconds'")
    page.reload()
    fill_in(page, "vic")
    alert.get_by_text("Too many attempts. Try again in").wait_for()
    shown = []

    def counts_down():
        # Text and state of one moment: the count ends while a test looks twice.
        text, is_disabled = button.evaluate("(button) => [button.textContent, button.disabled]")
        if found := re.search(r"\((\d+) s\)", text):
            assert is_disabled
            if found[1] not in shown:
                shown.append(found[1])
        return not is_disabled

    until(counts_down, what="the end of the wait")
    assert len(shown) >= 2
    assert shown == sorted(shown, reverse=True)
    assert alert.count() == 0
    button.click()
    page.wait_for_url(f"{feed.url}/")
    page.get_by_role("link", name="Main door").wait_for()


def _end_login(name, database, **_):
    database.run(
        "update access_logins set ended_at = now() where user_id = (select id from access_users where username = %s)",
        name,
    )
    return PASSWORD


def _expire_login(name, database, **_):
    database.run(
        # After 30 days no use of it helps any more, and the page does use it.
        "update access_logins set created_at = now() - interval '30 days' + interval '1 second',"
        " expires_at = now() + interval '1 second'"
        " where user_id = (select id from access_users where username = %s)",
        name,
    )
    return PASSWORD


def _change_by_command(name, database_url, **_):
    flask(database_url, "user", "password", name, "--password-stdin", said=f"{OTHER_PASSWORD}\n")
    return OTHER_PASSWORD


def _change_elsewhere(name, enter, show, feed, **_):
    page = show(enter(name), f"{feed.url}/account")
    page.get_by_label("Old password").fill(PASSWORD)
    page.get_by_label("New password").fill(OTHER_PASSWORD)
    page.get_by_role("button", name="Change password").click()
    page.get_by_text("Password changed. All your other logins have ended.").wait_for()
    return OTHER_PASSWORD


def _persons(context, url, session_id):
    items = context.request.get(f"{url}/api/movements?session_id={session_id}&limit=200").json()["items"]
    return [f"Person {row['person_id']}" for row in items]


def _holds(page, context, url, session_id, count):
    """The page shows the rows of the API, each once, and counts them so."""
    page.locator(SHOWN).nth(count - 1).wait_for()
    expected = _persons(context, url, session_id)
    assert len(expected) == count
    assert page.locator(SHOWN).all_inner_texts() == expected
    entered = page.locator(".tile", has_text=re.compile("^Entered")).locator(".tile-value")
    entered.get_by_text(str(count), exact=True).wait_for()


@pytest.mark.parametrize("end", [_expire_login, _change_by_command, _change_elsewhere])
def test_a_page_whose_login_ends_goes_on_after_the_next(people, feed, enter, show, database, database_url, end):
    session_id = database.session()
    for person_id in range(1, 11):
        database.movement(session_id, person_id)
    context = enter("olga")
    page = show(context, f"{feed.url}/sessions/{session_id}")
    page.locator(SHOWN).nth(9).wait_for()
    page.get_by_role("button", name="1 h", exact=True).click()
    page.evaluate("window.mark = 'here'")

    password = end("olga", database=database, database_url=database_url, enter=enter, show=show, feed=feed)
    dialog = ended(page)
    for person_id in range(11, 26):
        database.movement(session_id, person_id)
    for _ in range(3):
        page.keyboard.press("Escape")
    dialog.wait_for()
    assert dialog.get_by_label("User name").input_value() == "olga"
    assert page.locator(SHOWN).count() == 10
    fill_in(dialog, None, "wrong")
    dialog.get_by_text("The user name or the password is wrong.").wait_for()
    fill_in(dialog, None, password)
    dialog.wait_for(state="detached")
    for person_id in range(26, 31):
        database.movement(session_id, person_id)
    _holds(page, context, feed.url, session_id, 30)
    live(page)
    assert page.evaluate("window.mark") == "here"
    assert page.get_by_role("button", name="1 h", exact=True).get_attribute("aria-pressed") == "true"


def test_somebody_else_who_signs_in_sees_a_page_of_their_own(people, feed, enter, show, database):
    session_id = database.session()
    context = enter("ada")
    page = show(context, f"{feed.url}/sessions/{session_id}")
    page.get_by_role("button", name="Delete: Main door").wait_for()
    page.evaluate("window.mark = 'here'")
    _end_login("ada", database)
    fill_in(ended(page), "vic")
    page.get_by_role("group", name="Account").get_by_text("vic").wait_for()
    until(lambda: page.evaluate("window.mark ?? 'gone'") == "gone", what="a new page")
    page.get_by_role("heading", name="Main door").wait_for()
    assert page.get_by_role("button", name=re.compile("Main door$")).count() == 0


@pytest.mark.parametrize("by", [0, 1], ids=["by the one that leads", "by the one that follows"])
def test_two_tabs_go_on_after_one_login(people, feed, enter, show, database, by):
    session_id = database.session()
    for person_id in range(1, 6):
        database.movement(session_id, person_id)
    context = enter("vic")
    tabs = [show(context, f"{feed.url}/sessions/{session_id}")]
    live(tabs[0])
    tabs.append(show(context, f"{feed.url}/sessions/{session_id}"))
    for page in tabs:
        live(page)
        page.locator(SHOWN).nth(4).wait_for()
        page.evaluate("window.mark = 'here'")
    streams = context.request.get(f"{feed.url}/api/system").json()["streams"]
    assert streams == 1

    _end_login("vic", database)
    dialogs = [ended(page) for page in tabs]
    for person_id in range(6, 21):
        database.movement(session_id, person_id)
    fill_in(dialogs[by], None)
    for dialog in dialogs:
        dialog.wait_for(state="detached")
    for person_id in range(21, 26):
        database.movement(session_id, person_id)
    for page in tabs:
        _holds(page, context, feed.url, session_id, 25)
        assert page.evaluate("window.mark") == "here"
    assert context.request.get(f"{feed.url}/api/system").json()["streams"] == 1


@pytest.fixture
def furnished(database):
    """A bit of everything that somebody could change: the ids of a session, an alert and a threshold."""
    session_id = database.session("Main door")
    database.movement(session_id, 1)
    database.metric(session_id, 3)
    return {
        "session": session_id,
        "alert": database.alert(session_id),
        "threshold": database.run(
            "insert into alert_thresholds (threshold_name, threshold_value) values ('Busy', 900) returning id"
        ),
        "movement": database.run("select id from people_movements"),
        "metric": database.run("select id from realtime_metrics"),
    }


# Where a page is complete.
WHOLE = {
    "/": ".alert",
    "/live": ".chart canvas",
    "/sessions": "tbody tr",
    "/sessions/{session}": ".alert",
    "/alerts": ".thresholds li",
    "/system": ".panel",
}
CONTROLS = """() => [...document.querySelectorAll('.content :is(button, input, select, textarea):enabled')].map(
    (one) => one.getAttribute('aria-label') ?? (one.closest('label') ?? one).textContent.trim())"""
WRITES = re.compile(
    "(New|Stop|Rename|Edit|Delete|Resolve|Select|Acknowledge|Mute|Enable|Disable|Save|Start|Add|Revoke|Reset|Change)\\b"
)
OPERATES = {
    "Stop: Main door", "Rename: Main door", "New session", "Resolve: Crowded, Main door",
    "Select alert: Crowded, Main door", "Acknowledge: Crowded, Main door", "Mute: Crowded, Main door",
    "Select all", "Resolve all open", "New threshold", "Enable Busy", "Edit Busy", "Delete: Busy",
}  # fmt: skip
OFFERED = {"vic": set(), "olga": OPERATES, "ada": OPERATES | {"Delete: Main door"}}


def test_pages_offer_what_the_role_may(people, feed, enter, show, furnished):
    for name, expected in OFFERED.items():
        page = show(enter(name), f"{feed.url}/")
        offered = set()
        for path, whole in WHOLE.items():
            page.goto(feed.url + path.format(**furnished))
            page.locator(whole).first.wait_for()
            live(page)
            if path == "/alerts":
                page.locator(".alert").wait_for()
                if expected:
                    page.get_by_role("button", name="Resolve all open").wait_for()
            offered.update(filter(WRITES.match, page.evaluate(CONTROLS)))
        assert offered == expected
        assert page.get_by_role("link", name="Access").count() == (name == "ada")
        page.goto(f"{feed.url}/admin")
        if name == "ada":
            page.get_by_role("row", name=re.compile("^olga")).wait_for()
        else:
            page.get_by_text("This takes an admin.").wait_for()
            assert page.evaluate(CONTROLS) == []


def _asked(ids):
    """Requests that write, by the role that they take."""
    yield "operator", "POST", "/api/sessions", {"session_name": "Side door"}
    yield "operator", "PATCH", f"/api/sessions/{ids['session']}", {"session_name": "Main door"}
    yield "operator", "POST", f"/api/alerts/{ids['alert']}/resolve", None
    yield "operator", "POST", "/api/alerts/reopen", {"resolved_at": "2026-01-01T00:00:00Z"}
    yield "operator", "PATCH", f"/api/thresholds/{ids['threshold']}", {"is_active": False}
    yield "operator", "POST", f"/api/sessions/{ids['session']}/stop", None
    movement = {"session_id": ids["session"], "person_id": 2, "movement_direction": "in"}
    yield "admin", "POST", "/api/movements", movement
    yield "admin", "DELETE", f"/api/movements/{ids['movement']}", None
    yield "admin", "DELETE", f"/api/alerts/{ids['alert']}", None
    yield "admin", "DELETE", f"/api/sessions/{ids['session']}", None
    yield "admin", "GET", "/api/users", None
    yield "admin", "GET", "/api/audit", None
    yield "admin", "POST", "/api/users", {"username": "eve", "role": "admin", "password": OTHER_PASSWORD}
    yield "admin", "POST", "/api/keys", {"name": "mine", "scope": "admin"}


def test_the_server_refuses_what_pages_do_not_offer(people, feed, enter, show, furnished, database):
    before = _contents(database)
    ranks = ["viewer", "operator", "admin"]
    for name, role in reversed(PEOPLE.items()):
        page = show(enter(name), f"{feed.url}/")
        live(page)
        asked = list(_asked(furnished))
        may = [ranks.index(role) >= ranks.index(needed) for needed, *_ in asked]
        statuses = [page.evaluate(FETCH, request) for _, *request in asked]
        assert [status < 300 for status in statuses] == may, statuses
        assert {status for status in statuses if status >= 300} <= {403}
        if role == "viewer":
            assert _contents(database) == before


TABLES = ("sessions", "people_movements", "realtime_metrics", "alert_logs", "alert_thresholds", "access_users",
          "access_keys", "access_key_sessions")  # fmt: skip


def _contents(database, *more):
    """Everything that people have written."""
    return {
        table: database.run(f"select coalesce(jsonb_agg(t order by t::text), '[]')::text from {table} as t")
        for table in (*TABLES, *more)
    }


def _tab_to(page, name):
    """Press Tab until what has this name has the focus."""
    focused = """() => {
        const one = document.activeElement;
        return one.getAttribute('aria-label') ?? (one.labels?.[0] ?? one).textContent.trim();
    }"""
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate(focused).startswith(name):
            return
    raise AssertionError(f"no way by Tab to {name}")


def test_an_administrator_lets_others_in_and_out(people, feed, enter, show, database):
    session_id = database.session("Main door")
    database.alert(session_id)
    admin = show(enter("ada"), f"{feed.url}/admin")
    admin.get_by_role("row", name=re.compile("^vic")).wait_for()

    # By keyboard alone.
    _tab_to(admin, "New user")
    admin.keyboard.press("Enter")
    admin.get_by_role("dialog", name="New user").wait_for()
    admin.keyboard.type("nora")
    _tab_to(admin, "Role")
    admin.keyboard.type("Op")
    _tab_to(admin, "First password")
    admin.keyboard.type(OTHER_PASSWORD)
    admin.keyboard.press("Enter")
    admin.get_by_role("dialog").wait_for(state="detached")
    admin.get_by_role("row", name=re.compile("^nora Operator")).wait_for()
    assert admin.evaluate("document.activeElement.textContent.trim()") == "New user"
    _tab_to(admin, "Delete: nora")
    admin.keyboard.press("Space")
    admin.get_by_role("dialog").wait_for()
    admin.keyboard.press("Escape")
    admin.get_by_role("dialog").wait_for(state="detached")
    assert admin.evaluate("document.activeElement.ariaLabel") == "Delete: nora"

    # What somebody's open page offers follows their role.
    theirs = enter()
    sign_in(theirs, feed.url, "nora", OTHER_PASSWORD)
    page = show(theirs, f"{feed.url}/alerts")
    resolve = page.get_by_role("button", name="Resolve: ")
    resolve.wait_for()
    page.evaluate("window.mark = 'here'")

    def change_role(role):
        admin.get_by_role("button", name="Change role: nora").click()
        admin.locator("dialog [name=role]").select_option(label=role)
        admin.get_by_role("button", name="Save").click()
        admin.get_by_role("dialog").wait_for(state="detached")

    change_role("Viewer")
    resolve.wait_for(state="detached")
    page.get_by_role("group", name="Account").get_by_text("Viewer").wait_for()
    change_role("Admin")
    resolve.wait_for()
    page.get_by_role("link", name="Access").wait_for()
    assert page.evaluate("window.mark") == "here"

    # A key is shown once.
    admin.get_by_role("button", name="Keys").click()
    admin.get_by_role("button", name="New key").click()
    admin.get_by_label("Name: what will use it").fill("Lobby")
    admin.get_by_role("button", name="Make the key").click()
    made = admin.get_by_role("dialog", name="The key of Lobby")
    key = made.get_by_label("Key", exact=True).input_value()
    assert key.startswith("pf_")
    bearer = {"Authorization": f"Bearer {key}"}
    outside = enter()
    assert outside.request.get(f"{feed.url}/api/sessions", headers=bearer).status == 200
    made.get_by_role("button", name="I have copied it").click()
    made.wait_for(state="detached")
    assert key not in admin.content()
    admin.reload()
    row = admin.get_by_role("row", name=re.compile("^Lobby"))
    row.get_by_text("Valid").wait_for()
    assert key not in admin.content()
    row.get_by_role("button", name="Revoke: Lobby").click()
    admin.get_by_role("dialog").get_by_role("button", name="Revoke").click()
    row.get_by_text("Revoked").wait_for()
    assert outside.request.get(f"{feed.url}/api/sessions", headers=bearer).status == 401

    admin.get_by_role("button", name="What was done").click()
    admin.get_by_role("row", name=re.compile("login")).first.wait_for()
    done = [(row.locator("code").inner_text(), row.inner_text()) for row in admin.locator("tbody tr").all()]
    actions = [action for action, _ in done if action != "login"]
    assert actions == ["revoke key", "add key", "change user", "change user", "add user"]
    by_action = dict(done)
    for action, said in (("add user", "nora"), ("revoke key", "Lobby"), ("add key", "read")):
        assert said in by_action[action]
        assert "user ada" in by_action[action]
    assert OTHER_PASSWORD not in admin.content()
    assert key not in admin.content()


def test_a_screen_shows_and_does_nothing_else_until_its_key_ends(
    people, feed, gunicorn, enter, show, furnished, database, errors
):
    admin = enter("ada")
    made = admin.request.post(f"{feed.url}/api/keys", data={"name": "Lobby", "scope": "read"}).json()
    screen = enter()
    sent = []
    screen.on("request", lambda request: sent.append((request.url, request.headers.get("referer", ""))))
    page = show(screen, f"{feed.url}/kiosk#{made['key']}")
    live(page)
    page.locator(".alert").wait_for()
    assert page.url == f"{feed.url}/kiosk"
    assert not [words for words in sent if made["key"] in "".join(words)]

    def touchable():
        selector = "a[href], button, input, select, textarea, summary, [tabindex], [contenteditable]"
        return page.locator(selector).evaluate_all("found => found.map((one) => one.outerHTML)")

    assert touchable() == []
    assert page.evaluate(FETCH, ["POST", f"/api/alerts/{furnished['alert']}/resolve", None]) == 403

    # The server restarts, and rows are written while it is away.
    port = feed.url.rpartition(":")[2]
    feed.stop()
    page.locator(".connection.bad").wait_for()
    assert [one for one in touchable() if "Try now" not in one] == []
    for person_id in range(2, 12):
        database.movement(furnished["session"], person_id)
    again = gunicorn(PORT=port, HEARTBEAT_SECONDS=1)
    page.locator(".connection.good").wait_for(timeout=30_000)
    page.locator(".movements li").nth(10).wait_for()
    assert page.locator(".movements li").count() == 11
    # The screen itself starts anew, with the address that it has.
    page.reload()
    live(page)
    page.locator(".alert").wait_for()

    assert admin.request.delete(f"{again.url}/api/keys/{made['id']}").status == 204
    page.get_by_text("This screen may not show the counts").wait_for()
    assert page.locator(".alert, .movements li, .tile").count() == 0
    assert touchable() == []
    assert page.evaluate(FETCH, ["GET", "/api/sessions", None]) == 401
    errors.clear()  # the browser's own word on the refused connections


class _Elsewhere(BaseHTTPRequestHandler):
    def do_GET(self):
        body = b"<!doctype html><title>Elsewhere</title><body></body>"
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture(params=["evil.test", "127.0.0.1"], ids=["another site", "another port"])
def elsewhere(request):
    """The address of another origin. One of the same host is of the same site: browsers send it the cookie."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Elsewhere) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield f"http://{request.param}:{server.server_port}/"
        server.shutdown()


ATTACK = """async ([feed, requests]) => {
    const read = [];
    for (const [method, path, body] of requests) {
        const url = feed + path;
        // As scripts send them, with and without asking first.
        for (const init of [
            { mode: 'cors', headers: { 'Content-Type': 'application/json' } },
            { mode: 'cors' },
            ...(method === 'POST' ? [{ mode: 'no-cors' }] : []),
        ])
            await fetch(url, { method, credentials: 'include', body, ...init }).then(
                async (answer) => answer.type !== 'opaque' && read.push([method, path, answer.status]),
                () => null,
            );
        if (method !== 'POST') continue;
        navigator.sendBeacon(url, body);
        // As a form sends it: as text that is JSON, into a frame.
        const frame = document.createElement('iframe');
        frame.name = `frame${document.querySelectorAll('iframe').length}`;
        const form = document.createElement('form');
        Object.assign(form, { method: 'post', enctype: 'text/plain', target: frame.name, action: url });
        const input = document.createElement('input');
        const rest = body.slice(1);
        Object.assign(input, { name: '{"ignored":"', value: rest.length > 1 ? `",${rest}` : '"}' });
        form.append(input);
        document.body.append(frame, form);
        await new Promise((done) => { frame.onload = done; form.submit(); setTimeout(done, 3000); });
    }
    return read;
}"""
READ = """async (feed) => {
    const read = [];
    for (const path of ['/api/me', '/api/sessions', '/api/users', '/api/audit', '/api/sessions/export', '/admin']) {
        await fetch(feed + path, { credentials: 'include' }).then(() => read.push(path), () => null);
        await fetch(feed + path, { credentials: 'include', mode: 'no-cors' }).then(
            async (answer) => (await answer.text()) && read.push(`opaque ${path}`), () => null);
        await new Promise((done) => {
            const script = document.createElement('script');
            script.onload = () => done(read.push(`script ${path}`));
            script.onerror = done;
            script.src = feed + path;
            document.body.append(script);
        });
    }
    const stream = new EventSource(`${feed}/api/sse?topics=sessions`, { withCredentials: true });
    await new Promise((done) => {
        stream.onmessage = () => done(read.push('a stream'));
        stream.onopen = () => done(read.push('an open stream'));
        stream.onerror = done;
    });
    stream.close();
    return read;
}"""


def _unsafe(context, url, ids):
    """Every request that the description of the API has and that changes something, with a body that would do."""
    described = context.request.get(f"{url}/api/openapi.json").json()["paths"]
    user_id = next(
        row["id"] for row in context.request.get(f"{url}/api/users").json()["items"] if row["role"] != "admin"
    )
    key_id = context.request.get(f"{url}/api/keys").json()["items"][0]["id"]
    login_id = context.request.get(f"{url}/api/logins").json()["items"][0]["id"]
    known = {"sessions": ids["session"], "movements": ids["movement"], "metrics": ids["metric"], "alerts": ids["alert"],
             "thresholds": ids["threshold"], "users": user_id, "keys": key_id, "logins": login_id}  # fmt: skip
    session, alert = str(ids["session"]), str(ids["alert"])
    bodies = {
        "POST /api/sessions": {"session_name": "planted"},
        "POST /api/movements": {"session_id": session, "person_id": 9, "movement_direction": "in"},
        "POST /api/metrics": {"session_id": session, "current_people_count": 9},
        "POST /api/alerts": {"session_id": session, "alert_type": "people_count", "alert_message": "planted"},
        "POST /api/thresholds": {"threshold_name": "planted", "threshold_value": 1},
        "POST /api/sessions/stop": {"ids": [session]},
        "POST /api/sessions/delete": {"ids": [session]},
        "POST /api/alerts/resolve": {"ids": [alert]},
        "POST /api/alerts/reopen": {"resolved_at": "2026-01-01T00:00:00Z"},
        "POST /api/users": {"username": "mallory", "role": "admin", "password": OTHER_PASSWORD},
        "POST /api/keys": {"name": "planted", "scope": "admin"},
        "POST /api/password": {"old_password": PASSWORD, "new_password": OTHER_PASSWORD},
        "POST /api/login": {"username": "vic", "password": PASSWORD},
        "PATCH /api/users/{id}": {"role": "admin"},
        "PATCH /api/sessions/{id}": {"session_name": "planted"},
        "PATCH /api/thresholds/{id}": {"threshold_value": 1},
    }
    requests = []
    for path, operations in described.items():
        for method in {"post", "put", "patch", "delete"} & set(operations):
            name = f"{method.upper()} {path}"
            target = path.replace("{id}", str(known.get(path.split("/")[2], "")))
            requests.append([method.upper(), target, json.dumps(bodies.get(name, {}))])
    assert len(requests) > 30
    return sorted(requests)


def test_other_origins_change_nothing_in_an_administrators_name(
    people, feed, enter, show, furnished, database, elsewhere, errors
):
    context = enter("ada")
    assert context.request.post(f"{feed.url}/api/keys", data={"name": "Door", "scope": "read"}).status == 201
    requests = _unsafe(context, feed.url, furnished)
    also = ("access_logins", "access_audit", "access_failures")
    before = _contents(database, *also)
    cookies = context.cookies()
    page = show(context, elsewhere)
    assert page.evaluate(ATTACK, [feed.url, requests]) == []
    assert _contents(database, *also) == before
    assert context.cookies() == cookies
    assert context.request.get(f"{feed.url}/api/me").json()["name"] == "ada"
    errors.clear()  # the browser's own word on what it withheld


def test_other_origins_read_and_frame_nothing(people, feed, enter, show, furnished, elsewhere, errors):
    context = enter("ada")
    page = show(context, elsewhere)
    assert page.evaluate(READ, feed.url) == []
    page.evaluate(
        """async (feed) => {
            for (const path of ['/', '/admin', '/login', '/kiosk', '/api/sessions']) {
                const frame = document.createElement('iframe');
                frame.src = feed + path;
                document.body.append(frame);
                await new Promise((done) => { frame.onload = done; });
            }
        }""",
        feed.url,
    )
    assert len(page.frames) == 6
    for frame in page.frames[1:]:
        assert frame.url.startswith("chrome-error:") or frame.locator("#root, pre").count() == 0
    # What it opens in a window of its own it cannot look into.
    with context.expect_page() as opened:
        page.evaluate("feed => { window.opened = open(`${feed}/admin`); }", feed.url)
    opened.value.get_by_role("row", name=re.compile("^olga")).wait_for()
    looked = "() => { try { return window.opened.document.body.innerText; } catch (error) { return error.name; } }"
    assert page.evaluate(looked) == "SecurityError"
    errors.clear()  # the browser's own word on what it withheld


@pytest.mark.parametrize("strips", [True, False], ids=["stripped", "passed on"])
def test_a_login_below_a_path_stays_there(people, gunicorn, enter, show, database, strips):
    database.session("North gate")
    server = gunicorn(HEARTBEAT_SECONDS=1, URL_PREFIX="/people", TRUSTED_PROXIES="127.0.0.1")
    with closing(_Stopped(ReverseProxy(server.url.removesuffix("/people"), "/people", strips=strips))) as proxy:
        base = f"{proxy.url}/people"
        context = enter()
        asked = []
        context.on("request", lambda request: asked.append(request.url))
        page = show(context, f"{base}/sessions?search=gate#content")
        page.wait_for_url(f"{base}/login?next=*")
        fill_in(page, "olga")
        page.wait_for_url(f"{base}/sessions?search=gate#content")
        page.get_by_role("link", name="North gate").wait_for()
        live(page)
        [cookie] = context.cookies()
        assert cookie["path"] == "/people"
        page.goto(f"{base}/kiosk")
        live(page)
        page.goto(f"{base}/account")
        page.get_by_text("this browser").wait_for()
        page.get_by_role("button", name="Sign out").click()
        page.wait_for_url(f"{base}/login")
        page.get_by_label("User name").wait_for()
        assert context.cookies() == []
        assert [url for url in asked if not url.startswith(f"{base}/")] == []


class _Stopped:
    """Closes a proxy."""

    def __init__(self, proxy):
        self.url = proxy.url
        self.close = proxy.stop


def _serious(page):
    page.evaluate(Path(AXE).read_text())
    found = page.evaluate("axe.run().then(({ violations }) => violations)")
    return [
        (page.url, one["id"], [node["html"][:150] for node in one["nodes"]])
        for one in found
        if one["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_nothing_about_access_keeps_anybody_out(people, feed, enter, show, furnished, database, colours):
    if not AXE.exists():
        pytest.skip("axe-core is not installed: run npm ci in app/dashboard")
    looks = {"color_scheme": colours, "reduced_motion": "reduce"}
    stranger, context = enter(**looks), enter("ada", **looks)
    made = context.request.post(f"{feed.url}/api/keys", data={"name": "Lobby", "scope": "read"}).json()
    page = show(stranger, f"{feed.url}/login")
    fill_in(page, "ada", "wrong")
    page.get_by_role("alert").wait_for()
    found = _serious(page)
    page.goto(f"{feed.url}/setup")
    page.get_by_role("button", name="Make the admin").wait_for()
    found += _serious(page)
    page.goto(f"{feed.url}/kiosk")
    page.get_by_text("This screen may not show the counts").wait_for()
    found += _serious(page)
    page.goto(f"{feed.url}/kiosk#{made['key']}")
    live(page)
    page.locator(".alert").wait_for()
    found += _serious(page)

    page = show(context, f"{feed.url}/account")
    page.get_by_text("this browser").wait_for()
    found += _serious(page)
    for query, row in (("", "olga"), ("?show=keys", "Lobby"), ("?show=audit", "add key")):
        page.goto(f"{feed.url}/admin{query}")
        page.get_by_role("row", name=re.compile(row)).first.wait_for()
        found += _serious(page)
    page.goto(f"{feed.url}/admin?show=keys")
    page.get_by_role("button", name="New key").click()
    found += _serious(page)
    page.get_by_label("Name: what will use it").fill("Hall")
    page.get_by_role("button", name="Make the key").click()
    page.get_by_role("button", name="I have copied it").wait_for()
    found += _serious(page)
    page.goto(f"{feed.url}/")
    live(page)
    _end_login("ada", database)
    ended(page)
    found += _serious(page)
    assert found == []
