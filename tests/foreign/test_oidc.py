"""The login of the house, with an OpenID provider that others wrote, in the steps that a browser takes."""

from __future__ import annotations

import re
import socket
import subprocess
from contextlib import closing
from pathlib import Path
from urllib.parse import urljoin

import pytest
import requests

from app.postgres.connections import connect
from tests.event_stream import wait_until_ready
from tests.waiting import until

HERE = Path(__file__).parent


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


@pytest.fixture
def house(gunicorn, tmp_path, database_url):
    """Start a feed and its provider: ``house(OIDC_ROLE="viewer")``."""
    (tmp_path / "secret").write_text("a secret of the two\n")
    processes = []

    def start(**settings):
        port, issuer = free_port(), free_port()
        redirect = f"http://127.0.0.1:{port}/api/login/oidc/callback"
        provider = subprocess.Popen(
            ["node", "provider.js", str(issuer), redirect], cwd=HERE, stdout=subprocess.PIPE, text=True
        )
        processes.append(provider)
        assert provider.stdout.readline() == "listening\n"
        server = gunicorn(
            PORT=port,
            OIDC_ISSUER=f"http://127.0.0.1:{issuer}",
            OIDC_CLIENT_ID="people-feed",
            OIDC_CLIENT_SECRET_FILE=tmp_path / "secret",
            **settings,
        )
        wait_until_ready(server)
        return server

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def add_user(database_url, username, password_hash=None, role="admin"):
    with closing(connect(database_url, application_name="test")) as connection, connection.cursor() as cursor:
        cursor.execute(
            "insert into access_users (username, role, password_hash) values (%s, %s, %s)",
            (username, role, password_hash),
        )


def sign_in(server, username, browser=None, path="/api/login/oidc?next=/live%3Fa=1"):
    """Where a browser ends that signs in by this name, and the browser."""
    browser = browser or requests.Session()
    answer = browser.get(f"{server.url}{path}", allow_redirects=True, timeout=20)
    while form := re.search(r'<form[^>]*action="([^"]+)"[^>]*>(.*?)</form>', answer.text, re.DOTALL):
        fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"', form[2])) | {"login": username, "password": "x"}
        answer = browser.post(urljoin(answer.url, form[1]), data=fields, timeout=20)
    return answer, browser


def test_people_sign_in_where_their_house_keeps_its_accounts(house, database_url):
    add_user(database_url, "ada")
    server = house()
    refused = requests.get(f"{server.url}/api/me", timeout=20).json()
    assert (refused["reason"], refused["oidc"]) == ("login_required", True)
    answer, browser = sign_in(server, "ada")
    assert answer.url == f"{server.url}/live?a=1"
    me = browser.get(f"{server.url}/api/me", timeout=20).json()
    assert (me["name"], me["role"], me["access"]) == ("ada", "admin", "user")
    entries = browser.get(f"{server.url}/api/audit", timeout=20).json()["items"]
    assert [entry["action"] for entry in entries] == ["login"]
    # The second time, they are known by who they are, not by what they are called.
    with closing(connect(database_url, application_name="test")) as connection, connection.cursor() as cursor:
        cursor.execute("update access_users set username = 'countess'")
    until(
        lambda: sign_in(server, "ada")[1].get(f"{server.url}/api/me", timeout=20).json()["name"] == "countess",
        what="the new name",
    )


def test_strangers_come_in_only_by_a_role_for_them(house, database_url):
    add_user(database_url, "ada")
    answer, browser = sign_in(house(), "vic")
    assert (answer.status_code, answer.json()["reason"]) == (403, "wrong_credentials")
    server = house(OIDC_ROLE="viewer")
    _, browser = sign_in(server, "vic")
    assert browser.get(f"{server.url}/api/me", timeout=20).json()["role"] == "viewer"


def test_nobody_takes_over_a_user_who_has_a_password(house, database_url):
    add_user(database_url, "ada", "a hash")
    answer, browser = sign_in(house(OIDC_ROLE="admin"), "ada")
    assert answer.status_code == 403
    assert "people_feed" not in browser.cookies


def test_an_answer_that_another_browser_asked_for_is_refused(house, database_url):
    add_user(database_url, "ada")
    server = house()
    mine = requests.Session()
    begun = mine.get(f"{server.url}/api/login/oidc", allow_redirects=False, timeout=20)
    state = re.search(r"[?&]state=([^&]+)", begun.headers["Location"])[1]
    # An attacker's answer, in the victim's browser, and one without having begun.
    for browser, query in ((mine, "code=stolen&state=other"), (requests.Session(), f"code=stolen&state={state}")):
        answer = browser.get(f"{server.url}/api/login/oidc/callback?{query}", timeout=20)
        assert (answer.status_code, answer.json()["reason"]) == (403, "wrong_credentials")
    answer = mine.get(f"{server.url}/api/login/oidc/callback?code=made-up&state={state}", timeout=20)
    assert answer.status_code == 403
    assert "Traceback" not in server.log


@pytest.mark.parametrize(
    "path", ["//evil.example", "https://evil.example", "/\\evil.example", "/a b", "javascript:alert(1)"]
)
def test_one_comes_back_to_this_site_alone(house, database_url, path):
    add_user(database_url, "ada")
    answer = requests.get(f"{house().url}/api/login/oidc", params={"next": path}, allow_redirects=False, timeout=20)
    assert answer.status_code == 400


def test_a_provider_that_is_away_is_a_sentence(gunicorn, database_url, tmp_path):
    add_user(database_url, "ada")
    (tmp_path / "secret").write_text("a secret of the two")
    server = gunicorn(OIDC_ISSUER="http://127.0.0.1:1", OIDC_CLIENT_ID="x", OIDC_CLIENT_SECRET_FILE=tmp_path / "secret")
    answer = requests.get(f"{server.url}/api/login/oidc", timeout=30)
    assert answer.status_code == 502
    assert "cannot be asked" in answer.json()["detail"]
