"""Every page's figures beside SQL typed at that moment, on a busy site with faults; how soon they come, at what cost.

    ./run python benchmarks/figures.py [--readings 1000000] [--movements 200000] [--alerts 2000] [--screenshots FOLDER]

Needs requirements-dev.txt and Chromium. 250 active sessions: one with a clock that is 7 hours ahead, one silent for
ten minutes, twenty that send only movements; all movements are of the last hour. Nothing is written while the pages
are read, so that page and SQL are of one moment. Requests and bytes are those of a first visit, its stream included.
"""

from __future__ import annotations

import re
import statistics
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from playwright.sync_api import Error, Page, sync_playwright

from app.postgres.connections import connect
from benchmarks.arguments import count, parser
from benchmarks.bench import database, feed, prepare
from benchmarks.dashboard import Relay
from tests.e2e.conftest import ARGUMENTS, CHROMIUM

# It is noon there: the movements of the last hour are all of today, so "since it started" and "today" are the same.
ZONE = f"Etc/GMT{datetime.now(UTC).hour - 12:+d}"
SESSIONS, ONLY_MOVEMENTS = 250, 20
AHEAD, SILENT = 1, 2  # the numbers of the sessions with the faults
# Without triggers, as after a restore; {} is the number of the session.
_SESSION = "('00000000-0000-0000-0000-' || lpad(to_hex({}), 12, '0'))::uuid"
_FILL = (
    f"insert into sessions (id, session_name, start_time) select {_SESSION.format('n')}, 'Door ' || n,"
    f" now() - interval '1 day' from generate_series(1, {SESSIONS}) as n",
    f"insert into realtime_metrics (session_id, timestamp, current_people_count) select {_SESSION.format('session')},"
    f" now() + case session when {AHEAD} then interval '7 hours' when {SILENT} then interval '-10 minutes'"
    "          else interval '-1 second' end - step * interval '5 seconds', (session + step) %% 40"
    f" from generate_series(1, {SESSIONS - ONLY_MOVEMENTS}) as session,"
    f" generate_series(0, %(readings)s / {SESSIONS - ONLY_MOVEMENTS} - 1) as step",
    "insert into people_movements (session_id, person_id, movement_direction, movement_time)"
    f" select {_SESSION.format(f'1 + n %% {SESSIONS}')}, n, (case when random() < 0.52 then 'in' else 'out' end)"
    "::movement_direction, now() - random() * interval '59 minutes' from generate_series(1, %(movements)s) as n",
    f"insert into alert_logs (session_id, alert_type, current_value) select {_SESSION.format(f'1 + n %% {SESSIONS}')},"
    " 'people_count', n from generate_series(1, %(alerts)s) as n",
    f"insert into session_reports select id, now() from sessions where id <> {_SESSION.format(SILENT)}",
    f"insert into session_reports values ({_SESSION.format(SILENT)}, now() - interval '10 minutes')",
)
# Each figure as one would type it, of rows alone.
_TODAY = (
    f"movement_time >= date_trunc('day', now() at time zone '{ZONE}') at time zone '{ZONE}'"
    " and movement_time < now() + interval '2 minutes'"
)
_NETS = (
    "select key, minute, sum(sum(case when movement_direction = 'in' then 1 else -1 end)) over"
    " (partition by key order by minute) as net from"
    " (select {key} as key, date_trunc('minute', movement_time) as minute,"
    f" movement_direction from people_movements where {_TODAY} {{where}}) as m group by key, minute"
)
_FLOORED = (
    "select key, minute, net - least(0, min(net) over (partition by key order by minute)) as inside from ({}) as nets"
)
_NEWEST = (
    "select s.id, (select current_people_count from realtime_metrics where session_id = s.id"
    " and timestamp <= now() + interval '2 minutes' and timestamp >= now() - interval '1 hour'"
    " order by timestamp desc limit 1) as people from sessions s where status = 'active'"
)
_LAST = "select distinct on (key) key, inside from ({}) as counted order by key, minute desc"
_BY_DOOR = _LAST.format(_FLOORED.format(_NETS.format(key="session_id", where="")))
INSIDE = (
    f"select sum(coalesce(d.people, c.inside, 0)) from ({_NEWEST}) as d left join ({_BY_DOOR}) as c on c.key = d.id"
)
ENTERED = f"select count(*) from people_movements where movement_direction = 'in' and {_TODAY}"
EXITED = f"select count(*) from people_movements where movement_direction = 'out' and {_TODAY}"
_OF_ALL = _FLOORED.format(_NETS.format(key="0", where=""))
PEAK = f"select greatest(max(inside), ({INSIDE})) from ({_OF_ALL}) as counted"
OPEN = "select count(*) from alert_logs where not is_resolved"
ALL = "select count(*) from sessions"
ACTIVE = "select count(*) from sessions where status = 'active'"
QUIET = (
    "select count(*) from sessions s where status = 'active' and (select max(timestamp) from realtime_metrics"
    " where session_id = s.id and timestamp <= now() + interval '2 minutes') < now() - interval '2 minutes'"
)
HOUR = (
    "select count(*) from people_movements where movement_direction = '{}' and movement_time >="
    " date_trunc('minute', now()) - interval '59 minutes' and movement_time <= now()"
)
_DOOR = SESSIONS - 1  # counted from movements alone
_OF_DOOR = f"and session_id = {_SESSION.format(_DOOR)}"
DOOR_INSIDE = f"select inside from ({_BY_DOOR}) as c where key = {_SESSION.format(_DOOR)}"
DOOR_ENTERED = f"{ENTERED} {_OF_DOOR}"
DOOR_EXITED = f"{EXITED} {_OF_DOOR}"
DOOR_PEAK = f"select max(inside) from ({_FLOORED.format(_NETS.format(key='session_id', where=_OF_DOOR))}) as counted"


