"""A database of the schema before this project is taken over in place, and its programs go on."""

from __future__ import annotations

from contextlib import closing

import pytest

from app.postgres.connections import connect
from app.postgres.definitions import differences

# As programs before this project made it: fixed decimals, texts of limited length, own checks, triggers and views.
_BEFORE = """
create type session_status as enum ('active', 'completed', 'error', 'cancelled');
create type detection_status as enum ('detecting', 'tracking', 'waiting');
create type movement_direction as enum ('in', 'out');
create table sessions (
    id uuid primary key default gen_random_uuid(), session_name varchar(255) not null, input_source varchar(500),
    output_path varchar(500), start_time timestamptz not null default now(), end_time timestamptz,
    duration_seconds numeric(10, 2), status session_status not null default 'active', fps numeric(8, 2),
    total_frames integer, resolution_width integer, resolution_height integer,
    confidence_threshold numeric(3, 2) default 0.3, skip_frames integer default 3, max_disappeared integer default 15,
    max_distance integer default 80, created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(), note text
);
create table people_movements (
    id uuid primary key default gen_random_uuid(), session_id uuid not null references sessions (id),
    person_id integer not null, movement_direction movement_direction not null, movement_time timestamptz not null,
    centroid_x numeric(8, 2), centroid_y numeric(8, 2), bounding_box_x1 numeric(8, 2), bounding_box_y1 numeric(8, 2),
    bounding_box_x2 numeric(8, 2), bounding_box_y2 numeric(8, 2), confidence_score numeric(3, 2), frame_number integer,
    created_at timestamptz not null default now()
);
create table realtime_metrics (
    id uuid primary key default gen_random_uuid(), session_id uuid not null references sessions (id) on delete cascade,
    timestamp timestamptz not null default now(), current_people_count integer not null default 0,
    people_entered_last_minute integer default 0, people_exited_last_minute integer default 0,
    detection_status detection_status not null default 'waiting', fps_current numeric(8, 2) check (fps_current > 0),
    cpu_usage_percentage numeric(5, 2), memory_usage_mb numeric(10, 2), processing_latency_ms numeric(8, 2)
);
create table alert_thresholds (
    id uuid primary key default gen_random_uuid(), session_id uuid references sessions (id) on delete cascade,
    threshold_name varchar(100) not null, threshold_value integer not null, alert_message text,
    is_active boolean not null default true, created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
create table alert_logs (
    id uuid primary key default gen_random_uuid(), session_id uuid not null references sessions (id) on delete cascade,
    threshold_id uuid references alert_thresholds (id) on delete set null, alert_type varchar(50) not null,
    alert_message text not null, current_value integer not null, threshold_value integer not null,
    triggered_at timestamptz not null default now(), resolved_at timestamptz, is_resolved boolean not null default false
);
create table system_config (config_key varchar(100) primary key, config_value text not null);
create view recent_movements as select * from people_movements where movement_time > now() - interval '1 hour';
create function notify_session_change() returns trigger language plpgsql as $$
begin perform pg_notify('session_changes', row_to_json(new)::text); return new; end $$;
create trigger session_change_trigger after insert or update on sessions
    for each row execute function notify_session_change();
insert into sessions (session_name, note) values ('Tür', 'kept'), ('back', 'kept');
insert into people_movements (session_id, person_id, movement_direction, movement_time, confidence_score)
    select id, n, (case when n % 3 = 0 then 'out' else 'in' end)::movement_direction,
           now() - n * interval '1 second', 0.87
    from sessions, generate_series(1, 30) as n;
insert into realtime_metrics (session_id, current_people_count, fps_current) select id, 4, 24.9 from sessions;
insert into alert_thresholds (threshold_name, threshold_value) values ('max_people_count', 50), ('min_people_count', 0),
    ('detection_accuracy_low', 80), ('fps_low', 15), ('cpu_usage_high', 90), ('memory_usage_high', 80);
insert into system_config values ('log_level', 'INFO');
"""
_TABLES = ("sessions", "people_movements", "realtime_metrics", "alert_thresholds", "alert_logs", "system_config")


@pytest.fixture
def empty(database_url):
    with closing(connect(database_url, application_name="before")) as connection:
        cursor = connection.cursor()
        cursor.execute("drop schema public cascade; create schema public")
        yield cursor


@pytest.fixture
def before(empty):
    empty.execute(_BEFORE)
    return empty


@pytest.fixture
def flask(app):
    with app.app_context():
        yield lambda *args: app.test_cli_runner().invoke(args=args)


def dump(cursor):
    """Every row, in the columns that were there before, and where it lies: a row that is rewritten lies elsewhere."""
    rows = {}
    for table in _TABLES:
        columns = "id, note" if table == "sessions" else "*" if table != "realtime_metrics" else "id, fps_current"
        cursor.execute(f"select ctid::text, {columns} from {table} order by ctid")
        rows[table] = [row[:12] for row in cursor.fetchall()]
    return rows


