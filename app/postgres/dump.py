"""Dumps: the feed's database as a file, written by pg_dump and loaded by pg_restore and psql.

Invariant: a load is one transaction, which is committed only once the file was read to its end; whatever fails before
leaves the database as it was. No password is on a command line.

What a restored database drops anyway is not in the file: the change log and its inbox (``recognize_database()``
restarts them), logins and failed attempts. Rights are in it, but not the roles that have them.
"""

from __future__ import annotations

import os
import re
import secrets
import subprocess
import tempfile
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from psycopg2.extensions import make_dsn, parse_dsn

from app.postgres import binaries
from app.postgres.migrate import FOLDER

# The tables whose rows are left out, of which the third and fourth would let in again who has left since.
LEFT_OUT = ("change_log", "change_inbox", "access_logins", "access_failures")
_CHUNK_BYTES = 1 << 18
_TELL_SECONDS = 0.1
_LACKING = "people_feed lacks a role:"

Tell = Callable[[str, int], None]  # which table it is at, and how many bytes there were so far


class DumpError(RuntimeError):
    """A file cannot be written or loaded; the message is a sentence."""


class BusyError(DumpError):
    """Others held the tables for too long: nothing was changed, and another try may do."""


def write(dsn: str, snapshot: str, file: Path, tell: Tell) -> None:
    """Dump what the exported snapshot sees into a file, which keeps the mode that it has.

    Raises:
        DumpError: pg_dump's own words.
    """
    options = ["--format=custom", f"--snapshot={snapshot}", "--no-publications", "--no-subscriptions", "--verbose"]
    options += [f"--exclude-table-data=public.{table}" for table in LEFT_OUT]
    process = _start("pg_dump", dsn, *options, "--lock-wait-timeout=30s", f"--file={file}", stderr=subprocess.PIPE)
    with _Ended(process):
        said = _Said(process)
        while not _has_ended(process):
            tell(said.table, file.stat().st_size)
        if process.returncode:
            raise DumpError(f"pg_dump failed: {said.error()}")


def migrations_in(file: Path) -> dict[str, str]:
    """The migrations that the dumped database had, and the digest of each.

    Raises:
        DumpError: it is no dump, of another database, damaged, or too new.
    """
    rows = _read(file, "--data-only", "--table=schema_migrations").partition("\nCOPY public.schema_migrations (")[2]
    columns, _, lines = rows.partition(") FROM stdin;\n")
    names = columns.split(", ")
    found = [dict(zip(names, line.split("\t"), strict=True)) for line in lines.partition("\\.\n")[0].splitlines()]
    if not found:
        raise DumpError(f"{file} is a backup of another program's database: it has no migrations of the feed.")
    return {row["name"]: row["sha256"] for row in found}


