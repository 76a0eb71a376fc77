"""The embedded server: created, shared, adopted, and private."""

import os
import pwd
import shutil
import signal
import subprocess
import sys
import threading

import psycopg2
import pytest

from app.config import CHECKOUT
from app.postgres.connections import connect
from app.postgres.embedded import PostgresError, Server
from tests.waiting import until


@pytest.fixture
def server(data_dir):
    server = Server(data_dir, fsync="off")
    yield server
    server.stop()


def ask(url, question):
    connection = connect(url, application_name="test")
    try:
        with connection.cursor() as cursor:
            cursor.execute(question)
            return cursor.fetchone()[0]
    finally:
        connection.close()


def postmaster(data_dir):
    return int((data_dir / "postgres/data/postmaster.pid").read_text().splitlines()[0])


def is_gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_a_new_folder_gets_a_database_of_its_own_role(server):
    server.start()
    assert ask(server.url(), "select current_user || current_database()") == "feedfeed"
    assert ask(server.url(), "select rolsuper from pg_roles where rolname = current_user") is False


def test_it_listens_on_a_private_socket_only(server):
    server.start()
    assert ask(server.url(), "select inet_server_addr()") is None
    assert ask(server.url(), "show listen_addresses") == ""
    assert (server.data_dir / "postgres").stat().st_mode & 0o077 == 0


def test_what_was_written_is_there_after_a_stop_and_a_start(server):
    server.start()
    connection = connect(server.url(), application_name="test")
    connection.cursor().execute("create table kept as select 1")
    connection.close()
    server.stop()
    server.start()
    assert ask(server.url(), "select count(*) from kept") == 1


def test_who_leaves_last_stops_it(server):
    other = Server(server.data_dir)
    server.start()
    other.start()
    pid = postmaster(server.data_dir)
    server.stop()
    assert ask(other.url(), "select 1") == 1
    other.stop()
    server.cluster.process.wait(20)  # it was our child
    assert is_gone(pid)


def test_stop_may_come_twice_and_before_a_start(server):
    server.stop()
    server.start()
    server.stop()
    server.stop()


