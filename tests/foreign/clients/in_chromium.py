"""Chromium's own EventSource, and libraries that are made for pages, in a page of the feed's origin."""

from __future__ import annotations

import sys
from pathlib import Path
from urllib.parse import urljoin, urlsplit

from playwright.sync_api import Route, sync_playwright

from tests.e2e.conftest import ARGUMENTS, CHROMIUM

_PACKAGES = Path(__file__).parents[1] / "node_modules"
_SCRIPTS = {
    "EventSource": "url => { new EventSource(url).onmessage = ({ data }) => report(data); }",
    "event-source-polyfill": """async url => {
        await import('/foreign/event-source-polyfill/src/eventsource.js');
        new EventSourcePolyfill(url).onmessage = ({ data }) => report(data);
    }""",
    # Not a feed, but one stream after the other: all events of each, up to its end.
    "streams": """async url => {
        const { streams, types } = await (await fetch(url)).json();
        for (const stream of streams) {
            const source = new EventSource(stream);
            const events = [];
            for (const type of types) source.addEventListener(type, ({ data, lastEventId }) => {
                events.push([type, data, lastEventId]);
            });
            await new Promise(end => { source.onerror = end; });
            source.close();
            report(JSON.stringify(events));
        }
    }""",
    # Unless onclose throws, the end of a stream is the end; unless openWhenHidden, a hidden page has no stream.
    "fetch-event-source": """async url => {
        const { fetchEventSource } = await import('/foreign/@microsoft/fetch-event-source/lib/esm/index');
        fetchEventSource(url, {
            openWhenHidden: true,
            onmessage: ({ data }) => report(data),
            onclose() { throw new Error('the stream has ended'); },
        });
    }""",
}


def _serve(route: Route) -> None:
    """The page, and the files of packages, whose imports leave out the suffix."""
    name = urlsplit(route.request.url).path.removeprefix("/foreign/")
    if not name:
        route.fulfill(body="<!doctype html><title>A page</title>", content_type="text/html")
        return
    route.fulfill(path=_PACKAGES / (name if name.endswith(".js") else f"{name}.js"), content_type="text/javascript")


def _main(name: str, url: str) -> None:
    with sync_playwright() as playwright:
        page = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS).new_page()
        page.route("**/foreign/**", _serve)
        page.expose_function("report", lambda data: print(data, flush=True))
        page.goto(urljoin(url, "/foreign/"))
        page.evaluate(_SCRIPTS[name], url)
        page.wait_for_event("close", timeout=0)  # until we are killed


_main(*sys.argv[1:])
