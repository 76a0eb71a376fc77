"""flask backup: writes the feed's database into a file, and proves that the file is whole.

Invariant: a file of the given name is a whole backup, on disk, and verified unless that was left out. Until then it is
called FILE.part. Writers go on meanwhile: what is dumped, and compared, is one snapshot.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import click
import psycopg2
from psycopg2.extensions import connection as Connection

from app.cli.database import current_config, database
from app.cli.progress import Progress, megabytes
from app.cli.stopping import interrupted_on_signals
from app.config import Config
from app.postgres import dump
from app.postgres.beside import Beside
from app.postgres.embedded import Server
from app.postgres.sums import open_to_sum, sums, tables_of


@click.command("backup")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--force", is_flag=True, help="Overwrite FILE.")
@click.option("--verify/--no-verify", default=True, help="Restore it beside, and compare all rows (the default).")
def command(file: Path, *, force: bool, verify: bool) -> None:
    """Write the feed's database into FILE, for `restore`; writers go on meanwhile."""
    if file.exists() and not force:
        raise click.ClickException(f"{file} exists: give another name, or add --force to overwrite it.")
    progress = Progress()
    with interrupted_on_signals(), database(migrated=False) as url, sentences():
        beside = place_of(current_config(), url)
        if verify and not beside.may_create:
            raise click.ClickException(
                f"The role {beside.role} may not create databases, which verifying takes: add --no-verify, or let an"
                f" administrator run: alter role {beside.role} createdb."
            )
        with closing(open_to_sum(beside.url())) as connection, _new_file(file) as part:
            if ("public", "schema_migrations") not in tables_of(connection):
                raise click.ClickException("There is nothing to back up: this database has no tables of the feed.")
            with connection.cursor() as cursor:
                cursor.execute("select pg_export_snapshot()")
                [(snapshot,)] = cursor.fetchall()
            dump.write(beside.url(), snapshot, part, lambda table, size: progress.at(f"Dumping {table}", size))
            progress.done(f"Dumped {beside.name}: {megabytes(part.stat().st_size)}")
            if verify:
                rows, tables = _verify(connection, beside, part, progress)
                progress.done(f"Verified: {rows} rows in {tables} tables are those of the database")
    click.echo(f"Wrote {file}.")


@contextmanager
def sentences() -> Iterator[None]:
    """Any obstacle becomes a sentence and status 1."""
    try:
        yield
    except dump.DumpError as error:
        raise click.ClickException(str(error)) from error
    except psycopg2.Error as error:
        raise click.ClickException(f"The database refused: {str(error).strip()}") from error
    except OSError as error:
        raise click.ClickException(f"{error.filename or 'The file'}: {error.strerror}.") from error


def place_of(config: Config, url: str) -> Beside:
    """The place beside the database; that of the embedded server belongs to its superuser."""
    if config.database_url is None:
        return Beside(url, Server(config.data_dir).url("postgres", "feed"))
    return Beside(url)


@contextmanager
def _new_file(file: Path) -> Iterator[Path]:
    """FILE.part, for us alone, which becomes FILE at the end of the block; nothing is left if the block fails."""
    part = file.with_name(f"{file.name}.part")
    part.unlink(missing_ok=True)
    try:
        with open(part, "xb", opener=lambda path, flags: os.open(path, flags, 0o600)) as output:
            yield part
            os.fsync(output.fileno())
        part.replace(file)
        folder = os.open(file.absolute().parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)
    finally:
        part.unlink(missing_ok=True)


def _verify(connection: Connection, beside: Beside, part: Path, progress: Progress) -> tuple[int, int]:
    """Restore the file beside, and compare it with the snapshot; returns how many rows and tables are the same."""
    with beside.scratch("backup") as scratch:
        # Rights are no rows, and a role of them may be one that this one may not grant to.
        dump.load(
            part, beside.url(scratch), lambda table, size: progress.at(f"Restoring {table}", size), has_rights=False
        )
        with closing(open_to_sum(beside.url(scratch))) as there:
            found = sums(there, dump.LEFT_OUT)
    wanted = sums(connection, dump.LEFT_OUT)
    if found != wanted:
        wrong = sorted(table for table in found.keys() | wanted.keys() if found.get(table) != wanted.get(table))
        raise click.ClickException(
            f"The backup is not what is in the database, so it was not kept: {', '.join(wrong)}"
            f" {'differs' if len(wrong) == 1 else 'differ'}. Try again, and see the server's log."
        )
    return sum(rows for rows, _ in found.values()), len(found)
