"""flask backup and restore: what was dumped is what comes back, all or nothing, and clients hear of it."""

from __future__ import annotations

import os
import re
import secrets
import signal
import subprocess
import sys
import threading
from contextlib import closing
from unittest.mock import patch
from urllib.parse import urlsplit

import pytest

from app.cli import create_app
from app.config import CHECKOUT
from app.postgres.connections import connect
from tests.event_stream import open_stream, wait_until_ready
from tests.serving import environment
from tests.waiting import until

_LEAP = 1_000_000_000


def start(url, *words):
    return subprocess.Popen(
        [sys.executable, "-m", "flask", "--app", "app.cli:create_app", *map(str, words)],
        cwd=CHECKOUT, env=environment(DATABASE_URL=url), text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def run(url, *words):
    """Status, and all that was printed, in this process: each start of another takes a second."""
    with patch.dict(os.environ, environment(DATABASE_URL=url), clear=True), (app := create_app()).app_context():
        ended = app.test_cli_runner().invoke(args=[str(word) for word in words])
    if ended.exception and not isinstance(ended.exception, SystemExit):
        raise ended.exception
    return ended.exit_code, ended.output


def done(url, *words):
    status, said = run(url, *words)
    assert status == 0, said
    return said


def ask(url, statement, *values):
    with closing(connect(url, application_name="test")) as connection, connection.cursor() as cursor:
        cursor.execute(statement, values)
        return cursor.fetchall() if cursor.description else []


def write(url, *people):
    """A session with one movement for each person, in one transaction each."""
    for person in people:
        ask(
            url,
            "with door as (insert into sessions (session_name) values ('door') returning id)"
            " insert into people_movements (session_id, person_id, movement_direction) select id, %s, 'in' from door",
            person,
        )


def people(url):
    return [person for (person,) in ask(url, "select person_id from people_movements order by 1")]


def made_beside(url):
    return ask(url, r"select datname from pg_database where datname like 'people\_feed\_%%'")


@pytest.fixture
def empty_url(admin_url):
    """Another database on the same server, with nothing in it."""
    name = f"feed_{secrets.token_hex(4)}"
    ask(admin_url, f"create database {name} owner feed")
    yield urlsplit(admin_url)._replace(path=f"/{name}").geturl()
    ask(admin_url, f"drop database {name} with (force)")


@pytest.fixture
def written(admin_url):
    """Write one person after the other until called."""
    stop = threading.Event()

    def go_on():
        with closing(connect(admin_url, application_name="test")) as connection, connection.cursor() as cursor:
            person = 0
            while not stop.is_set():
                person += 1
                cursor.execute(
                    "with door as (insert into sessions (session_name) values ('door') returning id) insert into"
                    " people_movements (session_id, person_id, movement_direction) select id, %s, 'in' from door",
                    (person,),
                )

    thread = threading.Thread(target=go_on)
    thread.start()

    def end():
        stop.set()
        thread.join()

    yield end
    end()


def test_a_backup_under_writers_is_one_snapshot_and_comes_back_whole(admin_url, empty_url, written, tmp_path):
    file = tmp_path / "feed.backup"
    ask(admin_url, "insert into realtime_metrics (session_id, current_people_count) select id, 3 from sessions limit 1")
    until(lambda: people(admin_url)[100:], what="a hundred people")
    # Nothing is folded yet, and what is counted is wrong.
    ask(admin_url, "insert into movement_counts select id, '2026-03-02', 5, 5 from sessions limit 1")
    said = done(admin_url, "backup", file)
    written()
    assert re.search(r"Verified: \d+ rows in \d+ tables are those of the database", said)
    assert (file.stat().st_mode & 0o777, made_beside(admin_url)) == (0o600, [])
    done(empty_url, "restore", file)
    found = people(empty_url)
    assert 100 < len(found) < len(people(admin_url))
    assert found == list(range(1, len(found) + 1))
    rows = "select m::text, s.id from people_movements m join sessions s on s.id = session_id"
    rows += " where person_id <= %s order by 1"
    assert ask(empty_url, rows, len(found)) == ask(admin_url, rows, len(found))
    assert ask(empty_url, "select count(*) from sessions") == [(len(found),)]
    # What is summed up is right at once, and the log has begun anew.
    assert ask(empty_url, "select sum(entered) from movement_counts") == [(len(found),)]
    counts = "select c::text from movement_counts c union all select q::text from movement_quarters q order by 1"
    restored = ask(empty_url, counts)
    ask(empty_url, "select recount_movements()")
    assert ask(empty_url, counts) == restored
    assert ask(empty_url, "select min(id) > 1000000000, count(*) from change_log") == [(True, 4)]
    assert ask(empty_url, "select recognize_database()") == [(False,)]
    owners = "select distinct pg_get_userbyid(relowner) from pg_class where relnamespace = 'public'::regnamespace"
    assert ask(empty_url, owners) == ask(admin_url, owners)


def test_a_backup_that_is_not_what_is_in_the_database_is_not_kept(admin_url, tmp_path):
    write(admin_url, 1)
    # Loading it changes it: as a damaged disk or a wrong program would.
    ask(
        admin_url,
        "create function swapped(n integer) returns integer language sql immutable as"
        " $$ select case when exists (select from pg_database where datname = current_database()"
        r" and datname like 'people\_feed\_%%') then n + 1 else n end $$;"
        " alter table people_movements add column twice integer generated always as (swapped(person_id)) stored",
    )
    ask(admin_url, "alter function swapped(integer) set search_path = pg_catalog")
    status, said = run(admin_url, "backup", tmp_path / "feed.backup")
    assert (status, list(tmp_path.iterdir()), made_beside(admin_url)) == (1, [], [])
    assert "The backup is not what is in the database, so it was not kept: people_movements differs." in said


@pytest.mark.parametrize("how", ["swapped", "in place"])
def test_clients_hear_reset_and_then_what_is_new(gunicorn, admin_url, database_url, tmp_path, how):
    url, file = (admin_url if how == "swapped" else database_url), tmp_path / "feed.backup"
    feed = gunicorn(LISTENER_CHECK_SECONDS=0.5)
    wait_until_ready(feed)
    write(url, 1, 2)
    done(url, "backup", file, "--no-verify")
    with open_stream(feed.url, "/api/sse/movements") as stream:
        write(url, 3)
        before = stream.changes(1)[0]["id"]
        oid = "select oid from pg_database where datname = current_database()"
        sessions = (
            "select pid from pg_stat_activity"
            " where datname = current_database() and application_name like 'people-feed%%'"
        )
        place, connected = ask(url, oid), ask(url, sessions)
        done(url, "restore", file, "--replace", "--yes")
        assert (ask(url, oid) == place) == (how == "in place")
        until(lambda: stream.next_of("connection")["data"]["status"] == "reset", what="reset")
        assert people(url) == [1, 2]
        # So the feed reads anew who is let in.
        assert connected
        assert not {*connected} & {*ask(url, sessions)}
        write(url, 4)
        change = stream.changes(1)[0]
        assert (change["data"]["person_id"], change["id"] > before + _LEAP) == (4, True)
    with open_stream(feed.url, "/api/sse/movements", before) as stream:
        assert stream.place["status"] == "reset"
    assert made_beside(admin_url) == []


def test_ids_go_on_beyond_all_that_clients_hold_if_a_file_is_restored_twice(database_url, tmp_path):
    file = tmp_path / "feed.backup"
    write(database_url, 1)
    done(database_url, "backup", file, "--no-verify")
    newest = 0
    for _ in range(2):
        done(database_url, "restore", file, "--replace", "--yes")
        ask(database_url, "select number_changes()")
        before, newest = newest, ask(database_url, "select max(id) from change_log")[0][0]
        assert newest > before + _LEAP


def test_rights_come_back_and_roles_that_are_missing_are_named(admin_url, tmp_path):
    file, stays, goes = tmp_path / "feed.backup", f"camera_{secrets.token_hex(4)}", f"camera_{secrets.token_hex(4)}"
    try:
        for role in (stays, goes):
            ask(admin_url, f"create role {role}")
            done(admin_url, "grant", "producer", role)
        done(admin_url, "backup", file)
        ask(admin_url, f"drop owned by {goes}")
        ask(admin_url, f"drop role {goes}")
        assert f"no such roles here: {goes}." in done(admin_url, "restore", file, "--replace", "--yes")
        may = "select has_table_privilege(%s, 'people_movements', 'insert'),"
        may += " has_table_privilege(%s, 'people_movements', 'select'),"
        may += " has_database_privilege(%s, current_database(), 'connect')"
        assert ask(admin_url, may, stays, stays, stays) == [(True, False, True)]
        assert ask(admin_url, "select has_function_privilege('public', 'recognize_database()', 'execute')") == [
            (False,)
        ]
    finally:
        ask(admin_url, f"drop owned by {stays}")
        ask(admin_url, f"drop role {stays}")


def test_what_cannot_be_restored_is_refused_and_changes_nothing(admin_url, database_url, tmp_path):
    good, bad = tmp_path / "good", tmp_path / "bad"
    ask(admin_url, "insert into sessions (session_name) select md5(n::text) from generate_series(1, 3000) as n")
    done(admin_url, "backup", good, "--no-verify")
    whole = good.read_bytes()

    def refused(url, *words):
        status, said = run(url, *words)
        assert (status, made_beside(admin_url)) == (1, []), said
        assert ask(url, "select count(*) from sessions") == [(3000,)]
        return said

    restore = ("restore", bad, "--replace", "--yes")
    bad.write_bytes(whole[:-100])
    for url in (admin_url, database_url):
        assert f"{bad} is damaged or cut short" in refused(url, *restore)
    bad.write_bytes(b"not a dump, but long enough to be taken for one")
    assert f"{bad} is no backup" in refused(admin_url, *restore)
    assert "holds 3000 rows in sessions: give an empty one, or add --replace" in refused(admin_url, "restore", good)
    assert "Aborted!" in refused(admin_url, "restore", good, "--replace")
    assert f"{good} exists: give another name, or add --force" in refused(admin_url, "backup", good)
    assert good.read_bytes() == whole
    ask(admin_url, "insert into schema_migrations values ('9999_see_tomorrow.sql', 'x')")
    done(admin_url, "backup", bad, "--no-verify", "--force")
    ask(admin_url, "delete from schema_migrations where name = '9999_see_tomorrow.sql'")
    assert "newer than this one: it has 9999_see_tomorrow.sql" in refused(admin_url, *restore)


def test_a_backup_that_is_ended_midway_leaves_nothing(admin_url, tmp_path):
    ask(admin_url, "insert into sessions (session_name) select md5(n::text) from generate_series(1, 20000) as n")
    process = start(admin_url, "backup", tmp_path / "feed.backup")
    until(lambda: made_beside(admin_url), what="the database beside")
    assert [file.name for file in tmp_path.iterdir()] == ["feed.backup.part"]
    process.send_signal(signal.SIGTERM)
    said = process.communicate(timeout=60)
    assert (process.returncode, list(tmp_path.iterdir()), made_beside(admin_url)) == (1, [], []), said


def test_a_role_that_may_make_no_databases_is_told_so(database_url, tmp_path):
    status, said = run(database_url, "backup", tmp_path / "feed.backup")
    assert (status, list(tmp_path.iterdir())) == (1, [])
    assert "may not create databases, which verifying takes: add --no-verify" in said