def main() -> None:
    command = parser(__doc__)
    command.add_argument("--readings", type=count, default=1_000_000)
    command.add_argument("--movements", type=count, default=200_000)
    command.add_argument("--alerts", type=count, default=2000)
    command.add_argument("--screenshots", type=Path, help="take a picture of each page as well")
    options = command.parse_args()
    prepare()
    with (
        database(fsync="off", max_wal_size="4GB") as server,
        feed(server.url()) as ours,
        sync_playwright() as playwright,
        closing(connect(server.url("postgres"), application_name="benchmark", is_patient=True)) as connection,
    ):
        sql = connection.cursor()
        _fill(sql, vars(options))
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        print(f"{'page':10} {'figure':22} {'page says':>12} {'SQL says':>12}", flush=True)
        wrong = sum(_compare(chromium, ours.port, sql, page, options.screenshots) for page in PAGES)
        _print_speed(chromium, ours.port)
        chromium.close()
    print(f"{wrong} figures differ." if wrong else "All figures agree.")
    raise SystemExit(bool(wrong))


def _fill(sql: Any, numbers: dict[str, Any]) -> None:
    sql.execute("set session_replication_role = replica")
    for statement in _FILL:
        sql.execute(statement, numbers)
    sql.execute("select recount_movements()")
    sql.execute("vacuum analyze")


def _tile(label: str):
    def read(page: Page) -> str:
        tile = page.locator(".tile").filter(has=page.locator(".tile-label", has_text=re.compile(f"^{label}$")))
        return tile.locator(".tile-value").inner_text()

    return read


def _text(selector: str, pattern: str):
    def read(page: Page) -> str:
        match = re.search(pattern, page.locator(selector).first.inner_text())
        return match[1] if match else "–"

    return read


