"""What the dashboard costs: bundle, first view, frames per second, memory, traffic and latency against polling.

    ./run python benchmarks/dashboard.py [--minutes 10] [--screenshots FOLDER]

Needs requirements-dev.txt and Chromium. Server and database are real, and `flask simulate` feeds them. Traffic is
counted by a relay in between, so heads and frames of HTTP are in it. Polling is the same page without its stream: what
it reads at its start is read again every 5 seconds, with the browser's cache, over connections that are kept.
"""

from __future__ import annotations

import gzip
import json
import os
import socket
import statistics
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from app.config import CHECKOUT
from app.postgres.connections import connect
from benchmarks.arguments import amount, parser
from benchmarks.bench import database, feed, prepare
from tests.e2e.conftest import ARGUMENTS, CHROMIUM
from tests.waiting import until

BUILT = CHECKOUT / "app/static/dashboard"
VIEWS: dict[str, dict[str, Any]] = {
    "light": {"viewport": {"width": 1440, "height": 900}, "color_scheme": "light"},
    "dark": {"viewport": {"width": 1440, "height": 900}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 844}, "color_scheme": "dark", "device_scale_factor": 2},
    "wall": {"viewport": {"width": 3840, "height": 2160}, "color_scheme": "dark"},
}
POLL_SECONDS = 5
COUNT_FRAMES = """() => {
    window.frames_seen = 0;
    const step = () => { window.frames_seen += 1; requestAnimationFrame(step); };
    requestAnimationFrame(step);
}"""
POLL = """([urls, every]) => { setInterval(() => { for (const url of urls) fetch(url); }, every); }"""
# Notes when each person first stands in the list.
WATCH = """() => {
    window.seen = {};
    new MutationObserver(() => {
        for (const { textContent } of document.querySelectorAll('.movements li .who')) {
            window.seen[textContent] ??= Date.now();
        }
    }).observe(document.body, { childList: true, subtree: true, characterData: true });
}"""


class Relay:
    """Passes TCP on to a port and counts the bytes of both ways."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.port = self._listener.getsockname()[1]
        self.bytes = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._target))
                for source, target in ((near, far), (far, near)):
                    threading.Thread(target=self._pump, args=(source, target), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                self.bytes += len(data)
                target.sendall(data)
        with suppress(OSError):
            target.shutdown(socket.SHUT_RDWR)


def main() -> None:
    command = parser(__doc__)
    command.add_argument("--minutes", type=amount, default=10.0, help="of the memory run")
    command.add_argument("--screenshots", type=Path, help="take pictures of every page instead")
    options = command.parse_args()
    prepare()
    with database() as server, feed(server.url()) as ours, sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        url = f"http://127.0.0.1:{ours.port}"
        if options.screenshots:
            with simulating(server.url(), 6, 12):
                take_screenshots(chromium, url, options.screenshots)
        else:
            print_bundle()
            print_traffic(chromium, ours.port, "idle")
            with simulating(server.url(), 4, 6):
                print_first_view(chromium, url)
                print_traffic(chromium, ours.port, "busy: 10 changes/s")
            print_latency(chromium, url, server.url())
            with simulating(server.url(), 6, 194):
                print_live(chromium, url, options.minutes)
        chromium.close()


@contextmanager
def simulating(url: str, sessions: int, rate: float):
    """Cameras: each writes one metrics row a second, and all together so many movements."""
    words = [
        sys.executable,
        "-m",
        "flask",
        "--app",
        "app.cli:create_app",
        "simulate",
        "--sessions",
        sessions,
        "--rate",
        rate,
    ]
    process = subprocess.Popen(
        [str(word) for word in words],
        cwd=CHECKOUT,
        env=os.environ | {"DATABASE_URL": url},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        time.sleep(5)
        yield
    finally:
        process.terminate()
        process.wait()


def print_bundle() -> None:
    files = [path for path in BUILT.rglob("*") if path.is_file() and path.suffix != ".gz"]
    packed = {path: (Path(f"{path}.gz").stat().st_size if Path(f"{path}.gz").exists() else None) for path in files}
    size = sum(known or len(gzip.compress(path.read_bytes(), 9)) for path, known in packed.items())
    print(f"bundle: {size / 1000:.1f} kB gzip in {len(files)} files", flush=True)


def print_first_view(chromium, url: str) -> None:
    """From the address to numbers and movements on the page, nothing cached."""
    seconds = []
    for _ in range(7):
        context = chromium.new_context(viewport={"width": 1440, "height": 900})
        page = context.new_page()
        began = time.monotonic()
        page.goto(url)
        page.locator(".movements li").first.wait_for()
        page.locator(".tile-value").first.wait_for()
        seconds.append(time.monotonic() - began)
        context.close()
    print(
        f"first view with data: {statistics.median(seconds):.2f} s (median of 7, most {max(seconds):.2f})", flush=True
    )


def print_traffic(chromium, port: int, name: str, seconds: float = 60.0) -> None:
    """Bytes of one minute with the stream, and with polling."""
    relay = Relay(port)
    address = f"http://127.0.0.1:{relay.port}"
    asked: list[str] = []
    context = chromium.new_context()
    page = context.new_page()
    page.on("request", lambda request: asked.append(request.url) if "/api/" in request.url else None)
    page.goto(address)
    page.locator(".connection.good").wait_for()
    time.sleep(3)
    before = relay.bytes
    time.sleep(seconds)
    streamed = relay.bytes - before
    context.close()
    lists = sorted({one for one in asked if "/api/sse" not in one})
    context = chromium.new_context()
    page = context.new_page()
    page.goto(f"{address}/api/health")
    page.evaluate(POLL, [lists, POLL_SECONDS * 1000])
    time.sleep(POLL_SECONDS + 2)
    before = relay.bytes
    time.sleep(seconds)
    polled = relay.bytes - before
    context.close()
    relay.close()
    print(
        f"traffic, {name}: {streamed / 1000:.1f} kB a minute streamed, {polled / 1000:.1f} kB polled every"
        f" {POLL_SECONDS} s ({len(lists)} requests): ratio {streamed / polled:.3f}",
        flush=True,
    )


def print_latency(chromium, url: str, database_url: str) -> None:
    """From a row's INSERT to the page; polling waits half its interval on average, before it has asked."""
    connection = connect(database_url, application_name="benchmark")
    cursor = connection.cursor()
    cursor.execute("insert into sessions (session_name) values ('Latency') returning id")
    [(session,)] = cursor.fetchall()
    context = chromium.new_context()
    page = context.new_page()
    page.goto(f"{url}/sessions/{session}")
    page.locator(".connection.good").wait_for()
    page.evaluate(WATCH)
    written = {}
    for person in range(1, 51):
        cursor.execute(
            "insert into people_movements (session_id, person_id, movement_direction) values (%s, %s, 'in')",
            [session, person],
        )
        written[f"Person {person}"] = time.time() * 1000
        until(lambda who=f"Person {person}": page.evaluate(f"{json.dumps(who)} in window.seen"), what="the row")
    seen = page.evaluate("window.seen")
    waits = sorted(seen[who] - at for who, at in written.items())
    context.close()
    connection.close()
    print(
        f"latency from COMMIT to the page: median {statistics.median(waits):.0f} ms, p95 {waits[47]:.0f} ms;"
        f" polling every {POLL_SECONDS} s: median {POLL_SECONDS / 2 * 1000:.0f} ms and the request",
        flush=True,
    )


