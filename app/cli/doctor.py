"""flask doctor: checks everything that the feed depends on, and says what to do about each finding.

Invariant: it changes nothing; every check yields findings, even if it cannot look, and one failing check does not stop
the others.
"""

from __future__ import annotations

import json
import os
import platform
import select
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from importlib.metadata import version
from typing import Any

import click
import psycopg2
from psycopg2.extensions import connection as Connection

from app.access.audit import BREAK
from app.cli.database import current_config, database
from app.cli.own_keys import OwnKeys
from app.config import COMMAND, START, Config
from app.postgres.connections import connect
from app.postgres.definitions import differences, functions, triggers

_BROKEN = "Changes reach nobody, or come wrong."
_TRY = """
with door as (insert into sessions (session_name) values ('doctor') returning id),
moved as (insert into people_movements (session_id, person_id, movement_direction) select id, 1, 'in' from door),
reading as (insert into realtime_metrics (session_id) select id from door)
insert into alert_logs (session_id, alert_type) select id, 'doctor' from door
"""
_TABLES = ("sessions", "people_movements", "realtime_metrics", "alert_thresholds", "alert_logs")
_SKEW_SECONDS = 1.0
_LATE_SECONDS = 5.0
_FREE_BYTES = 1024**3


@dataclass(frozen=True)
class Finding:
    """What was seen; ``advice`` says what to do if something is wrong."""

    what: str
    seen: str
    advice: str = ""


Check = Callable[[Connection, Config], Iterator[Finding]]


def check_versions(connection: Connection, _config: Config) -> Iterator[Finding]:
    """PostgreSQL 14 to 18, and what runs here."""
    server = connection.server_version
    advice = "" if 140_000 <= server < 190_000 else "Use PostgreSQL 14 to 18: others were not tried."
    yield Finding("PostgreSQL", f"{server // 10_000}.{server % 10_000}", advice)
    names = ("gunicorn", "gevent", "psycopg2-binary", "Flask")
    yield Finding("versions", f"Python {platform.python_version()}, " + ", ".join(f"{n} {version(n)}" for n in names))


def check_durability(connection: Connection, _config: Config) -> Iterator[Finding]:
    """A commit that clients hear of should be on disk."""
    for name in ("fsync", "synchronous_commit", "full_page_writes"):
        value = _ask(connection, "select current_setting(%s)", name)
        advice = f"Set {name} = on: a crash loses changes that clients have seen." if value == "off" else ""
        yield Finding(name, value, advice)


def check_triggers(connection: Connection, _config: Config) -> Iterator[Finding]:
    """All triggers and functions present, switched on, and ours."""
    wrong = list(differences(connection))
    yield Finding(
        "triggers and functions",
        f"{len(triggers())} and {len(functions())}, as the migrations made them" if not wrong else "; ".join(wrong[:5]),
        f"{_BROKEN} ALTER TABLE … ENABLE TRIGGER, or create them again as sql/schema.sql has them." if wrong else "",
    )
    replica = _ask(connection, "select current_setting('session_replication_role')")
    if replica == "replica":
        yield Finding("session_replication_role", replica, "Set it to origin: as replica no trigger runs.")


def check_order(connection: Connection, _config: Config) -> Iterator[Finding]:
    """Triggers of others that run before ours: what they change in turn would be recorded before what set them off."""
    ahead = _rows(
        connection,
        "select t.tgname, c.relname, ours.tgname from pg_trigger ours"
        " join pg_trigger t on t.tgrelid = ours.tgrelid and t.tgname < ours.tgname join pg_class c on c.oid = t.tgrelid"
        " where ours.tgname = any(%s) and relnamespace = 'public'::regnamespace and not t.tgisinternal"
        # Those of the type AFTER … FOR EACH ROW, switched on.
        "   and t.tgtype & 1 = 1 and t.tgtype & 66 = 0 and t.tgenabled in ('O', 'A')"
        "   and t.tgname <> all(%s) order by 1",
        ["session_change_trigger", "movement_change_trigger", "alert_change_trigger", "metrics_change_trigger"],
        list(triggers()),
    )
    for name, table, ours in ahead:
        yield Finding(
            "order",
            f"the trigger {name} of {table} runs before {ours}",
            "What it changes in watched tables reaches clients before the row that set it off. Make it a BEFORE"
            f" trigger, or let it run later: ALTER TRIGGER {name} ON {table} RENAME TO z_{name};",
        )


