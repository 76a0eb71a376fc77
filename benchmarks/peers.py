"""The servers that a user would take instead, each with one worker, and the floor.

Invariant: a peer that cannot be installed here is left out by name, with the reason, never in silence. What they need
is put into a folder of the benchmarks' own (``.peers``, git-ignored) and kept for the next run; nginx and Redis are
the system's.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from app.config import CHECKOUT
from benchmarks.bench import HERE, OTHERS, SERVED, built, folder, on_core
from tests.waiting import until

_PEERS = HERE / "peer_servers"
_INSTALLED = CHECKOUT / ".peers"
_NCHAN = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")


class LeftOut(Exception):
    """The peer cannot run here; the message says why."""


class Peer:
    """A running peer: ``port``, ``pid`` of what is measured, and how changes are written to it.

    ``ready`` is what the load client may wait for; ``path`` tells the path of a session's stream, or of all.
    """

    def __init__(
        self, name: str, port: int, pid: int, kind: str, target: str, path: Callable[[str | None], str], ready: str
    ) -> None:
        self.name = name
        self.port = port
        self.pid = pid
        self.kind = kind
        self.target = target
        self.path = path
        self.ready = ready


@contextmanager
def nchan(_database: str) -> Iterator[Peer]:
    nginx = _program("nginx", "/usr/sbin/nginx")
    if not _NCHAN.exists():
        raise LeftOut("nginx has no nchan: apt-get install libnginx-mod-nchan")
    with folder() as path:
        port = _free_port()
        text = (_PEERS / "nginx.conf").read_text()
        for name, value in (("PORT", port), ("FOLDER", path), ("MODULE", _NCHAN)):
            text = text.replace(f"@{name}@", str(value))
        (path / "nginx.conf").write_text(text)
        with _process(port, [nginx, "-c", path / "nginx.conf"], path) as pid:
            [worker] = until(lambda: _children(pid), what="nginx's worker")
            yield Peer("nginx + nchan", port, worker, "nchan", str(port), _nchan_path, "head")


@contextmanager
def better_sse(database: str) -> Iterator[Peer]:
    node = _program("node")
    modules = _INSTALLED / "node"
    if not (modules / "node_modules").exists():
        modules.mkdir(parents=True, exist_ok=True)
        shutil.copy(_PEERS / "package.json", modules)
        _install([_program("npm"), "install", "--no-audit", "--no-fund", "--no-package-lock"], modules)
    shutil.copy(_PEERS / "better_sse.mjs", modules)
    with folder() as path:
        port = _free_port()
        # Node's pg does not know a socket's folder in a URL's query, but as a host.
        with _process(port, [node, modules / "better_sse.mjs", port, database], path) as pid:
            yield Peer("Node + better-sse", port, pid, "rows", database, _query_path, "head")


@contextmanager
def starlette(database: str) -> Iterator[Peer]:
    words = ["uvicorn", "starlette_sse:app", "--loop", "uvloop", "--http", "httptools", "--log-level", "warning"]
    with folder() as path:
        port = _free_port()
        command = [_python(), "-m", *words, "--no-access-log", "--backlog", 4096, "--port", port]
        with _process(port, command, path, PEER_DATABASE_URL=database) as pid:
            yield Peer("starlette + sse-starlette", port, pid, "rows", database, _query_path, "head")


@contextmanager
def flask_sse(_database: str) -> Iterator[Peer]:
    redis = _program("redis-server")
    with folder() as path:
        at, port = _free_port(), _free_port()
        options = ["--port", at, "--save", "", "--appendonly", "no", "--dir", path, "--maxclients", 15000]
        with on_core(OTHERS), _process(at, [redis, *options], path, cores=OTHERS):
            words = ["gunicorn", "flask_sse_app:app", "-k", "gevent", "--worker-connections", 12000, "-w", 1]
            command = [_python(), "-m", *words, "-b", f"127.0.0.1:{port}", "--no-control-socket"]
            with _process(port, command, path, PEER_REDIS_URL=f"redis://127.0.0.1:{at}") as pid:
                [worker] = until(lambda: _children(pid), what="gunicorn's worker")
                # Its answer's head comes with the first change.
                yield Peer("flask-sse + Redis", port, worker, "redis", str(at), _channel_path, "sent")


@contextmanager
def floor(_database: str) -> Iterator[Peer]:
    with folder() as path:
        port = _free_port()
        os.mkfifo(path / "fifo")
        with _process(port, [built("floor.c"), port, path / "fifo"], path) as pid:
            yield Peer("C floor", port, pid, "pipe", str(path / "fifo"), lambda _: "/", "head")


ALL = {"nchan": nchan, "better-sse": better_sse, "starlette": starlette, "flask-sse": flask_sse, "floor": floor}


def _nchan_path(session: str | None) -> str:
    return f"/sse/{session or 'all'}"


def _query_path(session: str | None) -> str:
    return f"/sse?session={session}" if session else "/sse"


def _channel_path(session: str | None) -> str:
    return f"/sse?channel=channel:{session}" if session else "/sse"


def _program(*names: str) -> str:
    for name in names:
        if found := shutil.which(name):
            return found
    raise LeftOut(f"{names[0]} is not installed")


def _python() -> Path:
    """The Python of the peers, installed on first use."""
    python = _INSTALLED / "python" / "bin" / "python"
    if not python.exists():
        _install([sys.executable, "-m", "venv", _INSTALLED / "python"], HERE)
        _install([python, "-m", "pip", "install", "--quiet", "-r", _PEERS / "requirements.txt"], HERE)
    return python


def _install(command: list[object], where: Path) -> None:
    result = subprocess.run([str(word) for word in command], cwd=where, capture_output=True, text=True, check=False)
    if result.returncode:
        raise LeftOut(f"the installation failed: {(result.stderr or result.stdout).strip()[-300:]}")


@contextmanager
def _process(
    port: int, command: list[object], path: Path, *, cores: set[int] = SERVED, **environ: str
) -> Iterator[int]:
    with on_core(cores), (path / "log").open("ab") as log:
        process = subprocess.Popen(
            [str(word) for word in command], cwd=_PEERS, env=os.environ | environ, stdout=log, stderr=log
        )
    try:
        until(lambda: _listens(port) or process.poll() is not None, what=f"{command[0]} listening")
        if process.poll() is not None:
            raise LeftOut(f"it did not start: {(path / 'log').read_text()[-300:]}")
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:  # gunicorn waits for streams
            for child in _children(process.pid):
                os.kill(child, 9)
            process.kill()
            process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