def load(file: Path, dsn: str, tell: Tell, *, before: str = "", after: str = "", has_rights: bool = True) -> list[str]:
    """Load a dump in one transaction, with statements before and after it; returns the roles that it misses here.

    Objects belong to the role that connects.

    Raises:
        BusyError: a lock could not be had; nothing was changed.
        DumpError: the file is damaged, or the database refused; nothing was changed.
    """
    # Who owns an extension may comment on it.
    contents = [line for line in _read(file, "--list").splitlines() if " COMMENT - EXTENSION " not in line]
    rights = _rights(file, contents) if has_rights else ""
    with tempfile.TemporaryFile() as list_of_contents, tempfile.TemporaryFile() as complaints:
        list_of_contents.write("\n".join(contents).encode())
        list_of_contents.seek(0)
        reader = _start(
            "pg_restore", None, "--use-list=/dev/stdin", "--no-owner", "--no-privileges", "--verbose", "--file=-", file,
            stdin=list_of_contents, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        with _Ended(reader):
            said = _Said(reader)
            loader = _start(
                "psql", dsn, "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1",
                stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=complaints,
            )  # fmt: skip
            with _Ended(loader):
                with suppress(BrokenPipeError):  # it has ended, and said why
                    _pump(reader, loader, said, tell, before)
                    if reader.wait():
                        raise DumpError(f"{file} is damaged or cut short, and nothing was changed: {said.error()}")
                    _end(loader, rights + after + "\ncommit;\n")
                status = loader.wait()
        complaints.seek(0)
        heard = complaints.read().decode("utf-8", "replace")
    if status:
        error = _first_error(heard)
        kind = BusyError if re.search("deadlock detected|lock timeout", error) else DumpError
        raise kind(f"The database refused the rows of {file}, and nothing was changed: {error}")
    return sorted(set(re.findall(rf'{_LACKING} role "(.*)" does not exist', heard)))


def _pump(
    reader: subprocess.Popen[bytes], loader: subprocess.Popen[bytes], said: _Said, tell: Tell, before: str
) -> None:
    assert reader.stdout is not None
    assert loader.stdin is not None
    loader.stdin.write(f"begin;\n{before}\n".encode())
    done = 0
    while chunk := reader.stdout.read(_CHUNK_BYTES):
        if not done:  # PostgreSQL 17 and newer know this one, and where it is not known there is nothing to switch off
            chunk = chunk.replace(b"SET transaction_timeout = 0;\n", b"", 1)
        loader.stdin.write(chunk)
        done += len(chunk)
        tell(said.table, done)


def _end(loader: subprocess.Popen[bytes], statements: str) -> None:
    assert loader.stdin is not None
    loader.stdin.write(statements.encode())
    loader.stdin.close()


def _rights(file: Path, contents: Sequence[str]) -> str:
    """The dump's GRANT and REVOKE statements, each of which may fail for want of a role."""
    chosen = "\n".join(line for line in contents if re.search(r"^\d+; \d+ \d+ (DEFAULT )?ACL ", line))
    if not chosen:
        return ""
    text = _read(file, "--use-list=/dev/stdin", "--no-owner", text=chosen)
    quote = f"$rights_{secrets.token_hex(8)}$"
    return "".join(
        f"do {quote} begin {line} exception when undefined_object then raise warning '{_LACKING} %', sqlerrm;"
        f" end {quote};\n"
        for line in text.splitlines()
        if line.startswith(("GRANT ", "REVOKE ", "ALTER DEFAULT PRIVILEGES "))
    )


def _read(file: Path, *options: str, text: str = "") -> str:
    """What pg_restore prints of a file."""
    to_file = () if "--list" in options else ("--file=-",)
    done = subprocess.run(
        [_program("pg_restore"), *options, *to_file, file],
        input=text, capture_output=True, check=False, env=_environment(""), encoding="utf-8",
    )  # fmt: skip
    if done.returncode == 0:
        return done.stdout
    if "unsupported version" in done.stderr:
        raise DumpError(
            f"{file} was written by a newer pg_dump than the one here: restore it with the version of the feed that"
            " wrote it, or a newer one."
        )
    if re.search("valid archive|text format dump|too short|magic string|directory|unrecognized", done.stderr):
        raise DumpError(f"{file} is no backup: give a file that ./run flask backup has written.")
    raise DumpError(f"{file} is damaged or cut short: {_first_error(done.stderr)}")


class _Said:
    """What a program says on stderr with --verbose: ``table`` is the one it is at."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.table = ""
        self._stream = process.stderr
        self._lines: list[str] = []
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()

    def error(self) -> str:
        """What went wrong, once the program has ended."""
        self._reading.join()
        return _first_error("\n".join(self._lines))

    def _read(self) -> None:
        assert self._stream is not None
        for line in self._stream:
            text = line.decode("utf-8", "replace").rstrip()
            if match := re.search(r'(?:dumping contents of|processing data for) table "?(?:public\.)?([^"]+)', text):
                self.table = match[1]
            elif "error" in text or "ERROR" in text:
                self._lines.append(text)


class _Ended:
    """The program has ended at the end of the block, however the block ends."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        with suppress(BrokenPipeError):
            self._process.__exit__(None, None, None)  # closes the pipes, and waits


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    try:
        process.wait(_TELL_SECONDS)
    except subprocess.TimeoutExpired:
        return False
    return True


def _first_error(text: str) -> str:
    """The first error among a program's lines, without its name and place."""
    lines = text.strip().splitlines() or ["it says nothing"]
    wrong = next((line for line in lines if "error:" in line.lower() or "fatal:" in line.lower()), lines[0])
    return re.sub(r"^.*?\b(?:error|fatal): +(?:ERROR: +)?", "", wrong, flags=re.IGNORECASE).rstrip(".")


def _start(program: str, dsn: str | None, *options: str | Path, **files: IO[bytes] | int) -> subprocess.Popen[bytes]:
    """Start a program on a database, if one is given."""
    parts = {} if dsn is None else parse_dsn(dsn)
    password = parts.pop("password", "")
    database = [f"--dbname={make_dsn(**parts)}"] if parts else []
    command = [_program(program), *database, *options]
    return subprocess.Popen(command, env=_environment(password), **files)  # type: ignore[call-overload, no-any-return]


def _environment(password: str) -> dict[str, str]:
    """Ours, with messages in English; the password is not seen by other users there."""
    own = {"PGPASSWORD": password} if password else {}
    return {**os.environ, "LC_ALL": "C", "PGAPPNAME": "people-feed backup", **own}


def _program(name: str) -> Path:
    programs = binaries.find(binaries.server_user(FOLDER), None, program=name)
    if programs is None:
        raise DumpError(f"There is no {name} here: install requirements.txt or the system's client.")
    return programs / name