def check_recording(connection: Connection, _config: Config) -> Iterator[Finding]:
    """By trying: a row of each table, in a transaction that is taken back, has to come into the inbox."""
    with connection.cursor() as cursor:
        cursor.execute("begin")
        try:
            cursor.execute(_TRY)
            cursor.execute("select count(distinct table_name) from change_inbox where xid = pg_current_xact_id()")
            [(number,)] = cursor.fetchall()
        finally:
            cursor.execute("rollback")
    advice = "" if number == 4 else f"{_BROKEN} See the triggers above."
    yield Finding("recording", f"changes of {number} of 4 tables are recorded", advice)


def check_sequencer(connection: Connection, _config: Config) -> Iterator[Finding]:
    """Whether somebody gives ids to changes, and how far that is behind."""
    [(there, waiting, seconds)] = _rows(
        connection,
        "select (select count(*) from pg_stat_activity where application_name = 'people-feed sequencer'"
        "          and datname = current_database()),"
        "       count(*), coalesce(extract(epoch from clock_timestamp() - min(recorded_at)), 0)::float"
        " from unnumbered_changes()",
    )
    late = waiting and seconds > _LATE_SECONDS
    yield Finding(
        "sequencer",
        f"{there} of them, {waiting} changes have no id yet" + (f", the oldest for {seconds:.1f} s" if waiting else ""),
        f"Nobody gives ids to changes, so clients hear nothing: start a worker, or {COMMAND} sequence."
        if not there
        else "It is behind: is a worker frozen, or a transaction holding a lock on change_sequencer? See pg_locks."
        if late
        else "",
    )


def check_log(connection: Connection, config: Config) -> Iterator[Finding]:
    """Its size and age against what is to be kept."""
    [(oldest, size)] = _rows(
        connection,
        "select extract(epoch from clock_timestamp() - (select recorded_at from change_log order by id limit 1)),"
        " pg_total_relation_size('change_log')",
    )
    hours = float(oldest or 0) / 3600
    late = hours > config.retention_hours * 1.5 + 1 or size > config.retention_bytes * 1.5
    advice = f"It is not being pruned: is a worker running? `{COMMAND} prune` does it by hand." if late else ""
    yield Finding("change log", f"{size / 1e6:.0f} MB, oldest change {hours:.1f} h ago", advice)


def check_notify(connection: Connection, _config: Config) -> Iterator[Finding]:
    """A round trip, and room in the queue."""
    usage = float(_ask(connection, "select pg_notification_queue_usage()"))
    advice = (
        "Some session LISTENs and sits in a transaction: find it in pg_stat_activity (idle in transaction), end it."
        if usage > 0.25
        else ""
    )
    yield Finding("notification queue", f"{usage:.0%} full", advice)
    with connection.cursor() as cursor:
        cursor.execute("listen feed_doctor")
        began = time.monotonic()
        cursor.execute("notify feed_doctor")
    while not connection.notifies and time.monotonic() - began < 5:
        select.select([connection], [], [], 0.2)
        connection.poll()
    heard = bool(connection.notifies)
    took = (time.monotonic() - began) * 1000
    advice = "" if heard else "LISTEN does not work on this connection: connect directly, not through a pooler."
    yield Finding("NOTIFY round trip", f"{took:.1f} ms" if heard else "nothing came back within 5 s", advice)


def check_clock(connection: Connection, _config: Config) -> Iterator[Finding]:
    """The database's clock against ours."""
    before = time.time()
    theirs = float(_ask(connection, "select extract(epoch from clock_timestamp())"))
    skew = round(theirs - (before + time.time()) / 2, 3) + 0.0  # never -0.000
    advice = "Let NTP set both clocks: latencies and 'today' are wrong otherwise." if abs(skew) > _SKEW_SECONDS else ""
    yield Finding("clocks", f"the database is {skew:+.3f} s from here", advice)


