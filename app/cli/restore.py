"""flask restore: puts the rows of a backup into the feed's database, and makes the feed right at once.

Invariant: all or nothing. Where the role may, the file is restored beside, brought up to date, counted, and then takes
the place of the database in one step; else it is loaded in one transaction, which locks the tables meanwhile. Clients
hear ``reset``: ids go on beyond all that any of them can hold, also if the same file is restored twice.
"""

from __future__ import annotations

import secrets
import time
from contextlib import closing
from pathlib import Path

import click
from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from app.cli.backup import place_of, sentences
from app.cli.database import current_config, database
from app.cli.progress import Progress
from app.cli.recount import count_movements, sum_up_readings
from app.cli.stopping import interrupted_on_signals
from app.postgres import dump
from app.postgres.beside import Beside, BesideError
from app.postgres.connections import connect
from app.postgres.migrate import MigrationError, migrate, unknown_files
from app.postgres.sums import tables_of

# The tables that have rows before anything was written.
_FROM_THE_FIRST = (
    "schema_migrations", "change_log", "change_log_home", "change_inbox", "change_sequencer", "access_home",
    "alert_cursor", "movement_counts_cursor", "reading_rollups_cursor", "system_config",
)  # fmt: skip
_TRIES, _PAUSE_SECONDS = 5, 0.5
# Of the relations, routines and types that no extension owns, in the order in which they can go.
_REMOVE = r"""
set local lock_timeout = '10s';
set client_min_messages = warning;
do $remove$
declare
    statement text;
begin
    for statement in
        select format('lock table %s in access exclusive mode', string_agg(format('%I.%I', nspname, relname), ', '))
        from pg_class c join pg_namespace n on n.oid = relnamespace
        where relkind in ('r', 'p') and nspname !~ '^pg_' and nspname <> 'information_schema'
          and not exists (select from pg_depend where objid = c.oid and deptype = 'e')
        having count(*) > 0
    loop
        execute statement;
    end loop;
    for statement in
        select what from (
            select 1 as turn, format('drop schema if exists %I cascade', nspname) as what, oid from pg_namespace
            where nspname !~ '^pg_' and nspname not in ('information_schema', 'public')
            union all
            select 2, format('drop %s if exists public.%I cascade', case relkind
                when 'v' then 'view' when 'm' then 'materialized view' when 'S' then 'sequence'
                when 'f' then 'foreign table' else 'table' end, relname), oid
            from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p', 'v', 'm', 'S', 'f')
            union all
            select 3, format('drop routine if exists public.%I(%s) cascade',
                             proname, pg_get_function_identity_arguments(oid)), oid
            from pg_proc where pronamespace = 'public'::regnamespace
            union all
            select 4, format('drop type if exists public.%I cascade', typname), oid
            from pg_type t where typnamespace = 'public'::regnamespace and (typtype in ('e', 'd')
                or typtype = 'c' and (select relkind from pg_class where oid = t.typrelid) = 'c')
        ) as ours
        where not exists (select from pg_depend where objid = ours.oid and deptype = 'e')
        order by turn, ours.oid desc
    loop
        execute statement;
    end loop;
end
$remove$;
"""
# Beyond the newest id that the file or the replaced database knows of, by a random leap; recognize_database() adds its
# own thousand million.
_RAISE_FLOOR = """
update public.change_log_home set floor = {leap} + greatest(floor, {newest},
    (select max(folded) from public.movement_counts_cursor), (select max(evaluated) from public.alert_cursor));
"""
_RECOGNIZE = "select public.recognize_database();\n"
# The counts as of what was folded when the file was written, made those of the rows: few minutes differ, where counting
# all anew takes minutes.
_COUNT = """
set search_path = public;
analyze people_movements, movement_counts, movement_quarters;
do $count$
declare
    sessions uuid[];
    starts timestamptz[];
begin
    with there as (
        select session_id, date_trunc('minute', movement_time) as minute,
               count(*) filter (where movement_direction = 'in') as entered,
               count(*) filter (where movement_direction = 'out') as exited
        from people_movements group by 1, 2
    ), wrong as materialized (
        select session_id, minute, coalesce(t.entered, 0) as entered, coalesce(t.exited, 0) as exited
        from there t full join movement_counts c using (session_id, minute)
        where coalesce(t.entered, 0) <> coalesce(c.entered, 0) or coalesce(t.exited, 0) <> coalesce(c.exited, 0)
    ), gone as (
        delete from movement_counts c using wrong w
        where c.session_id = w.session_id and c.minute = w.minute and w.entered = 0 and w.exited = 0
    ), put as (
        insert into movement_counts select * from wrong where entered <> 0 or exited <> 0
        on conflict (session_id, minute) do update set entered = excluded.entered, exited = excluded.exited
    )
    select array_agg(k.session_id), array_agg(k.start) into sessions, starts from (
        select distinct s.session_id, quarter_of(w.minute) as start
        from wrong w cross join lateral (values (w.session_id), (null)) as s (session_id)
        where quarter_of(w.minute) is not null) as k;
    if sessions is not null then
        perform sum_quarters(sessions, starts);
    end if;
    update movement_counts_cursor
    set folded = (select greatest(floor, (select max(id) from change_log)) from change_log_home);
end
$count$;
"""