def test_without_apply_nothing_changes(before, flask):
    seen = flask("adopt")
    assert seen.exit_code == 0, seen.output
    for sentence in (
        "· Drop the function notify_session_change() and its triggers: the change log has its own.",
        "· Let people_movements.session_id refer to sessions, on delete cascade.",
        "· Let alert_logs.session_id be null.",
        "· Give people_movements.movement_time its default, now().",
        "· Create the index sessions_status_idx.",
        "Nothing was changed; --apply does them, in one transaction.",
    ):
        assert sentence in seen.output
    before.execute("select to_regclass('schema_migrations'), to_regnamespace('people_feed_reference')")
    assert before.fetchone() == (None, None)
    before.execute("select count(*) from pg_trigger where tgname = 'session_change_trigger'")
    assert before.fetchone() == (1,)


def test_it_is_taken_over_without_touching_a_row(before, flask, database_url, client):
    kept = dump(before)
    seen = flask("adopt", "--apply")
    assert seen.exit_code == 0, seen.output
    after = dump(before)
    # Four thresholds are given the type that their names say; nothing else moved.
    thresholds = {row[1]: row[3:5] for row in kept.pop("alert_thresholds")}
    assert {row[1]: row[3:5] for row in after.pop("alert_thresholds")} == thresholds
    assert after == kept
    with closing(connect(database_url, application_name="test")) as connection:
        assert list(differences(connection)) == []
    assert flask("adopt").output.startswith("Error: This database has migrations of this project already")
    shown = client.get("/api/stats").json
    assert (shown["now"]["inside"], shown["today"]["entered"] > 0) == (8, True)
    before.execute("select threshold_name, alert_type from alert_thresholds where type_from_name order by 1")
    assert dict(before.fetchall()) == {
        "cpu_usage_high": "cpu_usage_percentage",
        "detection_accuracy_low": "unmeasured",
        "fps_low": "fps",
        "memory_usage_high": "unmeasured",
        "min_people_count": "people_count",
    }


def test_its_programs_and_ours_write_side_by_side(before, flask, database_url, client):
    assert flask("adopt", "--apply").exit_code == 0
    before.execute("select id from sessions where session_name = 'back'")
    [(session,)] = before.fetchall()
    before.execute("select number_changes(); select max(id) from change_log")
    cursor = before.fetchone()[0] or 0
    before.execute(
        "insert into people_movements (session_id, person_id, movement_direction, movement_time, confidence_score)"
        " values (%s, 1, 'in', now(), 1.0000001)",
        (session,),
    )
    made = client.post(
        "/api/movements",
        json={"session_id": session, "person_id": 2, "movement_direction": "in", "confidence_score": 0.5},
    )
    assert made.status_code == 201, made.json
    before.execute("insert into alert_thresholds (threshold_name, threshold_value, is_total) values ('all', 1, true)")
    before.execute("select evaluate_alerts_of_now('UTC', '2 minutes', '1 hour')")
    before.execute("select number_changes()")
    before.execute("select table_name, action from change_log where id > %s order by id", (cursor,))
    assert before.fetchall() == [("people_movements", "INSERT")] * 2 + [("alert_logs", "INSERT")]
    assert client.delete(f"/api/sessions/{session}").status_code == 204
    for view in ("active_sessions", "recent_movements", "hourly_analytics", "daily_analytics"):
        before.execute(f"select count(*) from {view}")
        assert before.fetchone()[0] >= 0


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            "alter table sessions alter column start_time type timestamp using start_time at time zone 'UTC'",
            "- sessions.start_time is timestamp without time zone: ALTER TABLE … TYPE timestamp with time zone USING",
        ),
        ("alter table alert_logs drop constraint alert_logs_pkey", "- alert_logs has no primary key (id)."),
        ("alter table people_movements add column lane text not null default 'a'", None),
        ("alter table sessions add column site uuid; update sessions set site = id;"
         " alter table sessions alter column site set not null",
         "- sessions.site is not ours and has neither a default nor nulls: REST could not write rows."),
        ("alter type session_status rename value 'cancelled' to 'gone'",
         "- The type session_status lacks cancelled: ALTER TYPE … ADD VALUE adds them."),
    ],
)  # fmt: skip
def test_what_only_its_owner_can_decide_is_said_and_nothing_is_changed(before, flask, change, sentence):
    before.execute(change)
    seen = flask("adopt", "--apply")
    assert (sentence or "Adopted: ") in seen.output
    before.execute("select to_regclass('schema_migrations') is null")
    assert before.fetchone() == (sentence is not None,)


def test_an_empty_database_is_migrated_instead(empty, flask):
    assert "There is no table sessions" in flask("adopt").output
    empty.execute("select count(*) from pg_class where relnamespace = 'public'::regnamespace")
    assert empty.fetchone() == (0,)
