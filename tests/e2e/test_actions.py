"""What an operator does: thresholds in words, many alerts at once, and what can be taken back."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest

from tests.waiting import until

OPEN = "select count(*) from alert_logs where not is_resolved"
NEWEST = (
    "select row_to_json(t) from (select threshold_name, alert_type, direction, threshold_value, lasting_seconds,"
    " is_total, session_id, is_active from alert_thresholds order by created_at desc limit 1) as t"
)


def _new_threshold(page, name, kind, limit, **others):
    page.get_by_role("button", name="New threshold").click()
    page.get_by_label("Name", exact=True).fill(name)
    page.locator("dialog [name=kind]").select_option(kind)
    page.locator("dialog [name=limit]").fill(str(limit))
    for label, value in others.items():
        field = page.locator(f"dialog [name={label}]")
        field.select_option(value) if label != "lasting" else field.fill(value)
    page.get_by_role("button", name="Save").click()
    page.get_by_role("dialog").wait_for(state="detached")


def _row(page, name):
    return page.locator(".thresholds li", has_text=name).locator("div span").inner_text()


def test_a_threshold_is_created_said_in_words_and_switched_off(tab, database):
    door = database.session("North gate")
    page = tab("/alerts")
    _new_threshold(page, "Nearly empty", "people_count", 5, direction="below", lasting="60", whose="all")
    assert _row(page, "Nearly empty") == "people below 5 for 60 s · all sessions together"
    assert database.run(NEWEST) == {
        "threshold_name": "Nearly empty", "alert_type": "people_count", "direction": "below", "threshold_value": 5,
        "lasting_seconds": 60, "is_total": True, "session_id": None, "is_active": True,
    }  # fmt: skip
    _new_threshold(page, "Slow camera", "fps", 15, direction="below", whose=str(door))
    assert _row(page, "Slow camera") == "frame rate below 15 frames/s · North gate"
    _new_threshold(page, "Lost", "no_signal_seconds", 90)
    assert _row(page, "Lost") == "no signal for 90 s · each session"
    database.run("insert into alert_thresholds (threshold_name, threshold_value) values ('cpu_usage_high', 90)")
    database.run("insert into alert_thresholds (threshold_name, threshold_value) values ('memory_usage_high', 80)")
    page.reload()
    assert _row(page, "cpu_usage_high") == "CPU at or above 90 % · each session · as its name says"
    assert _row(page, "memory_usage_high").startswith("watches nothing: memory_usage_high is not measured · ")
    page.get_by_role("switch", name="Enable Lost").click()
    page.locator(".thresholds .off").wait_for()
    assert not database.run("select is_active from alert_thresholds where threshold_name = 'Lost'")


def test_the_form_knows_every_kind_of_the_server(tab):
    page = tab("/alerts")
    kinds = page.evaluate(
        "fetch('/api/openapi.json').then((answer) => answer.json())"
        ".then(({ components }) => components.schemas.NewThreshold.properties.alert_type.enum)"
    )
    page.get_by_role("button", name="New threshold").click()
    options = page.locator("dialog [name=kind]").locator("option")
    assert [option.get_attribute("value") for option in options.all()] == kinds
    for kind in kinds:
        page.locator("dialog [name=kind]").select_option(kind)
        scopes = [option.inner_text() for option in page.locator("dialog [name=whose]").locator("option").all()]
        adds_up = kind in ("people_count", "entered_per_minute", "exited_per_minute")
        assert scopes == ["Each session"] + ["All sessions together"] * adds_up
        assert page.locator("dialog [name=lasting]").count() == (kind != "no_signal_seconds")


def test_what_the_server_refuses_is_said_in_the_dialog(tab, errors):
    page = tab("/alerts")
    page.get_by_role("button", name="New threshold").click()
    page.get_by_label("Name", exact=True).fill("Wrong")
    page.locator("dialog [name=limit]").evaluate("(field) => { field.removeAttribute('min'); field.value = '-1'; }")
    page.get_by_role("button", name="Save").click()
    page.locator("dialog [role=alert]", has_text="threshold_value").wait_for()
    errors.clear()  # the browser's own word on the 422
    page.locator("dialog [name=limit]").fill("1")
    page.get_by_role("button", name="Save").click()
    page.locator(".thresholds li", has_text="Wrong").wait_for()


def test_all_open_alerts_are_resolved_and_opened_again(tab, database):
    session_id = database.session()
    database.run(
        "insert into alert_logs (session_id, alert_type, current_value)"
        " select %s, 'people_count', n from generate_series(1, 1500) as n",
        session_id,
    )
    page = tab("/alerts")
    page.get_by_role("button", name="Resolve all open").click()
    page.get_by_role("heading", name="Resolve all 1,500 open alerts?").wait_for()
    page.get_by_role("dialog").get_by_role("button", name="Resolve").click()
    page.locator(".toast", has_text="Resolved 1,500 alerts").get_by_role("button", name="Undo").wait_for()
    page.get_by_text("No open alerts. All clear.").wait_for()
    assert database.run(OPEN) == 0
    page.get_by_role("button", name="Undo").click()
    until(lambda: database.run(OPEN) == 1500, what="opened again")
    page.locator(".select-bar", has_text="of 1,500").wait_for()


def test_a_stopped_session_is_resumed(tab, database):
    session_id = database.session()
    page = tab(f"/sessions/{session_id}")
    page.get_by_role("button", name=re.compile("^Stop")).click()
    page.get_by_role("dialog").get_by_role("button", name="Stop").click()
    page.locator(".badge", has_text="Completed").wait_for()
    page.get_by_role("button", name="Undo").click()
    page.locator(".badge", has_text="Active").wait_for()
    assert database.run("select status = 'active' and end_time is null from sessions where id = %s", session_id)


def _delete(page, name):
    page.get_by_role("row", name=re.compile(name)).get_by_role("button", name=re.compile("Delete")).click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    page.get_by_role("row", name=re.compile(name)).wait_for(state="detached")


def test_a_deleted_session_comes_back_if_it_is_taken_back(tab, database):
    for name in ("North gate", "South gate"):
        database.session(name)
    page = tab("/sessions")
    _delete(page, "North gate")
    page.get_by_role("button", name="Undo").click()
    page.get_by_role("row", name=re.compile("North gate")).wait_for()
    _delete(page, "South gate")
    page.goto("about:blank")  # who leaves has decided
    until(lambda: database.run("select count(*) from sessions") == 1, what="deleted")
    assert database.run("select session_name from sessions") == "North gate"


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("people_count", "31 people at a limit of 30"),
        ("fps", "31 frames/s at a limit of 30"),
        ("no_signal_seconds", "31 s at a limit of 30"),
        ("door_blocked", "31 at a limit of 30"),
    ],
)
def test_an_alert_tells_its_value_with_its_unit(tab, database, kind, words):
    database.run(
        "insert into alert_logs (alert_type, current_value, threshold_value) values (%s, 31, 30)",
        kind,
    )
    page = tab("/alerts")
    page.locator(".alert-main span", has_text=re.compile(f"^All sessions together · {words}$")).wait_for()


def test_a_clock_that_is_ahead_is_said(tab, database):
    for hours in (7, 8):
        session_id = database.session()
        database.run(
            "insert into realtime_metrics (session_id, current_people_count, timestamp) values (%s, 3, %s)",
            session_id, datetime.now(UTC) + timedelta(hours=hours),
        )  # fmt: skip
    tab("/").locator(".tile", has_text="Active sessions").locator("text=2 clocks ahead").wait_for()
    page = tab(f"/sessions/{session_id}")
    page.get_by_text("This camera’s clock is 8 h ahead: its rows do not count until then.").wait_for()
    page.locator(".hero .tile-value", has_text=re.compile("^0$")).wait_for()


def test_hundreds_of_doors_cost_a_few_requests(context, feed, database):
    database.run("insert into sessions (session_name) select 'Door ' || n from generate_series(1, 250) as n")
    database.run(
        "insert into people_movements (session_id, person_id, movement_direction)"
        " select id, n, 'in' from sessions, generate_series(1, 10) as n"
    )
    for path, figure in (("/", ".card-count"), ("/sessions", "td.figure span")):
        page = context.new_page()
        asked = []
        page.on("request", lambda request, asked=asked: asked.append(request.url))
        page.goto(feed.url + path)
        page.locator(figure, has_text=re.compile("^10$")).first.wait_for()
        page.locator(".connection.good").wait_for()
        asked = [url.partition("/api")[2] for url in asked if "/api/" in url]
        assert len(asked) <= 12, asked
        page.close()
    page = context.new_page()
    page.goto(feed.url)
    page.locator(".area-flow", has_text=re.compile(r"2,500 in\s*0 out")).wait_for()
    page.goto(feed.url + "/sessions")
    page.get_by_text("250 sessions").wait_for()


@pytest.mark.parametrize("width", [390, 820, 1440])
def test_many_alerts_are_one_toast_that_names_its_camera_and_covers_nothing(tab, database, width):
    session_id = database.session("North gate")
    page = tab("/alerts")
    page.set_viewport_size({"width": width, "height": 844})
    database.run(
        "insert into alert_logs (session_id, alert_type, alert_message)"
        " select %s, 'people_count', 'Crowded' from generate_series(1, 27)",
        session_id,
    )
    toast = page.locator(".toast", has_text="North gate")
    toast.get_by_text("+26", exact=True).wait_for()
    assert page.locator(".toast").count() == 1
    covered = page.locator(".content :is(button, input, a), .nav a").evaluate_all(
        "all => all.filter((one) => { const { x, y, width, height } = one.getBoundingClientRect();"
        " return document.elementFromPoint(x + width / 2, y + height / 2)?.closest('.toast'); }).length"
    )
    assert covered == 0
    assert toast.bounding_box()["x"] + toast.bounding_box()["width"] <= width
    toast.get_by_role("button", name="Close").click()
    toast.wait_for(state="detached")


def test_alerts_do_not_take_away_the_way_back(tab, database):
    session_id = database.session("North gate")
    database.alert(session_id)
    page = tab("/alerts")
    page.get_by_role("button", name="Resolve: Crowded, North gate").click()
    page.get_by_role("button", name="Undo").wait_for()
    for _ in range(6):
        database.alert(session_id, "Crowded again")
    page.locator(".toast", has_text="+5").wait_for()
    page.get_by_role("button", name="Undo").click()
    until(lambda: database.run(OPEN) == 7, what="opened again")


def _waiting(page, number):
    """Wait until the tab tells of so many alerts that are waiting for somebody."""
    until(
        lambda: page.title().startswith(f"({number}) ") if number else page.title()[0] != "(", what=f"{number} waiting"
    )


def test_who_takes_an_alert_in_hand_is_seen_everywhere_and_can_give_it_back(tab, database):
    alert = database.alert(database.session("North gate"))
    page, other = tab("/alerts"), tab("/")
    page.get_by_role("button", name="Acknowledge: Crowded, North gate").click()
    page.get_by_role("dialog").wait_for()
    page.keyboard.type("The service comes at 14:00.")
    page.keyboard.press("Enter")
    other.locator(".area-alerts .alert", has_text=re.compile(r"In hand since \d\d:\d\d: The service comes")).wait_for()
    other.locator(".tile", has_text="Alerts waiting").get_by_text("1 in hand or muted").wait_for()
    _waiting(other, 0)
    assert other.locator(".nav .count").count() == 0
    page.locator(".toast", has_text="Alert in hand").get_by_role("button", name="Undo").click()
    other.locator(".alert-care").wait_for(state="detached")
    _waiting(other, 1)
    assert not database.run("select acknowledged_at from alert_logs where id = %s", alert)


@pytest.mark.parametrize("path", ["/", "/sessions/{session}"])
def test_an_alert_is_taken_in_hand_where_it_is_seen(tab, database, path):
    session = database.session("North gate")
    alert = database.alert(session)
    page = tab(path.format(session=session))
    page.get_by_role("button", name="Acknowledge: Crowded, North gate").click()
    page.get_by_label("Note, if you want").fill("On my way.")
    page.keyboard.press("Enter")
    page.locator(".alert-care", has_text="On my way.").wait_for()
    page.locator(".toast", has_text="Alert in hand").get_by_role("button", name="Undo").click()
    page.locator(".alert-care").wait_for(state="detached")
    assert not database.run("select acknowledged_at from alert_logs where id = %s", alert)


def test_live_shows_a_session_that_reports_by_itself(tab, database):
    database.metric(database.session("Reports"), 3)
    database.session("Silent, and newer")
    page = tab("/live")
    page.get_by_role("button", name="Reports", pressed=True).wait_for()
    assert page.get_by_role("button", name="Silent, and newer", pressed=False).count() == 1


def test_a_note_is_edited_and_put_back(tab, database):
    database.alert(database.session("North gate"))
    database.run("update alert_logs set acknowledged_at = now(), acknowledged_by = 'ada', note = 'They come.'")
    page = tab("/alerts")
    care = page.locator(".alert-care")
    page.get_by_role("button", name="Edit note: Crowded, North gate").click()
    page.get_by_role("dialog").get_by_label("Note").fill("They are here.")
    page.keyboard.press("Enter")
    care.get_by_text(re.compile(r"^In hand since \d\d:\d\d by ada: They are here.$")).wait_for()
    page.locator(".toast", has_text="Note changed").get_by_role("button", name="Undo").click()
    care.get_by_text(re.compile("They come.$")).wait_for()


def test_a_muted_kind_calls_nobody_until_it_is_unmuted(tab, database):
    session_id = database.session("North gate")
    database.alert(session_id)
    page = tab("/alerts")
    _waiting(page, 1)
    page.get_by_role("button", name="Mute: Crowded, North gate").click()
    page.get_by_role("dialog").get_by_label("15 min").check()
    page.keyboard.press("Enter")
    page.locator(".alert-care", has_text=re.compile(r"^Muted until \d\d:\d\d$")).wait_for()
    _waiting(page, 0)
    database.alert(session_id, "Crowded again")
    page.locator("li.alert", has_text="Crowded again").wait_for()
    page.get_by_text("0 waiting for somebody, 0 in hand, 2 muted").wait_for()
    assert page.locator(".toast.alert").count() == 0
    assert page.title() == "Alerts · People counting"
    page.get_by_role("button", name="Unmute: Crowded again, North gate").click()
    _waiting(page, 2)
    assert page.locator(".alert-care").count() == 0


def test_a_mute_is_taken_back_and_what_opens_then_is_heard(tab, database):
    session_id = database.session("North gate")
    database.alert(session_id)
    page = tab("/alerts")
    page.get_by_role("button", name="Mute: Crowded, North gate").click()
    page.get_by_role("dialog").wait_for()
    page.keyboard.press("Enter")
    page.locator(".alert.muted").wait_for()
    page.locator(".toast", has_text="Alert muted").get_by_role("button", name="Undo").click()
    page.locator(".alert.waiting").wait_for()
    database.alert(session_id, "Crowded anew")
    page.locator(".toast.alert", has_text="Crowded anew").wait_for()


def test_alerts_that_wait_come_first_and_many_are_taken_at_once(tab, database):
    session_id = database.session("North gate")
    for message in ("One", "Two", "Three", "Four"):
        database.alert(session_id, message)
    page = tab("/alerts")
    order = page.locator(".alert strong")
    for message in ("Four", "Two"):
        page.get_by_role("checkbox", name=f"Select alert: {message}, North gate").check()
    page.get_by_role("button", name="Acknowledge 2").click()
    page.get_by_role("heading", name="Acknowledge 2 alerts").wait_for()
    page.keyboard.press("Enter")
    until(lambda: order.all_inner_texts() == ["Three", "One", "Four", "Two"], what="those that wait first")
    page.get_by_role("button", name="Waiting").click()
    until(lambda: order.all_inner_texts() == ["Three", "One"], what="only those that wait")
    acknowledge = page.get_by_role("button", name="Acknowledge: Three, North gate")
    before = page.get_by_role("button", name="Resolve: Three, North gate").bounding_box()
    page.get_by_role("button", name="Open", exact=True).click()
    acknowledge.focus()
    page.keyboard.press("Enter")
    page.get_by_role("dialog").get_by_label("Note").wait_for()
    page.keyboard.press("Enter")
    until(lambda: order.all_inner_texts() == ["One", "Four", "Three", "Two"], what="the third in hand")
    page.locator("[aria-label='Edit note: Three, North gate']:focus").wait_for()  # the focus went with it
    after = page.get_by_role("button", name="Resolve: Three, North gate").bounding_box()
    assert (after["x"], after["width"]) == (before["x"], before["width"])


def test_many_are_muted_at_once(tab, database):
    session_id = database.session("North gate")
    for message in ("One", "Two"):
        database.alert(session_id, message)
    database.run("update alert_logs set acknowledged_at = now() where alert_message = 'One'")
    page = tab("/alerts")
    page.get_by_role("checkbox", name="Select all").check()
    page.get_by_role("button", name="Mute 2").click()
    page.get_by_role("dialog").wait_for()
    page.keyboard.press("Enter")
    page.get_by_text("0 waiting for somebody, 1 in hand, 1 muted").wait_for()
    page.locator(".toast", has_text="Muted 2 alerts").get_by_role("button", name="Undo").click()
    page.get_by_text("1 waiting for somebody, 1 in hand, 0 muted").wait_for()
