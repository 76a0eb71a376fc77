"""The feed below a path of a site: every address that it gives out leads back to it, through a proxy and past it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from http.client import HTTPConnection
from urllib.parse import urljoin, urlsplit

import psycopg2
import pytest

from app.config import CHECKOUT
from tests.event_stream import open_stream, wait_until_ready
from tests.reverse_proxy import ReverseProxy
from tests.serving import environment, status

PAGES = ["", "/", "/live", "/sessions", "/sessions/6f1f64a4-9a3c-4e0e-8a55-0c8b2f0a6f11", "/alerts", "/system"]


def ask(url, method="GET", body=None, **headers):
    """The status, the headers and the body of one answer; redirects are not followed."""
    parts = urlsplit(url)
    connection = HTTPConnection(parts.netloc, timeout=30)
    if body is not None:
        headers["Content-Type"] = "application/json"
    target = url.partition(parts.netloc)[2] or "/"
    connection.request(method, target, None if body is None else json.dumps(body), headers)
    response = connection.getresponse()
    answer = response.status, response.headers, response.read()
    connection.close()
    return answer


@pytest.fixture
def site(gunicorn, request):
    """Start a feed and a site that has it at /people; gives both."""
    started = []

    def start(*, strips=True, **settings):
        server = gunicorn(**{"URL_PREFIX": "/people"} | settings)
        wait_until_ready(server)
        proxy = ReverseProxy(server.url, "/people", strips=strips)
        started.append(proxy)
        return server, proxy

    yield start
    for proxy in started:
        proxy.stop()


@pytest.fixture
def sql(database_url):
    connection = psycopg2.connect(database_url)
    connection.autocommit = True
    with connection.cursor() as cursor:
        yield cursor
    connection.close()


both = pytest.mark.parametrize("strips", [True, False], ids=["stripped", "passed on"])


@both
def test_pages_name_files_that_are_there(site, strips):
    _, proxy = site(strips=strips)
    for path in PAGES:
        url = f"{proxy.url}/people{path}"
        code, headers, page = ask(url)
        assert code == 200, path
        names = re.findall(r'(?:src|href)="([^"]+)"', page.decode())
        assert len(names) == 3
        assert all(name.startswith("/people/") for name in names), names
        assert [ask(urljoin(url, name))[0] for name in names] == [200, 200, 200]
        assert ask(url, **{"If-None-Match": headers["ETag"]})[0] == 304


@both
def test_addresses_in_answers_lead_back_to_the_feed(site, sql, strips):
    _, proxy = site(strips=strips)
    api = f"{proxy.url}/people/api"
    made = [ask(f"{api}/sessions", "POST", {"session_name": str(number)}) for number in range(3)]
    for code, headers, row in made:
        assert (code, headers["Location"]) == (201, f"/people/api/sessions/{json.loads(row)['id']}")
        assert ask(urljoin(api, headers["Location"]))[2] == row
    url, names = f"{api}/sessions?limit=1", []
    while url:
        _, headers, page = ask(url)
        names += [row["session_name"] for row in json.loads(page)["items"]]
        following = re.search(r'<([^>]+)>; rel="next"', ", ".join(headers.get_all("Link", [])))
        url = urljoin(url, following[1]) if following else ""
    assert names == ["2", "1", "0"]
    code, headers, _ = ask(f"{api}//sessions")
    assert (code, urlsplit(headers["Location"]).path) == (308, "/people/api/sessions")
    assert "/people/api/nothing" in json.loads(ask(f"{api}/nothing")[2])["detail"]


@both
def test_streams_and_long_polls_pass(site, sql, strips):
    _, proxy = site(strips=strips)
    cursor = json.loads(ask(f"{proxy.url}/people/api/changes")[2])["cursor"]
    with open_stream(proxy.url, "/people/api/sse/sessions") as stream:
        sql.execute("insert into sessions (session_name) values ('door')")
        assert stream.changes(1)[0]["data"]["session_name"] == "door"
    polled = json.loads(ask(f"{proxy.url}/people/api/changes?wait=10&after={cursor}")[2])
    assert [item["data"]["data"]["session_name"] for item in polled["items"]] == ["door"]


@both
def test_the_document_says_where_the_api_is(site, strips):
    _, proxy = site(strips=strips)
    url = f"{proxy.url}/people/api/swagger"
    code, _, page = ask(url)
    assert code == 200
    names = [*re.findall(r'(?:src|href)="([^"]+)"', page.decode()), re.search(r'new URL\("([^"]+)"', page.decode())[1]]
    assert {ask(urljoin(url, name))[0] for name in names} == {200}
    assert json.loads(ask(urljoin(url, names[-1]))[2])["servers"] == [{"url": "/people"}]


@both
def test_the_overview_leads_to_what_is_there(site, strips):
    _, proxy = site(strips=strips)
    code, _, page = ask(f"{proxy.url}/people/api/")
    assert (code, b"<code>/people/api/sessions</code>" in page) == (200, True)
    names = re.findall(r'(?:src|href)="([^"]+)"', page.decode())
    assert {ask(urljoin(proxy.url, name))[0] for name in names} == {200}


def test_probes_may_go_past_the_proxy(site):
    server, proxy = site()
    straight = server.url.removesuffix("/people")
    assert server.url == f"{straight}/people"
    urls = [
        f"{base}/api/{probe}" for base in (straight, server.url, f"{proxy.url}/people") for probe in ("health", "ready")
    ]
    assert [status(url) for url in urls] == [200] * 6


@pytest.mark.parametrize("settings", [{"URL_PREFIX": "/people"}, {"URL_PREFIX": "", "SCRIPT_NAME": "/people"}], ids=str)
def test_the_prefix_may_come_by_the_name_that_gunicorn_knows(site, settings):
    server, _ = site(**settings)
    straight = server.url.removesuffix("/people")
    for base in (straight, server.url):
        code, headers, _ = ask(f"{base}/api/sessions", "POST", {"session_name": "x"})
        assert (code, headers["Location"].startswith("/people/api/sessions/")) == (201, True)


@pytest.mark.parametrize("header", ["X-Forwarded-Prefix", "X-Script-Name", "SCRIPT_NAME", "PATH_INFO"])
def test_no_header_says_where_the_feed_is(gunicorn, header):
    server = gunicorn(ACCESS="open")  # without users, what a proxy has forwarded would be refused
    wait_until_ready(server)
    code, headers, _ = ask(f"{server.url}/api/sessions", "POST", {"session_name": "x"}, **{header: "/evil"})
    assert (code, headers["Location"].startswith("/api/sessions/")) == (201, True)
    assert b"evil" not in ask(f"{server.url}/", **{header: "/evil"})[2]


def test_without_a_prefix_addresses_begin_at_the_root(gunicorn):
    server = gunicorn()
    wait_until_ready(server)
    _, headers, page = ask(f"{server.url}/sessions")
    assert {name.rpartition("/")[0] for name in re.findall(r'(?:src|href)="([^"]+)"', page.decode())} == {"", "/assets"}
    for name in "ab":
        _, made, _ = ask(f"{server.url}/api/sessions", "POST", {"session_name": name})
        assert made["Location"].startswith("/api/sessions/")
    _, listed, _ = ask(f"{server.url}/api/sessions?limit=1")
    assert listed["Link"].startswith("</api/sessions?")
    assert "servers" not in json.loads(ask(f"{server.url}/api/openapi.json")[2])
    assert status(f"{server.url}/people/api/health") == 404
    mounted = gunicorn(URL_PREFIX="/people")
    assert ask(f"{mounted.url}/sessions")[1]["ETag"] != headers["ETag"]


def test_commands_find_the_feed_below_its_path(site, sql, database_url):
    _, proxy = site()
    settings = environment(PORT=proxy.port, URL_PREFIX="/people", DATABASE_URL=database_url)
    flask = [sys.executable, "-m", "flask", "--app", "app.cli:create_app"]
    sql.execute("insert into sessions (session_name) values ('door')")
    tail = subprocess.Popen(
        [*flask, "tail", "sessions", "--after", "0", "--json"], cwd=CHECKOUT, env=settings, stdout=subprocess.PIPE
    )
    assert json.loads(tail.stdout.readline())["data"]["session_name"] == "door"
    tail.terminate()
    tail.communicate(timeout=30)
    doctor = subprocess.run(
        [*flask, "doctor"], cwd=CHECKOUT, env=settings, capture_output=True, text=True, timeout=120, check=False
    )
    assert f"live at {proxy.url}/people," in doctor.stdout
