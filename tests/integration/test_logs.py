"""What a real gunicorn says in its log, and by which ids a request is found in it."""

import http.client
import json
import re
from urllib.parse import urlsplit

from tests.waiting import until

NOWHERE = "postgresql://127.0.0.1:1/nowhere"


def lines(gunicorn):
    """The lines of the log after the greeting, each of which has to be an object."""
    text = gunicorn.log
    return [json.loads(line) for line in text.splitlines() if not is_greeting(line)]


def is_greeting(line):
    return re.match(r"(People counting feed|Database|Access|Stop it with Ctrl-C)", line) is not None


def said(gunicorn, words):
    return [line for line in lines(gunicorn) if words in line["message"]]


def get(gunicorn, path, **headers):
    connection = http.client.HTTPConnection(urlsplit(gunicorn.url).netloc, timeout=30)
    connection.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    response = connection.getresponse()
    return connection, response


def test_each_line_is_an_object_gunicorns_too(gunicorn):
    server = gunicorn(LOG_FORMAT="json", LOG_LEVEL="info")
    connection, response = get(server, "/api/sse/alerts")
    response.read(10)
    until(lambda: said(server, "began: alerts"), 30, "the line of a stream that begins")
    connection.close()
    response.close()
    [ended] = until(lambda: said(server, "a stream of 127.0.0.1 ended"), 30, "the line of a stream that ends")
    assert ended["message"].endswith("closed by the client")
    assert {"time", "level", "logger", "process", "message"} <= ended.keys()
    assert ended["level"] == "INFO"
    until(lambda: said(server, "the Listener is live"), 30, "the line of the Listener")
    assert said(server, "Booting worker")[0]["logger"] == "gunicorn.error"


def test_a_traceback_is_a_field(gunicorn):
    server = gunicorn(LOG_FORMAT="json", DATABASE_URL=NOWHERE)
    [first] = until(lambda: said(server, "The database does not answer yet"), 30, "what the start says")
    assert first["level"] == "ERROR"
    # Of the driver's several lines, one is made.
    assert "\n" in first["message"]
    assert len(said(server, "Connection refused")) >= 1


def test_a_line_names_the_request_that_it_belongs_to(gunicorn):
    server = gunicorn(LOG_FORMAT="json", DATABASE_URL=NOWHERE)
    connection, response = get(server, "/api/ready")
    answer = response.read()
    connection.close()
    assert response.status == 503, answer
    [line] = until(lambda: said(server, "not ready"), 30, "the line of the request")
    assert line["request"] == response.headers["X-Request-ID"]
    assert "request" not in said(server, "The database does not answer yet")[0]


def test_text_is_what_it_was(gunicorn):
    server = gunicorn(DATABASE_URL=NOWHERE)
    until(lambda: "ERROR app.arbiter: The database does not answer yet" in server.log, 30, "what the start says")


def test_each_request_has_an_id_of_its_own(client):
    ids = [client.get("/api/health").headers["X-Request-ID"] for _ in range(3)]
    assert len(set(ids)) == 3


def test_an_id_is_taken_from_a_trusted_proxy_alone(app):
    from dataclasses import replace
    from ipaddress import ip_network

    from app import create_app

    behind = create_app(replace(app.extensions["config"], trusted_proxies=(ip_network("10.0.0.0/8"),)))

    def told(given, address):
        environ = {"REMOTE_ADDR": address}
        answer = behind.test_client().get("/api/health", headers={"X-Request-ID": given}, environ_base=environ)
        return answer.headers["X-Request-ID"]

    assert told("abc-1", "10.0.0.1") == "abc-1"
    assert told("abc-1", "192.0.2.1") != "abc-1"
    assert told("with spaces\tand more", "10.0.0.1") != "with spaces\tand more"
    assert told("x" * 101, "10.0.0.1") != "x" * 101