def check_rights(connection: Connection, _config: Config) -> Iterator[Finding]:
    """Our role, and whether it may do what the feed does."""
    me = _ask(connection, "select current_user")
    lacking = [
        table
        for table in (*_TABLES, "change_log")
        if not _holds(connection, "select has_table_privilege(%s, 'select, insert, update, delete')", table)
    ]
    advice = f"GRANT SELECT, INSERT, UPDATE, DELETE ON {', '.join(lacking)} TO {me};" if lacking else ""
    yield Finding(
        "rights", f"of {me}: " + (f"not on {', '.join(lacking)}" if lacking else "all that is needed"), advice
    )
    if _holds(connection, "select rolsuper from pg_roles where rolname = current_user"):
        yield Finding("superuser", f"{me} is one", "Let the feed connect as a role of its own: least rights.")


def check_clocks_of_producers(connection: Connection, config: Config) -> Iterator[Finding]:
    """Sessions whose rows are of another time than that at which they come."""
    ahead = _rows(
        connection,
        "select session_name, extract(epoch from least(latest, '9999-12-31') - now())::bigint from sessions s"
        " cross join lateral (select greatest("
        "   (select max(timestamp) from realtime_metrics where session_id = s.id),"
        "   (select max(movement_time) from people_movements where session_id = s.id)) as latest) l"
        " where s.status = 'active' and latest > now() + %s * interval '1 second' order by 2 desc",
        config.clock_margin_seconds,
    )
    yield Finding(
        "clocks ahead",
        _names(ahead) or "none of the active sessions",
        f"More than {config.clock_margin_seconds:g} s: these rows count in no figure of now until their time has come."
        " Set the camera's clock, and let it send UTC."
        if ahead
        else "",
    )
    behind = _rows(
        connection,
        "select s.session_name, min(age)::bigint from ("
        "   select session_id, is_history(taken_at, recorded_at) as is_history,"
        "          extract(epoch from recorded_at - taken_at) as age"
        "   from change_log cross join lateral (values (coalesce(payload::json -> 'data' ->> 'timestamp',"
        "        payload::json -> 'data' ->> 'movement_time')::timestamptz)) as t (taken_at)"
        "   where id > (select max(id) - 5000 from change_log) and action = 'INSERT'"
        "     and table_name in ('realtime_metrics', 'people_movements') and isfinite(taken_at)"
        "     and recorded_at > now() - interval '10 minutes') as rows"
        " join sessions s on s.id = session_id and s.status = 'active' group by s.id having bool_and(is_history)"
        " order by 2 desc",
    )
    yield Finding(
        "clocks behind",
        _names(behind) or "none of the active sessions",
        "All that these sent lately was more than 10 minutes old when it came. If that is no backfill, set the clock."
        if behind
        else "",
    )


def check_thresholds(connection: Connection, _config: Config) -> Iterator[Finding]:
    """Thresholds that can never raise an alert."""
    idle = _rows(
        connection,
        "select threshold_name from alert_thresholds where alert_type = 'unmeasured' and is_active order by 1",
    )
    yield Finding(
        "thresholds",
        f"{', '.join(name for (name,) in idle[:5])}: watching nothing" if idle else "each watches something",
        "No reading has what their names say. Give them an alert_type, or delete them." if idle else "",
    )


def check_counts(connection: Connection, _config: Config) -> Iterator[Finding]:
    """The counts by minute against the movements themselves, in one snapshot."""
    [(counted, there, minutes)] = _rows(
        connection,
        "with counted as ("
        "  select session_id, minute, sum(entered) as entered, sum(exited) as exited from ("
        "    select session_id, minute, entered, exited from movement_counts union all"
        "    select * from movement_deltas((select folded from movement_counts_cursor), 9223372036854775807)) as parts"
        "  group by 1, 2"
        "), there as ("
        "  select session_id, date_trunc('minute', movement_time) as minute,"
        "         count(*) filter (where movement_direction = 'in') as entered,"
        "         count(*) filter (where movement_direction = 'out') as exited from people_movements group by 1, 2"
        ") select coalesce(sum(c.entered + c.exited), 0)::bigint, coalesce(sum(t.entered + t.exited), 0)::bigint,"
        "         count(*) filter (where coalesce(c.entered, 0) <> coalesce(t.entered, 0)"
        "                             or coalesce(c.exited, 0) <> coalesce(t.exited, 0))"
        " from counted c full join there t using (session_id, minute)",
    )
    yield Finding(
        "counts",
        f"{counted} movements counted, {there} there, {minutes} minutes of sessions differ",
        f"Movements were written or removed while triggers were off: {COMMAND} recount, then have the clients reload."
        if minutes
        else "",
    )


