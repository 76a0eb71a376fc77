"""flask stats: the feed in a dozen figures, at a shell."""

from __future__ import annotations

import json

import click
from sqlalchemy import text

from app.cli.database import current_config, database
from app.postgres.counts import QUIET_SECONDS, TODAY_AND_NOW
from app.postgres.snapshot import snapshot

_LOG = text("""
select json_build_object(
    'newest', coalesce(max(id), 0), 'oldest', coalesce(min(id), 0),
    'since', to_char(min(recorded_at), 'YYYY-MM-DD HH24:MI:SS TZ'),
    'last_minute', (select count(*) from change_log where id > coalesce((select max(id) from change_log), 0) - 1000000
                    and recorded_at > clock_timestamp() - interval '1 minute'),
    'size', pg_size_pretty(pg_total_relation_size('change_log')))::text
from change_log where id in ((select min(id) from change_log where id > (select floor from change_log_home)),
                             (select max(id) from change_log))
""")


@click.command("stats")
@click.option("--tz", help="The time zone whose midnight begins today; without it, that of TIME_ZONE.")
def command(tz: str | None) -> None:
    """Print how many people are inside, what came today, and how full the change log is."""
    config = current_config()
    tz = tz or config.time_zone
    with database(), snapshot() as connection:
        known = connection.execute(text("select exists (select from pg_timezone_names where name = :tz)"), {"tz": tz})
        if not known.scalar_one():
            raise click.ClickException(f"--tz {tz} is not a time zone; use one such as Europe/Berlin.")
        asked = {
            "zone": tz,
            "margin": config.clock_margin_seconds,
            "silence": config.session_silence_seconds,
            "quiet": QUIET_SECONDS,
        }
        people = json.loads(connection.execute(TODAY_AND_NOW, asked).scalar_one())
        log = json.loads(connection.execute(_LOG).scalar_one())
    today, now = people["today"], people["now"]
    rows = (
        ("inside now", now["inside"]),
        ("active sessions", now["active_sessions"]),
        ("silent of these", f"{now['silent_sessions']}, with {now['inside_silent']} inside"),
        ("clocks ahead", f"{now['ahead_sessions']} of these"),
        ("open alerts", now["open_alerts"]),
        ("entered today", today["entered"]),
        ("exited today", today["exited"]),
        ("peak today", today["peak"]),
        ("changes, last minute", log["last_minute"]),
        ("change log", f"{log['oldest']} to {log['newest']}, {log['size']}, since {log['since'] or 'never'}"),
    )
    for name, value in rows:
        click.echo(f"{name:<21} {value}")
