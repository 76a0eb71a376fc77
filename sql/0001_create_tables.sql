-- The tables that cameras write and operators watch. Programs that this project does not own write them with
-- plain SQL, so their names, types and defaults stand. Numbers that may have a fraction are double precision and
-- always finite, because JSON has no word for NaN or infinity.

create type session_status as enum ('active', 'completed', 'error', 'cancelled');
create type detection_status as enum ('detecting', 'tracking', 'waiting');
create type movement_direction as enum ('in', 'out');

-- One counting run of one camera.
create table sessions (
    id                   uuid primary key default gen_random_uuid(),
    session_name         text not null,
    input_source         text,
    output_path          text,
    start_time           timestamptz not null default now(),
    end_time             timestamptz,
    duration_seconds     double precision,
    status               session_status not null default 'active',
    fps                  double precision,
    total_frames         integer,
    resolution_width     integer,
    resolution_height    integer,
    confidence_threshold double precision default 0.3,
    skip_frames          integer default 3,
    max_disappeared      integer default 15,
    max_distance         integer default 80,
    created_at           timestamptz not null default now(),
    updated_at           timestamptz not null default now(),
    constraint sessions_duration_seconds_check check (duration_seconds >= 0 and duration_seconds < 'infinity'),
    constraint sessions_fps_check check (fps >= 0 and fps < 'infinity'),
    constraint sessions_total_frames_check check (total_frames >= 0),
    constraint sessions_resolution_width_check check (resolution_width >= 0),
    constraint sessions_resolution_height_check check (resolution_height >= 0),
    constraint sessions_confidence_threshold_check check (confidence_threshold between 0 and 1),
    constraint sessions_skip_frames_check check (skip_frames >= 0),
    constraint sessions_max_disappeared_check check (max_disappeared >= 0),
    constraint sessions_max_distance_check check (max_distance >= 0)
);

-- One person seen going in or out.
create table people_movements (
    id                 uuid primary key default gen_random_uuid(),
    session_id         uuid not null,
    person_id          integer not null,
    movement_direction movement_direction not null,
    movement_time      timestamptz not null default now(),
    centroid_x         double precision,
    centroid_y         double precision,
    bounding_box_x1    double precision,
    bounding_box_y1    double precision,
    bounding_box_x2    double precision,
    bounding_box_y2    double precision,
    confidence_score   double precision,
    frame_number       integer,
    created_at         timestamptz not null default now(),
    constraint people_movements_session_id_fkey
        foreign key (session_id) references sessions (id) on delete cascade,
    constraint people_movements_centroid_check
        check (abs(centroid_x) < 'infinity' and abs(centroid_y) < 'infinity'),
    constraint people_movements_bounding_box_check
        check (abs(bounding_box_x1) < 'infinity' and abs(bounding_box_y1) < 'infinity'
           and abs(bounding_box_x2) < 'infinity' and abs(bounding_box_y2) < 'infinity'),
    constraint people_movements_confidence_score_check check (confidence_score between 0 and 1),
    constraint people_movements_frame_number_check check (frame_number >= 0)
);

-- One reading of a session, every second or so.
create table realtime_metrics (
    id                         uuid primary key default gen_random_uuid(),
    session_id                 uuid not null,
    timestamp                  timestamptz not null default now(),
    current_people_count       integer not null default 0,
    people_entered_last_minute integer default 0,
    people_exited_last_minute  integer default 0,
    detection_status           detection_status not null default 'waiting',
    fps_current                double precision,
    cpu_usage_percentage       double precision,
    memory_usage_mb            double precision,
    processing_latency_ms      double precision,
    constraint realtime_metrics_session_id_fkey
        foreign key (session_id) references sessions (id) on delete cascade,
    constraint realtime_metrics_current_people_count_check check (current_people_count >= 0),
    constraint realtime_metrics_people_entered_last_minute_check check (people_entered_last_minute >= 0),
    constraint realtime_metrics_people_exited_last_minute_check check (people_exited_last_minute >= 0),
    constraint realtime_metrics_fps_current_check check (fps_current >= 0 and fps_current < 'infinity'),
    constraint realtime_metrics_cpu_usage_percentage_check check (cpu_usage_percentage between 0 and 100),
    constraint realtime_metrics_memory_usage_mb_check check (memory_usage_mb >= 0 and memory_usage_mb < 'infinity'),
    constraint realtime_metrics_processing_latency_ms_check
        check (processing_latency_ms >= 0 and processing_latency_ms < 'infinity')
);

-- When to raise an alert; a null session means every session.
create table alert_thresholds (
    id              uuid primary key default gen_random_uuid(),
    session_id      uuid,
    threshold_name  text not null,
    threshold_value integer not null,
    alert_message   text,
    is_active       boolean not null default true,
    created_at      timestamptz not null default now(),
    updated_at      timestamptz not null default now(),
    constraint alert_thresholds_session_id_fkey
        foreign key (session_id) references sessions (id) on delete cascade,
    constraint alert_thresholds_threshold_value_check check (threshold_value >= 0)
);

-- One alert: raised once, resolved once.
create table alert_logs (
    id              uuid primary key default gen_random_uuid(),
    session_id      uuid,
    threshold_id    uuid,
    alert_type      text not null,
    alert_message   text,
    current_value   integer,
    threshold_value integer,
    triggered_at    timestamptz not null default now(),
    resolved_at     timestamptz,
    is_resolved     boolean not null default false,
    constraint alert_logs_session_id_fkey
        foreign key (session_id) references sessions (id) on delete cascade,
    constraint alert_logs_threshold_id_fkey
        foreign key (threshold_id) references alert_thresholds (id) on delete set null
);

-- The lists come newest first and page by (time, id); the filters of the API each lead an index.
create index sessions_created_at_idx on sessions (created_at, id);
create index sessions_start_time_idx on sessions (start_time, id);
create index sessions_status_idx on sessions (status, created_at, id);
create index people_movements_movement_time_idx on people_movements (movement_time, id);
create index people_movements_session_id_idx on people_movements (session_id, movement_time, id);
create index realtime_metrics_timestamp_idx on realtime_metrics (timestamp, id);
create index realtime_metrics_session_id_idx on realtime_metrics (session_id, timestamp, id);
create index alert_thresholds_session_id_idx on alert_thresholds (session_id, created_at, id);
create index alert_logs_triggered_at_idx on alert_logs (triggered_at, id);
create index alert_logs_session_id_idx on alert_logs (session_id, triggered_at, id);
create index alert_logs_threshold_id_idx on alert_logs (threshold_id);
create index alert_logs_open_idx on alert_logs (triggered_at, id) where not is_resolved;

-- updated_at keeps itself; a statement that changes nothing leaves it alone.
create function touch_updated_at() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    new.updated_at := now();
    return new;
end
$$;

create trigger sessions_touch_updated_at before update on sessions
for each row when (old.* is distinct from new.*) execute function touch_updated_at();

create trigger alert_thresholds_touch_updated_at before update on alert_thresholds
for each row when (old.* is distinct from new.*) execute function touch_updated_at();