def check_rollups(connection: Connection, _config: Config) -> Iterator[Finding]:
    """The minutes against the readings themselves, in one snapshot: those that are filled and have not aged out."""
    [(stored, there, minutes)] = _rows(
        connection,
        "with ends as materialized ("
        "  select greatest(kept_from, filled) as since, folded from reading_rollups_cursor, change_log_home"
        "  where folded >= floor"
        "), unfolded as materialized ("
        "  select c.session_id, c.minute as start from ends, changed_minutes(folded, 9223372036854775807, null) as c"
        "), stored as ("
        "  select session_id, start, readings, people_sum from ends join reading_minutes on start >= since"
        "), there as ("
        "  select session_id, minute_of(timestamp) as start, count(*) as readings,"
        "         sum(current_people_count) as people_sum"
        "  from ends join realtime_metrics on timestamp >= since where minute_of(timestamp) is not null group by 1, 2"
        ") select coalesce(sum(s.readings), 0), coalesce(sum(t.readings), 0)::bigint,"
        "         count(*) filter (where (s.readings, s.people_sum) is distinct from (t.readings, t.people_sum))"
        " from stored s full join there t using (session_id, start) as k"
        " where not exists (select from unfolded u where u.session_id = k.session_id and u.start = k.start)",
    )
    yield Finding(
        "minutes of readings",
        f"{stored} readings summed up, {there} there, {minutes} minutes of sessions differ",
        f"Readings were written or removed while triggers were off: {COMMAND} recount." if minutes else "",
    )


def check_space(_connection: object, config: Config) -> Iterator[Finding]:
    """Room on the disk of the embedded server."""
    if config.database_url:
        yield Finding("free space", "not visible from here: the database is on another machine")
        return
    folder = config.data_dir if config.data_dir.exists() else config.data_dir.parent
    free = shutil.disk_usage(os.path.realpath(folder / "postgres")).free
    wanted = _FREE_BYTES + config.retention_bytes
    advice = f"The change log alone may take {config.retention_bytes / 1e9:.0f} GB: make room." if free < wanted else ""
    yield Finding("free space", f"{free / 1e9:.1f} GB", advice)


def check_access(connection: Connection, config: Config) -> Iterator[Finding]:
    """Who is let in, and whether the audit log is whole."""
    users, number = _rows(
        connection,
        "select (select count(*) from access_users where ended_at is null), (select count(*) from access_audit)",
    )[0]
    if config.access == "open":
        advice = (
            ""
            if config.is_local
            else "Everyone on the network may do everything: unset ACCESS, or put a login in front."
        )
        yield Finding("access", "open to everyone (ACCESS=open)", advice)
    elif users:
        yield Finding("access", f"{users} users; everyone else needs a key")
    elif config.is_local:
        yield Finding("access", "open to programs of this machine")
    else:
        yield Finding(
            "access", "nobody", f"Open the address that the start has printed, or: {COMMAND} user add NAME --role admin"
        )
    broken = _rows(connection, BREAK)[0][0]
    advice = "Somebody has altered it: compare with a backup." if broken else ""
    yield Finding("audit log", f"broken at entry {broken}" if broken else f"{number} entries, whole", advice)