@click.command("restore")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--replace", is_flag=True, help="Replace the rows that the database has.")
@click.option("--yes", is_flag=True, help="Do not ask whether to replace them.")
def command(file: Path, *, replace: bool, yes: bool) -> None:
    """Restore the feed's database from FILE; all or nothing. The feed may run meanwhile."""
    progress = Progress()
    with interrupted_on_signals(), database(migrated=False) as url, sentences():
        migrations = dump.migrations_in(file)
        if unknown := unknown_files(migrations):
            raise click.ClickException(
                f"{file} is of another version of the feed, newer than this one: it has {unknown[-1]}, which is not in"
                " sql/ here. Restore it with that version."
            )
        beside = place_of(current_config(), url)
        with closing(connect(beside.url(), application_name="people-feed restore")) as connection:
            held, newest = _held(connection), _newest(connection)
        if held and not replace:
            raise click.ClickException(
                f"The database {beside.name} holds {held}: give an empty one, or add --replace to replace them."
            )
        if held and not yes:
            click.echo(f"The database {beside.name} holds {held}. All of it will be gone.", err=True)
            if click.prompt("Type the name of the database to replace it", err=True) != beside.name:
                raise click.ClickException(f"That is not {beside.name}: nothing was changed.")
        after = _RAISE_FLOOR.format(leap=secrets.randbelow(1000) * 1_000_000_000, newest=newest) + _RECOGNIZE
        restoring = _Restoring(file, beside, progress, after, has_floor=max(migrations) >= "0029")
        try:
            if beside.may_swap:
                restoring.beside()
            else:
                restoring.in_place()
        except (BesideError, MigrationError) as error:
            raise click.ClickException(str(error)) from error
    click.echo(f"Restored {beside.name} from {file}. Clients hear reset.")


class _Restoring:
    """One file on its way into the database. ``after`` ends the loading of a file whose log has a floor."""

    def __init__(self, file: Path, beside: Beside, progress: Progress, after: str, *, has_floor: bool) -> None:
        self._file = file
        self._beside = beside
        self._progress = progress
        self._after = after
        self._has_floor = has_floor

    def beside(self) -> None:
        """Restore beside, and swap."""
        with self._beside.scratch("restore") as fresh:
            url = self._beside.url(fresh)
            self._load(url)
            self._settle(url)
            self._beside.swap(fresh)
        self._progress.done(f"{self._beside.name} is the restored database")

    def in_place(self) -> None:
        """Restore in one transaction, which waits for others and is waited for."""
        url = self._beside.url()
        for left in reversed(range(_TRIES)):
            try:
                self._load(url, before=_REMOVE)
                break
            except dump.BusyError:  # taken in another order than by a feed that works beside it
                if not left:
                    raise
                time.sleep(_PAUSE_SECONDS)
        self._settle(url)
        # A feed that runs connects anew, and reads again who is let in.
        self._beside.end_sessions()

    def _load(self, url: str, before: str = "") -> None:
        missing = dump.load(
            self._file, url, lambda table, size: self._progress.at(f"Restoring {table}", size),
            before=before, after=self._after + _COUNT if self._has_floor else "",
        )  # fmt: skip
        self._progress.done(f"Loaded {self._file}")
        if missing:
            click.echo(
                f"Their rights were left out, as there are no such roles here: {', '.join(missing)}."
                " Create them, then see ./run flask grant.",
                err=True,
            )

    def _settle(self, url: str) -> None:
        """Bring the schema up to date, and count anew."""
        if applied := migrate(url):
            self._progress.done(f"Applied {len(applied)} migrations, up to {applied[-1]}")
        with closing(connect(url, application_name="people-feed restore", is_patient=True)) as connection:
            with connection.cursor() as cursor:
                cursor.execute("analyze" if self._has_floor else f"{self._after} analyze")
            if not self._has_floor:
                count_movements(connection)
            readings, _ = sum_up_readings(connection)
        self._progress.done(f"Summed up {readings} readings")


def _held(connection: Connection) -> str:
    """What the database holds, in words; nothing if it is empty."""
    tables = tables_of(connection)
    if any(schema != "public" for schema, _ in tables) or (tables and ("public", "schema_migrations") not in tables):
        return "tables of another program"
    found = [(table, _count(connection, table)) for _, table in tables if table not in _FROM_THE_FIRST]
    counts = {table: rows for table, rows in found if rows}
    if not counts:
        return ""
    named = [f"{counts.pop(table)} rows in {table}" for table in ("sessions", "people_movements") if table in counts]
    return ", ".join([*named, *([f"rows in {len(counts)} other tables"] if counts else [])])


def _count(connection: Connection, table: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(sql.SQL("select count(*) from {}").format(sql.Identifier("public", table)))
        [(rows,)] = cursor.fetchall()
    return int(rows)


def _newest(connection: Connection) -> int:
    """The newest id that the database has given out; 0 if it is none of the feed's."""
    with connection.cursor() as cursor:
        cursor.execute(
            "select from information_schema.columns where table_name = 'change_log_home' and column_name = 'floor'"
            " and table_schema = 'public'"
        )
        if not cursor.rowcount:
            return 0
        cursor.execute("select greatest(floor, (select max(id) from change_log)) from change_log_home")
        return max((int(newest) for (newest,) in cursor.fetchall()), default=0)