def test_a_server_whose_starter_was_killed_is_adopted(server):
    script = f"""
import os, signal
from pathlib import Path
from app.postgres.embedded import Server
Server(Path({str(server.data_dir)!r})).start()
os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", script], cwd=CHECKOUT, check=False)
    pid = postmaster(server.data_dir)
    server.start()
    assert postmaster(server.data_dir) == pid


def test_a_killed_server_is_started_again_at_once_by_a_start(server):
    server.start()
    os.kill(postmaster(server.data_dir), signal.SIGKILL)  # and it stays a zombie of ours
    until(lambda: not server.cluster.answers())
    other = Server(server.data_dir)
    other.start()
    assert ask(other.url(), "select 1") == 1
    server.cluster.process.wait(0)
    server.stop()
    other.stop()


def test_a_lock_file_with_the_number_of_a_foreign_process_is_not_believed(server):
    server.start()
    server.stop()
    lock_file = server.data_dir / "postgres/data/postmaster.pid"
    lock_file.write_text(f"{os.getppid()}\n{server.data_dir}/postgres/data\n0\n5432\n\n\n")
    shutil.chown(lock_file, *_owner(server.data_dir / "postgres"))
    server.start()
    assert ask(server.url(), "select 1") == 1


def _owner(path):
    return path.stat().st_uid, path.stat().st_gid


def test_half_a_cluster_left_by_a_killed_initdb_is_replaced(server):
    server.start()
    server.stop()
    data = server.data_dir / "postgres/data"
    data.rename(data.parent / "data.new")
    (data.parent / "data.new/PG_VERSION").unlink()
    server.start()
    assert ask(server.url(), "select 1") == 1


def test_starts_at_the_same_time_make_one_server(data_dir):
    servers = [Server(data_dir, fsync="off") for _ in range(4)]
    threads = [threading.Thread(target=server.start) for server in servers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({ask(server.url(), "select pg_postmaster_start_time()") for server in servers}) == 1
    for server in servers:
        server.stop()
    for process in filter(None, (server.cluster.process for server in servers)):
        process.wait(20)  # our child, though not always ours to stop


def test_a_path_too_long_for_a_socket_works(data_dir):
    server = Server(data_dir / ("long" * 20) / ("path" * 20))
    server.start()
    assert ask(server.url(), "select 1") == 1
    server.stop()
    assert not server.cluster.socket_folder().exists()


def test_a_socket_folder_that_another_user_made_first_is_refused(data_dir):
    server = Server(data_dir / ("long" * 20) / ("path" * 20))
    folder = server.cluster.socket_folder()
    folder.mkdir(mode=0o777)
    try:
        with pytest.raises(PostgresError, match="not a private folder"):
            server.start()
    finally:
        folder.rmdir()


def test_data_of_another_version_are_refused_by_name(server):
    server.start()
    server.stop()
    (server.data_dir / "postgres/data/PG_VERSION").write_text("12\n")
    with pytest.raises(PostgresError, match="of PostgreSQL 12, which is not installed"):
        server.start()


def test_a_server_that_cannot_start_says_why(data_dir):
    with pytest.raises(PostgresError, match="max_connections"):
        Server(data_dir, max_connections="many").start()


def test_a_watched_server_that_is_killed_comes_back(server):
    server.start()
    server.watch()
    os.kill(postmaster(server.data_dir), signal.SIGKILL)
    until(lambda: not server.cluster.answers())
    assert ask_until_answered(server.url()) == 1


def ask_until_answered(url):
    def answer():
        try:
            return ask(url, "select 1")
        except psycopg2.OperationalError:
            return None

    return until(answer)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_other_users_do_not_get_in(server):
    server.start()
    folder = server.data_dir / "postgres"
    folder.chmod(0o755)  # not even where they can reach the folder,
    (folder / ".s.PGSQL.5432").chmod(0o777)  # and the socket
    os.seteuid(pwd.getpwnam("daemon").pw_uid)
    try:
        with pytest.raises(psycopg2.OperationalError, match="Peer authentication failed"):
            connect(server.url("postgres", "postgres"), application_name="test")
    finally:
        os.seteuid(0)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root drops to another user")
def test_root_keeps_the_data_elsewhere_when_the_folder_is_private(data_dir):
    data_dir.chmod(0o700)
    server = Server(data_dir)
    server.start()
    assert ask(server.url(), "select 1") == 1
    server.stop()
    assert data_dir.stat().st_mode & 0o777 == 0o700
    shutil.rmtree((data_dir / "postgres").readlink())


def test_a_probe_needs_no_answer_from_a_busy_server(server):
    server.start()
    os.kill(postmaster(server.data_dir), signal.SIGSTOP)
    try:
        assert server.cluster.answers()
    finally:
        os.kill(postmaster(server.data_dir), signal.SIGCONT)


@pytest.mark.parametrize("name", [b"daten-\xc3\xbc", b"latin-\xfc"])
def test_a_folder_with_any_name_is_stopped_and_nothing_else(data_dir, name):
    """The server's lock file holds the path; where it could not be read, the stop signalled a whole process group."""
    folder = data_dir / os.fsdecode(name)
    server = Server(folder, fsync="off")
    server.start()
    assert ask(server.url(), "select 1") == 1
    pid = server.cluster._pid()
    assert pid > 1
    heard = []
    before = signal.signal(signal.SIGINT, lambda *_: heard.append(True))
    try:
        server.stop()
    finally:
        signal.signal(signal.SIGINT, before)
    assert is_gone(pid)
    assert heard == []


def test_a_lock_file_that_names_no_process_gets_no_signal(server, monkeypatch, caplog):
    server.start()
    sent = []
    with monkeypatch.context() as patched:
        patched.setattr(server.cluster, "_pid", lambda: 0)
        patched.setattr(os, "kill", lambda *call: sent.append(call))
        server.stop()
    assert sent == []
    assert "names no process" in caplog.text
    server.start()  # adopted, so that the fixture can stop it


def test_nobody_else_can_hold_the_locks(server):
    server.start()
    for name in ("users.lock", "start.lock"):
        assert (server.data_dir / name).stat().st_mode & 0o777 == 0o600