def check_feed(_connection: object, config: Config) -> Iterator[Finding]:
    """The running feed, if there is one: its Listener and what it had to read without a NOTIFY."""
    url = config.url
    try:
        counters = _get(f"{url}/api/system")
        state = counters["listener"]["state"]
    except (OSError, ValueError, KeyError) as error:
        yield Finding(
            "feed",
            f"does not answer at {url} ({error})",
            f"Start it with {START}, or set HOST and PORT to where it runs.",
        )
        return
    advice = "" if state == "live" else "It cannot reach the database: see the feed's log."
    yield Finding("Listener", f"{state} at {url}, {counters['streams']} streams, {counters['changes']} changes", advice)
    if counters["unreadable"]:
        yield Finding(
            "unreadable changes",
            f"{counters['unreadable']}, the newest is named in the feed's log",
            "Clients heard reset for their topic. Find out who wrote the rows;"
            f" `{COMMAND} prune` removes them with age.",
        )
    if counters["unannounced"]:
        yield Finding(
            "unannounced changes",
            str(counters["unannounced"]),
            "These came late, without a NOTIFY: was the notification queue full?",
        )


CHECKS: tuple[Check, ...] = (
    check_versions,
    check_durability,
    check_triggers,
    check_order,
    check_recording,
    check_sequencer,
    check_log,
    check_notify,
    check_clock,
    check_rights,
    check_clocks_of_producers,
    check_thresholds,
    check_space,
    check_access,
    check_feed,
)


def examine(connection: Connection, config: Config, checks: Iterable[Check]) -> Iterator[Finding]:
    """Every finding of every check."""
    for check in checks:
        try:
            yield from check(connection, config)
        except (psycopg2.Error, OSError) as error:
            yield Finding(
                check.__name__.removeprefix("check_"), f"could not be checked: {str(error).strip()}", "See above."
            )


def examine_without_database(reason: str, config: Config) -> Iterator[Finding]:
    """What can be checked while the database is unavailable."""
    place = "DATABASE_URL or DB_HOST… as it should be" if config.database_url else f"{config.data_dir / 'postgres.log'}"
    yield Finding(
        "database", " ".join(reason.split()), f"Is it running, and does it accept connections? Check {place}."
    )
    yield from check_space(None, config)
    yield from check_feed(None, config)


@click.command("doctor")
@click.option("--counts", is_flag=True, help="Compare counts and minutes with all rows as well.")
def command(counts: bool) -> None:
    """Check everything the feed depends on. Status 1 if something needs doing."""
    config = current_config()
    try:
        with (
            database(migrated=False) as url,
            closing(connect(url, application_name="doctor", is_patient=counts)) as connection,
        ):
            sick = sum(_tell(finding) for finding in examine(connection, config, CHECKS))
            if counts:
                sick += sum(_tell(finding) for finding in examine(connection, config, (check_counts, check_rollups)))
    except click.ClickException as away:
        sick = sum(_tell(finding) for finding in examine_without_database(away.message, config))
    if sick:
        raise click.ClickException(f"{sick} of these need doing.")
    click.echo("Everything is fine.")


def _tell(finding: Finding) -> bool:
    """Print the finding; returns whether something needs doing."""
    mark = click.style("!", fg="red", bold=True) if finding.advice else click.style("✓", fg="green")
    click.echo(f"{mark} {finding.what:<24} {finding.seen}")
    if finding.advice:
        click.echo(f"    {finding.advice}")
    return bool(finding.advice)


def _rows(connection: Connection, question: str, *values: object) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(question, values)
        return cursor.fetchall()


def _names(sessions: list[tuple[Any, ...]]) -> str:
    """The first sessions by name, and how far each is off."""
    shown = [f"{name} by {timedelta(seconds=seconds)}" for name, seconds in sessions[:3]]
    return ", ".join([*shown, *([f"and {len(sessions) - 3} more"] if len(sessions) > 3 else [])])


def _ask(connection: Connection, question: str, *values: object) -> str:
    return str(_rows(connection, question, *values)[0][0])


def _holds(connection: Connection, question: str, *values: object) -> bool:
    return bool(_rows(connection, question, *values)[0][0])


def _get(url: str) -> dict[str, Any]:
    """The answer as JSON, with a key of our own if the feed asks for one."""
    keys, request = OwnKeys(), urllib.request.Request(url)
    try:
        while True:
            try:
                with urllib.request.urlopen(request, timeout=5) as response:
                    answer: dict[str, Any] = json.load(response)
                    return answer
            except urllib.error.HTTPError as error:
                if error.code != 401 or request.has_header("Authorization"):
                    raise
                request.add_header("Authorization", f"Bearer {keys.new()}")
    finally:
        keys.revoke()