PAGES: dict[str, tuple[str, list[tuple[str, Any, str]]]] = {
    "Dashboard": (
        "/",
        [
            ("Inside now", _tile("Inside now"), INSIDE),
            ("Entered today", _tile("Entered today"), ENTERED),
            ("Exited today", _tile("Exited today"), EXITED),
            ("Peak today", _tile("Peak today"), PEAK),
            ("Open alerts", _tile("Open alerts"), OPEN),
            ("silent sessions", _text(".dashboard", r"(\d+) silent"), QUIET),
            ("active sessions", _text(".area-sessions", r"of (\d[\d,]*)"), ACTIVE),
            ("in, last hour", _text(".area-flow", r"([\d,]+) in"), HOUR.format("in")),
            ("out, last hour", _text(".area-flow", r"([\d,]+) out"), HOUR.format("out")),
        ],
    ),
    "Alerts": ("/alerts", [("open alerts", _text("main", r"of (?:at least )?(\d[\d,]*)"), OPEN)]),
    "Sessions": ("/sessions", [("sessions", _text("main", r"([\d,]+) sessions"), ALL)]),
    "Session": (
        f"/sessions/00000000-0000-0000-0000-{_DOOR:012x}",
        [
            ("Inside now", _tile("Inside now"), DOOR_INSIDE),
            ("Entered", _tile("Entered"), DOOR_ENTERED),
            ("Exited", _tile("Exited"), DOOR_EXITED),
            ("Peak", _tile("Peak"), DOOR_PEAK),
        ],
    ),
}


def _compare(chromium: Any, port: int, sql: Any, name: str, screenshots: Path | None) -> int:
    path, figures = PAGES[name]
    context = chromium.new_context(viewport={"width": 1440, "height": 900}, timezone_id=ZONE, locale="en-US")
    page = context.new_page()
    page.goto(f"http://127.0.0.1:{port}{path}")
    page.locator(".connection.good").wait_for()
    page.wait_for_timeout(2500)
    wrong = 0
    for label, read, statement in figures:
        sql.execute(statement)
        [(wanted,)] = sql.fetchall()
        try:
            shown = re.sub(r"[^\d–]", "", read(page))
        except Error as error:  # the page has no such figure: a finding, not an end
            shown = type(error).__name__
        agrees = shown == str(wanted)
        wrong += not agrees
        print(f"{name:10} {label:22} {shown:>12} {wanted!s:>12}{'' if agrees else '   differs'}", flush=True)
    if screenshots:
        screenshots.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=screenshots / f"{name.lower()}.png", full_page=True)
    context.close()
    return wrong


def _print_speed(chromium: Any, port: int) -> None:
    """From the address to the first figures, with nothing cached; and what the first five seconds ask for."""
    for name, (path, figures) in PAGES.items():
        seconds, requests, size = [], 0, 0
        for number in range(5):
            relay = Relay(port)
            context = chromium.new_context(viewport={"width": 1440, "height": 900}, timezone_id=ZONE)
            page = context.new_page()
            asked: list[str] = []
            page.on("request", lambda request, asked=asked: asked.append(request.url))
            began = time.monotonic()
            page.goto(f"http://127.0.0.1:{relay.port}{path}")
            while not re.search(r"\d", _shown(page, figures[0][1])) and time.monotonic() < began + 20:
                time.sleep(0.01)
            seconds.append(time.monotonic() - began)
            if number == 0:
                time.sleep(max(0.0, 5 - seconds[0]))
                requests, size = len([url for url in asked if "/api/" in url]), relay.bytes
            context.close()
            relay.close()
        print(
            f"{name:10} first figures {statistics.median(seconds):.2f} s (median of 5, most {max(seconds):.2f}),"
            f" {requests} requests to the API, {size / 1000:.0f} kB in all",
            flush=True,
        )


def _shown(page: Page, read: Any) -> str:
    try:
        return str(read(page)) if page.locator("main").count() else ""
    except Error:  # not there yet
        return ""


if __name__ == "__main__":
    main()