def print_live(chromium, url: str, minutes: float) -> None:
    """The live page under 200 changes a second: frames, and memory after a collection, minute by minute."""
    context = chromium.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    page.goto(f"{url}/live")
    page.locator(".chart").first.wait_for()
    client = context.new_cdp_session(page)
    client.send("Performance.enable")
    page.evaluate(COUNT_FRAMES)
    print("live page at 200 changes/s:  minute   frames/s   JS heap MB   nodes", flush=True)
    for minute in range(int(minutes) + 1):
        client.send("HeapProfiler.collectGarbage")
        metrics = {one["name"]: one["value"] for one in client.send("Performance.getMetrics")["metrics"]}
        before, began = page.evaluate("window.frames_seen"), time.monotonic()
        time.sleep(57)
        rate = (page.evaluate("window.frames_seen") - before) / (time.monotonic() - began)
        print(
            f"{minute:35}   {rate:8.1f}   {metrics['JSHeapUsedSize'] / 1e6:10.1f}   {metrics['Nodes']:5.0f}", flush=True
        )
    context.close()


def take_screenshots(chromium, url: str, target: Path) -> None:
    """Every page in every view."""
    target.mkdir(parents=True, exist_ok=True)
    time.sleep(240)  # so that the charts have something to show
    with urllib.request.urlopen(f"{url}/api/sessions?status=active&limit=1") as response:
        session = json.load(response)["items"][0]["id"]
    pages = {
        "dashboard": "/",
        "live": "/live",
        "sessions": "/sessions",
        "session": f"/sessions/{session}",
        "alerts": "/alerts",
        "system": "/system",
    }
    for view, settings in VIEWS.items():
        context = chromium.new_context(**settings)
        page = context.new_page()
        for name, path in pages.items():
            page.goto(url + path)
            page.locator(".connection.good").wait_for()
            page.wait_for_timeout(3000)
            page.screenshot(path=target / f"{name}-{view}.png")
            print(f"{name}-{view}.png", flush=True)
        context.close()


if __name__ == "__main__":
    main()
