"""What pages of other sites can do to the feed through an operator's browser: nothing."""

from __future__ import annotations

import threading
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


class _Page(BaseHTTPRequestHandler):
    def do_GET(self):
        body = b"<!doctype html><title>Elsewhere</title><body></body>"
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def elsewhere():
    """The address of another site."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://evil.test:{server.server_port}/"
        server.shutdown()


@pytest.fixture
def page(browser):
    with closing(browser.new_context()) as context:
        yield context.new_page()


def test_a_name_that_is_made_to_lead_to_this_machine_gets_nothing(page, feed):
    port = feed.url.rpartition(":")[2]
    answer = page.goto(f"http://rebound.test:{port}/")
    assert answer.status == 403
    assert "ALLOWED_HOSTS" in page.content()
    for path in ("/api/sessions", "/api/sse/movements", "/api/stats"):
        assert page.evaluate("path => fetch(path).then(({ status }) => status)", path) == 403
    assert page.goto(f"http://localhost:{port}/").status == 200


def test_another_page_changes_nothing_and_reads_nothing(page, feed, database, elsewhere):
    kept = database.session("kept")
    page.goto(elsewhere)
    # What a page may send without asking: no-cors requests, beacons, forms.
    sent = page.evaluate(
        """async ([feed, kept]) => {
            // No body, no header of its own: the browser asks nobody first.
            await fetch(`${feed}/api/sessions/${kept}/stop`, { method: 'POST', mode: 'no-cors' }).catch(() => null);
            const body = '{"session_name":"planted"}';
            await fetch(`${feed}/api/sessions`, { method: 'POST', mode: 'no-cors', body }).catch(() => null);
            navigator.sendBeacon(`${feed}/api/sessions`, body);
            const read = await fetch(`${feed}/api/sessions`).then(() => 'read', () => 'withheld');
            const frame = document.createElement('iframe');
            frame.name = 'frame';
            document.body.append(frame);
            const form = document.createElement('form');
            Object.assign(form, { method: 'post', enctype: 'text/plain', target: 'frame' });
            form.action = `${feed}/api/sessions`;
            const input = document.createElement('input');
            Object.assign(input, { name: '{"session_name":"', value: 'planted"}' });
            form.append(input);
            document.body.append(form);
            await new Promise((done) => { frame.onload = done; form.submit(); });
            const stream = new EventSource(`${feed}/api/sse/sessions`);
            const heard = await new Promise((done) => {
                stream.onmessage = () => done('heard');
                stream.onerror = () => done('refused');
            });
            stream.close();
            return [read, heard];
        }""",
        [feed.url, kept],
    )
    assert sent == ["withheld", "refused"]
    assert database.run("select array_agg(session_name) from sessions") == ["kept"]
    assert database.run("select status from sessions") == "active"


def test_no_page_can_put_ours_into_a_frame(page, feed, elsewhere):
    page.goto(elsewhere)
    shown = page.evaluate(
        """(feed) => new Promise((done) => {
            const frame = document.createElement('iframe');
            frame.src = feed;
            frame.onload = () => setTimeout(() => done(frame.contentDocument === null ? 'another page' : 'ours'), 0);
            document.body.append(frame);
        })""",
        f"{feed.url}/",
    )
    assert shown == "another page"
    inner = page.frames[1]
    assert "chrome-error" in inner.url or inner.locator(".nav").count() == 0
