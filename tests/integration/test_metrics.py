"""/metrics, read by our parser, by promtool and by a real Prometheus; and what deploy/ makes of it."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import urllib.parse
import urllib.request
from contextlib import closing

import pytest
from prometheus_client.parser import text_string_to_metric_families

from app.config import CHECKOUT
from app.monitoring.page import page
from app.postgres.connections import connect
from tests.event_stream import open_stream
from tests.serving import status
from tests.waiting import until

DEPLOY = CHECKOUT / "deploy"
NAME = re.compile(r"\b(?:peoplefeed|http_server)_[a-z_]+")


@pytest.fixture
def sql(database_url):
    with closing(connect(database_url, application_name="test")) as connection:
        yield connection.cursor()


def read(text):
    """Samples by name and labels."""
    families = text_string_to_metric_families(text)
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value for family in families for sample in family.samples
    }


def scrape(url):
    with urllib.request.urlopen(f"{url}/metrics", timeout=30) as response:
        return read(response.read().decode())


def total(samples, name):
    return sum(value for (found, *_), value in samples.items() if found == name)


@pytest.fixture(scope="session")
def promtool():
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("promtool was left out: ./run test gets Debian's package")
    return found


@pytest.fixture
def prometheus(promtool, tmp_path):
    """Start a Prometheus that scrapes a feed each half second; returns a function that asks it."""
    started = []

    def start(feed):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        config = (DEPLOY / "prometheus" / "prometheus.yml").read_text()
        config = config.replace("127.0.0.1:8000", feed.url.removeprefix("http://")).replace("15s", "500ms")
        (tmp_path / "prometheus.yml").write_text(config)
        shutil.copy(DEPLOY / "prometheus" / "rules.yml", tmp_path)
        words = [promtool.replace("promtool", "prometheus"), f"--config.file={tmp_path}/prometheus.yml"]
        words += [f"--storage.tsdb.path={tmp_path}/data", f"--web.listen-address=127.0.0.1:{port}"]
        with (tmp_path / "prometheus.log").open("wb") as output:
            started.append(subprocess.Popen(words, stdout=output, stderr=subprocess.STDOUT))

        def ask(question):
            query = urllib.parse.urlencode({"query": question})
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/query?{query}", timeout=10) as response:
                    answer = json.load(response)["data"]["result"]
            except OSError:
                return None  # it is starting
            return sum(float(one["value"][1]) for one in answer) if answer else None

        return ask

    yield start
    for process in started:
        process.terminate()
        process.wait(20)


def test_a_worker_that_is_killed_takes_no_figure_back(gunicorn, sql, prometheus):
    feed = gunicorn(WEB_CONCURRENCY=2)
    until(lambda: total(scrape(feed.url), "peoplefeed_listener_live") == 2, what="two workers")
    ask = prometheus(feed)
    with open_stream(feed.url) as one, open_stream(feed.url) as other:
        sql.execute("insert into sessions (session_name) select 'door ' || n from generate_series(1, 30) n")
        for client in (one, other):
            client.changes(30)
        deliveries = "sum(peoplefeed_deliveries_total)"
        until(lambda: ask(deliveries) == 60, what="what both have got, in Prometheus")
        before = scrape(feed.url)
        assert total(before, "peoplefeed_streams") == 2
        assert before["peoplefeed_changes_total", ("topic", "sessions")] == 60  # each worker publishes all of them
        assert before["peoplefeed_sessions", ("status", "active")] == 30
        os.kill(feed.workers()[0], signal.SIGKILL)
        until(lambda: len(feed.workers()) == 2 and total(scrape(feed.url), "peoplefeed_listener_live") == 2, what="two")
    until(lambda: total(scrape(feed.url), "peoplefeed_streams") == 0, what="no stream")
    after = scrape(feed.url)
    for key, value in before.items():
        if key[0].endswith(("_total", "_count", "_bucket")):
            assert after[key] >= value, key
    assert ask(deliveries) == 60
    workers = {dict(labels)["worker"] for name, *labels in after if name == "peoplefeed_listener_live"}
    assert workers == {"0", "1"}


def test_figures_go_with_their_arbiter(gunicorn, tmp_path):
    feed = gunicorn(TMPDIR=tmp_path)
    until(lambda: status(f"{feed.url}/metrics") == 200, what="the page")
    [folder] = tmp_path.glob("people-feed-metrics-*")
    assert {path.name for path in folder.iterdir()} >= {"counter_0.db", "gauge_livesum_0.db", "histogram_0.db"}
    feed.stop()
    assert not folder.exists()


def test_the_page_is_as_promtool_wants_it_and_names_no_session(client, promtool, sql):
    session_id = client.post("/api/sessions", json={"session_name": "door"}).json["id"]
    client.get(f"/api/sessions/{session_id}")
    client.get("/api/nothing")
    client.post("/api/login", json={"username": "nobody", "password": "wrong"})
    sql.execute("insert into alert_logs (alert_type) select 'kind ' || n from generate_series(1, 60) n")
    text = client.get("/metrics").text
    assert session_id not in text
    samples = read(text)
    routes = {dict(labels)["http_route"] for name, *labels in samples if name.startswith("http_server")}
    assert {"/api/sessions/{id}", ""} <= routes
    assert samples["peoplefeed_logins_total", ("result", "wrong")] >= 1
    kinds = {
        dict(labels)["alert_type"]: n for (name, *labels), n in samples.items() if name == "peoplefeed_alerts_open"
    }
    assert len(kinds) == 51
    assert kinds["other"] == 10
    checked = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_without_the_database_the_page_says_so(tmp_path):
    samples = read(page("1.2.3", None, tmp_path).decode())
    assert samples[("peoplefeed_database_up",)] == 0
    assert samples["peoplefeed_build_info", ("version", "1.2.3")] == 1
    assert samples[("peoplefeed_disk_free_bytes",)] > 0
    assert ("peoplefeed_occupancy",) not in samples


def test_the_rules_fire_for_what_they_are_about_and_for_nothing_else(promtool):
    for words in (["check", "config", "prometheus.yml"], ["test", "rules", "rules_test.yml"]):
        done = subprocess.run(
            [promtool, *words], cwd=DEPLOY / "prometheus", capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_rules_and_board_ask_for_figures_that_exist(client, sql):
    sql.execute(
        "insert into alert_logs (alert_type) values ('crowd'); insert into sessions (session_name) values ('x')"
    )
    client.get("/api/sessions")
    client.post("/api/login", json={"username": "nobody", "password": "wrong"})
    there = {re.sub("_(bucket|count|sum)$", "", key[0]) for key in read(client.get("/metrics").text)}
    there |= {
        "peoplefeed_changes_total",
        "peoplefeed_disk_free_bytes",
        "peoplefeed_change_log_oldest_timestamp_seconds",
    }
    there = {name for name in there if not name.endswith("_created")}
    documented = set(re.findall("^\\| `([a-z_]+)`", (CHECKOUT / "docs/reference/metrics.md").read_text("utf-8"), re.M))
    assert there == documented
    for path in ("prometheus/rules.yml", "prometheus/rules_test.yml", "grafana/people-feed.json"):
        asked = {re.sub("_(bucket|count|sum)$", "", name) for name in NAME.findall((DEPLOY / path).read_text("utf-8"))}
        assert asked <= documented
        assert len(asked) > 10
