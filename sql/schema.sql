-- The schema that the migrations in this folder make, for reading. Nothing runs this file.
-- Written by `./run flask schema`; a test compares it with the migrations.

CREATE TYPE public.detection_status AS ENUM (
    'detecting',
    'tracking',
    'waiting'
);

CREATE TYPE public.movement_direction AS ENUM (
    'in',
    'out'
);

CREATE TYPE public.session_status AS ENUM (
    'active',
    'completed',
    'error',
    'cancelled'
);

CREATE TABLE public.realtime_metrics (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    session_id uuid NOT NULL,
    "timestamp" timestamp with time zone DEFAULT now() NOT NULL,
    current_people_count integer DEFAULT 0 NOT NULL,
    people_entered_last_minute integer DEFAULT 0,
    people_exited_last_minute integer DEFAULT 0,
    detection_status public.detection_status DEFAULT 'waiting'::public.detection_status NOT NULL,
    fps_current double precision,
    cpu_usage_percentage double precision,
    memory_usage_mb double precision,
    processing_latency_ms double precision,
    created_at timestamp with time zone DEFAULT now(),
    CONSTRAINT realtime_metrics_cpu_usage_percentage_check CHECK (((cpu_usage_percentage >= (0)::double precision) AND (cpu_usage_percentage <= (100)::double precision))),
    CONSTRAINT realtime_metrics_current_people_count_check CHECK ((current_people_count >= 0)),
    CONSTRAINT realtime_metrics_fps_current_check CHECK (((fps_current >= (0)::double precision) AND (fps_current < 'Infinity'::double precision))),
    CONSTRAINT realtime_metrics_memory_usage_mb_check CHECK (((memory_usage_mb >= (0)::double precision) AND (memory_usage_mb < 'Infinity'::double precision))),
    CONSTRAINT realtime_metrics_people_entered_last_minute_check CHECK ((people_entered_last_minute >= 0)),
    CONSTRAINT realtime_metrics_people_exited_last_minute_check CHECK ((people_exited_last_minute >= 0)),
    CONSTRAINT realtime_metrics_processing_latency_ms_check CHECK (((processing_latency_ms >= (0)::double precision) AND (processing_latency_ms < 'Infinity'::double precision)))
);

CREATE FUNCTION public.add_reading_hours(gone public.realtime_metrics[]) RETURNS void
    LANGUAGE sql
    AS $$
    with said as (
        select r.session_id, hour_of(r.timestamp) as start, count(*) as readings,
           count(r.current_people_count) as people_count, sum(summable(r.current_people_count)) as people_sum, summable(min(r.current_people_count)) as people_least, summable(max(r.current_people_count)) as people_most,
           count(r.people_entered_last_minute) as entered_count, sum(summable(r.people_entered_last_minute)) as entered_sum, summable(min(r.people_entered_last_minute)) as entered_least, summable(max(r.people_entered_last_minute)) as entered_most,
           count(r.people_exited_last_minute) as exited_count, sum(summable(r.people_exited_last_minute)) as exited_sum, summable(min(r.people_exited_last_minute)) as exited_least, summable(max(r.people_exited_last_minute)) as exited_most,
           count(r.fps_current) as fps_count, sum(summable(r.fps_current)) as fps_sum, summable(min(r.fps_current)) as fps_least, summable(max(r.fps_current)) as fps_most,
           count(r.cpu_usage_percentage) as cpu_count, sum(summable(r.cpu_usage_percentage)) as cpu_sum, summable(min(r.cpu_usage_percentage)) as cpu_least, summable(max(r.cpu_usage_percentage)) as cpu_most,
           count(r.memory_usage_mb) as memory_count, sum(summable(r.memory_usage_mb)) as memory_sum, summable(min(r.memory_usage_mb)) as memory_least, summable(max(r.memory_usage_mb)) as memory_most,
           count(r.processing_latency_ms) as latency_count, sum(summable(r.processing_latency_ms)) as latency_sum, summable(min(r.processing_latency_ms)) as latency_least, summable(max(r.processing_latency_ms)) as latency_most
        from unnest(gone) as r where hour_of(r.timestamp) is not null group by 1, 2
    )
    insert into reading_hours
    select r.session_id, r.start, sum(r.readings),
           sum(r.people_count) as people_count, sum(r.people_sum) as people_sum, min(r.people_least) as people_least, max(r.people_most) as people_most,
           sum(r.entered_count) as entered_count, sum(r.entered_sum) as entered_sum, min(r.entered_least) as entered_least, max(r.entered_most) as entered_most,
           sum(r.exited_count) as exited_count, sum(r.exited_sum) as exited_sum, min(r.exited_least) as exited_least, max(r.exited_most) as exited_most,
           sum(r.fps_count) as fps_count, sum(r.fps_sum) as fps_sum, min(r.fps_least) as fps_least, max(r.fps_most) as fps_most,
           sum(r.cpu_count) as cpu_count, sum(r.cpu_sum) as cpu_sum, min(r.cpu_least) as cpu_least, max(r.cpu_most) as cpu_most,
           sum(r.memory_count) as memory_count, sum(r.memory_sum) as memory_sum, min(r.memory_least) as memory_least, max(r.memory_most) as memory_most,
           sum(r.latency_count) as latency_count, sum(r.latency_sum) as latency_sum, min(r.latency_least) as latency_least, max(r.latency_most) as latency_most
    from (
        select * from said
        union all
        select stored.* from reading_hours as stored join said using (session_id, start)
    ) as r
    group by 1, 2
    on conflict (session_id, start) do update set
    readings = excluded.readings, people_count = excluded.people_count, people_sum = excluded.people_sum, people_least = excluded.people_least, people_most = excluded.people_most,
    entered_count = excluded.entered_count, entered_sum = excluded.entered_sum, entered_least = excluded.entered_least, entered_most = excluded.entered_most,
    exited_count = excluded.exited_count, exited_sum = excluded.exited_sum, exited_least = excluded.exited_least, exited_most = excluded.exited_most,
    fps_count = excluded.fps_count, fps_sum = excluded.fps_sum, fps_least = excluded.fps_least, fps_most = excluded.fps_most,
    cpu_count = excluded.cpu_count, cpu_sum = excluded.cpu_sum, cpu_least = excluded.cpu_least, cpu_most = excluded.cpu_most,
    memory_count = excluded.memory_count, memory_sum = excluded.memory_sum, memory_least = excluded.memory_least, memory_most = excluded.memory_most,
    latency_count = excluded.latency_count, latency_sum = excluded.latency_sum, latency_least = excluded.latency_least, latency_most = excluded.latency_most
$$;

CREATE FUNCTION public.add_reading_minutes(gone public.realtime_metrics[]) RETURNS void
    LANGUAGE sql
    AS $$
    with said as (
        select r.session_id, minute_of(r.timestamp) as start, count(*) as readings,
           count(r.current_people_count) as people_count, sum(summable(r.current_people_count)) as people_sum, summable(min(r.current_people_count)) as people_least, summable(max(r.current_people_count)) as people_most,
           count(r.people_entered_last_minute) as entered_count, sum(summable(r.people_entered_last_minute)) as entered_sum, summable(min(r.people_entered_last_minute)) as entered_least, summable(max(r.people_entered_last_minute)) as entered_most,
           count(r.people_exited_last_minute) as exited_count, sum(summable(r.people_exited_last_minute)) as exited_sum, summable(min(r.people_exited_last_minute)) as exited_least, summable(max(r.people_exited_last_minute)) as exited_most,
           count(r.fps_current) as fps_count, sum(summable(r.fps_current)) as fps_sum, summable(min(r.fps_current)) as fps_least, summable(max(r.fps_current)) as fps_most,
           count(r.cpu_usage_percentage) as cpu_count, sum(summable(r.cpu_usage_percentage)) as cpu_sum, summable(min(r.cpu_usage_percentage)) as cpu_least, summable(max(r.cpu_usage_percentage)) as cpu_most,
           count(r.memory_usage_mb) as memory_count, sum(summable(r.memory_usage_mb)) as memory_sum, summable(min(r.memory_usage_mb)) as memory_least, summable(max(r.memory_usage_mb)) as memory_most,
           count(r.processing_latency_ms) as latency_count, sum(summable(r.processing_latency_ms)) as latency_sum, summable(min(r.processing_latency_ms)) as latency_least, summable(max(r.processing_latency_ms)) as latency_most
        from unnest(gone) as r where minute_of(r.timestamp) is not null group by 1, 2
    )
    insert into reading_minutes
    select r.session_id, r.start, sum(r.readings),
           sum(r.people_count) as people_count, sum(r.people_sum) as people_sum, min(r.people_least) as people_least, max(r.people_most) as people_most,
           sum(r.entered_count) as entered_count, sum(r.entered_sum) as entered_sum, min(r.entered_least) as entered_least, max(r.entered_most) as entered_most,
           sum(r.exited_count) as exited_count, sum(r.exited_sum) as exited_sum, min(r.exited_least) as exited_least, max(r.exited_most) as exited_most,
           sum(r.fps_count) as fps_count, sum(r.fps_sum) as fps_sum, min(r.fps_least) as fps_least, max(r.fps_most) as fps_most,
           sum(r.cpu_count) as cpu_count, sum(r.cpu_sum) as cpu_sum, min(r.cpu_least) as cpu_least, max(r.cpu_most) as cpu_most,
           sum(r.memory_count) as memory_count, sum(r.memory_sum) as memory_sum, min(r.memory_least) as memory_least, max(r.memory_most) as memory_most,
           sum(r.latency_count) as latency_count, sum(r.latency_sum) as latency_sum, min(r.latency_least) as latency_least, max(r.latency_most) as latency_most
    from (
        select * from said
        union all
        select stored.* from reading_minutes as stored join said using (session_id, start)
    ) as r
    group by 1, 2
    on conflict (session_id, start) do update set
    readings = excluded.readings, people_count = excluded.people_count, people_sum = excluded.people_sum, people_least = excluded.people_least, people_most = excluded.people_most,
    entered_count = excluded.entered_count, entered_sum = excluded.entered_sum, entered_least = excluded.entered_least, entered_most = excluded.entered_most,
    exited_count = excluded.exited_count, exited_sum = excluded.exited_sum, exited_least = excluded.exited_least, exited_most = excluded.exited_most,
    fps_count = excluded.fps_count, fps_sum = excluded.fps_sum, fps_least = excluded.fps_least, fps_most = excluded.fps_most,
    cpu_count = excluded.cpu_count, cpu_sum = excluded.cpu_sum, cpu_least = excluded.cpu_least, cpu_most = excluded.cpu_most,
    memory_count = excluded.memory_count, memory_sum = excluded.memory_sum, memory_least = excluded.memory_least, memory_most = excluded.memory_most,
    latency_count = excluded.latency_count, latency_sum = excluded.latency_sum, latency_least = excluded.latency_least, latency_most = excluded.latency_most
$$;

CREATE TABLE public.alert_thresholds (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    session_id uuid,
    threshold_name text NOT NULL,
    threshold_value integer NOT NULL,
    alert_message text,
    is_active boolean DEFAULT true NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    alert_type text DEFAULT 'by name'::text NOT NULL,
    resolve_margin integer,
    direction text DEFAULT 'above'::text NOT NULL,
    lasting_seconds integer DEFAULT 0 NOT NULL,
    is_total boolean DEFAULT false NOT NULL,
    type_from_name boolean DEFAULT false NOT NULL,
    CONSTRAINT alert_thresholds_alert_type_check CHECK ((alert_type = ANY (ARRAY['people_count'::text, 'entered_per_minute'::text, 'exited_per_minute'::text, 'processing_latency_ms'::text, 'fps'::text, 'cpu_usage_percentage'::text, 'memory_usage_mb'::text, 'no_signal_seconds'::text, 'unmeasured'::text]))),
    CONSTRAINT alert_thresholds_direction_check CHECK ((direction = ANY (ARRAY['above'::text, 'below'::text]))),
    CONSTRAINT alert_thresholds_lasting_seconds_check CHECK (((lasting_seconds >= 0) AND (lasting_seconds <= 86400))),
    CONSTRAINT alert_thresholds_resolve_margin_check CHECK ((resolve_margin >= 0)),
    CONSTRAINT alert_thresholds_threshold_value_check CHECK ((threshold_value >= 0))
);

COMMENT ON COLUMN public.alert_thresholds.resolve_margin IS 'Null: a tenth of the threshold.';

COMMENT ON COLUMN public.alert_thresholds.direction IS 'Reached: above is value >= threshold_value, below is value < threshold_value.';

COMMENT ON COLUMN public.alert_thresholds.lasting_seconds IS 'For how long it has to be reached, by the database''s clock.';

COMMENT ON COLUMN public.alert_thresholds.is_total IS 'Watches the sum over all active sessions instead of each.';

COMMENT ON COLUMN public.alert_thresholds.type_from_name IS 'Nobody gave a type: it was read off a well-known name.';

CREATE FUNCTION public.apply_value(threshold public.alert_thresholds, session uuid, value double precision, since timestamp with time zone) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
#variable_conflict use_variable
declare
    -- Not everything that a camera measures fits into the column.
    shown integer := greatest(least(value, 2147483647), -2147483648)::integer;
    margin integer := coalesce(threshold.resolve_margin, threshold.threshold_value / 10);
    state public.alert_states;
begin
    select s.* into state from public.alert_states s
    where s.threshold_id = threshold.id and coalesce(s.session_id, s.threshold_id) = coalesce(session, threshold.id);
    if state.since is null then
        if not threshold.is_active or not public.is_reached(threshold, value) then
            return;
        end if;
        insert into public.alert_states (threshold_id, session_id, since, value)
        values (threshold.id, session, since, shown) on conflict do nothing;
        if found and threshold.lasting_seconds = 0 then
            perform public.raise_alert(threshold, session, shown);
        end if;
        return;
    end if;
    if state.alert_id is null and threshold.is_active
            and state.since + threshold.lasting_seconds * interval '1 second' <= since then
        perform public.raise_alert(threshold, session, state.value);
        select s.* into state from public.alert_states s
        where s.threshold_id = threshold.id and coalesce(s.session_id, s.threshold_id) = coalesce(session, threshold.id);
    end if;
    if not threshold.is_active
            or not public.is_reached(threshold, value, case when state.alert_id is null then 0 else margin end) then
        delete from public.alert_states s
        where s.threshold_id = threshold.id and coalesce(s.session_id, s.threshold_id) = coalesce(session, threshold.id);
        update public.alert_logs a set is_resolved = true, current_value = shown
        where a.id = state.alert_id and not a.is_resolved;
    elsif state.alert_id is null then
        update public.alert_states s set value = shown
        where s.threshold_id = threshold.id and coalesce(s.session_id, s.threshold_id) = coalesce(session, threshold.id)
          and s.value is distinct from shown;
    else
        update public.alert_logs a set current_value = shown
        where a.id = state.alert_id and not a.is_resolved and a.current_value is distinct from shown;
    end if;
end
$$;

CREATE FUNCTION public.audit(actor text, address text, action text, subject text, details jsonb) RETURNS bigint
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    entry public.access_audit;
begin
    select home.audit_id + 1, clock_timestamp(), audit.actor, audit.address, audit.action, audit.subject, audit.details, home.audit_hash
    into entry.id, entry.at, entry.actor, entry.address, entry.action, entry.subject, entry.details, entry.hash
    from public.access_home as home for update;
    entry.hash := public.audit_hash(entry.hash, entry);
    insert into public.access_audit select entry.*;
    update public.access_home set audit_id = entry.id, audit_hash = entry.hash;
    return entry.id;
end
$$;

CREATE TABLE public.access_audit (
    id bigint NOT NULL,
    at timestamp with time zone NOT NULL,
    actor text NOT NULL,
    address text NOT NULL,
    action text NOT NULL,
    subject text NOT NULL,
    details jsonb NOT NULL,
    hash bytea NOT NULL
);

COMMENT ON TABLE public.access_audit IS 'Who did what to which row from where. Each entry''s hash covers the one before it.';

CREATE FUNCTION public.audit_hash(before bytea, entry public.access_audit) RETURNS bytea
    LANGUAGE sql IMMUTABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    select sha256(before || convert_to(jsonb_build_array(
        entry.id, extract(epoch from entry.at), entry.actor, entry.address, entry.action, entry.subject, entry.details)::text,
        'UTF8'))
$$;

CREATE FUNCTION public.changed_minutes(after bigint, upto bigint, session uuid) RETURNS TABLE(session_id uuid, minute timestamp with time zone)
    LANGUAGE sql STABLE
    AS $$
    select (line ->> 'session_id')::uuid, minute_of((line ->> 'timestamp')::timestamptz)
    from (
        select change -> 'data' as new_row, change -> 'old_data' as old_row
        from (select payload::jsonb as change from change_log
              where id > after and id <= upto and table_name = 'realtime_metrics' and action in ('INSERT', 'UPDATE', 'DELETE')
                and (session is null or change_log.session_id = session or old_session_id = session)
              offset 0) as parsed
        union all
        select new_row::jsonb, old_row::jsonb from unnumbered_changes() as u
        where upto = 9223372036854775807 and table_name = 'realtime_metrics' and action in ('INSERT', 'UPDATE', 'DELETE')
          and (session is null or u.session_id = session or old_session_id = session)
    ) as changes
    cross join lateral (values (new_row), (old_row)) as lines (line)
    where line ->> 'session_id' is not null
$$;

CREATE FUNCTION public.count_failure(of_kind text, of_subject text, most_seconds double precision) RETURNS double precision
    LANGUAGE sql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    insert into public.access_failures as f values (of_kind, of_subject, 1, now())
    on conflict (kind, subject) do update set
        -- What lies an hour back is forgotten.
        failures = case when f.next_at < now() - interval '1 hour' then 1 else f.failures + 1 end,
        next_at = now() + make_interval(secs => case
            when f.next_at < now() - interval '1 hour' or f.failures < 3 then 0
            else least(most_seconds, 0.25 * 2 ^ least(f.failures - 2, 20)) end)
    returning greatest(0, extract(epoch from next_at - now()))::double precision
$$;

CREATE FUNCTION public.database_identity() RETURNS text
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    select concat_ws('/', s.system_identifier,
                     case when pg_is_in_recovery() then lpad(to_hex(c.timeline_id), 8, '0')
                          else left(pg_walfile_name(pg_current_wal_insert_lsn()), 8) end,
                     d.oid, 'public.change_log'::regclass::oid)
    from pg_control_system() s, pg_control_checkpoint() c, pg_database d
    where d.datname = current_database()
$$;

COMMENT ON FUNCTION public.database_identity() IS 'Which database and log this is: cluster, timeline (a new one for each promotion and recovery), database, table.';

CREATE FUNCTION public.doors_of_now(zone text, clock_margin interval, silence interval) RETURNS TABLE(session_id uuid, taken_at timestamp with time zone, people bigint)
    LANGUAGE sql STABLE
    AS $$
    with doors as materialized (
        select s.id, m.timestamp as taken_at, m.current_people_count as people
        from sessions s
        left join lateral (select timestamp, current_people_count from realtime_metrics
                           where session_id = s.id and timestamp <= now() + clock_margin
                             and timestamp >= now() - silence
                           order by timestamp desc, id desc limit 1) m on true
        where s.status = 'active'
    ), ends as materialized (
        select local_start('day', now(), zone) as since,
               date_trunc('minute', now() + clock_margin) + interval '1 minute' as until
    ), deltas as materialized (
        select m.session_id, m.minute, m.entered - m.exited as net
        from movement_deltas((select folded from movement_counts_cursor), 9223372036854775807) m
        join doors d on d.id = m.session_id and d.taken_at is null
        join ends e on m.minute >= e.since and m.minute < e.until
    ), broken as materialized (
        select session_id, quarter_of(minute) as start from deltas
        union
        select d.id, quarter_of(edge) from doors d, ends e, lateral (values (e.since), (e.until)) as edges (edge)
        where d.taken_at is null
    ), minutes as (
        select session_id, minute, sum(net) as net from (
            select c.session_id, c.minute, c.entered - c.exited as net
            from ends e, broken b join movement_counts c on c.session_id = b.session_id
                and c.minute >= b.start and c.minute < b.start + interval '15 minutes'
            where c.minute >= e.since and c.minute < e.until
            union all
            select * from deltas) as parts
        group by 1, 2
    ), pieces as (
        select session_id, minute as start, net, net as lowest from minutes
        union all
        select q.session_id, q.start, q.entered - q.exited, q.lowest
        from ends e, doors d join movement_quarters q on q.session_id = d.id
        where d.taken_at is null and q.start >= e.since and q.start < e.until
          and not exists (select from broken b where b.session_id = q.session_id and b.start = q.start)
    ), counted as (
        select session_id, sum(net) - least(0, min(before + lowest)) as people
        from (select *, sum(net) over (partition by session_id order by start) - net as before from pieces) as running
        group by 1
    )
    select d.id, d.taken_at, coalesce(d.people, c.people, 0)::bigint from doors d left join counted c on c.session_id = d.id
$$;

CREATE FUNCTION public.end_silent_sessions(silence interval) RETURNS bigint
    LANGUAGE plpgsql
    AS $$
declare
    ended bigint;
begin
    with back as (
        delete from silent_sessions q using session_reports r
        where r.session_id = q.session_id and r.reported_at > q.ended_at returning q.session_id, q.ended_at
    )
    update sessions s set status = 'active', end_time = null, duration_seconds = null
    from back b where s.id = b.session_id and s.status = 'error' and s.end_time = b.ended_at;

    with ended as (
        update sessions s
        set status = 'error', end_time = r.reported_at,
            -- In a database that was adopted the column may be numeric(10,2), and end at three years.
            duration_seconds = case when isfinite(s.start_time) and isfinite(r.reported_at)
                                    then least(greatest(0, extract(epoch from r.reported_at - s.start_time)), limit_) end
        from session_reports r, (
            select case when atttypmod >= 0 then 99999999 else 'infinity'::double precision end as limit_
            from pg_attribute where attrelid = 'sessions'::regclass and attname = 'duration_seconds') as widest
        where r.session_id = s.id and s.status = 'active' and greatest(r.reported_at, s.updated_at) < now() - silence
        returning s.id, s.end_time
    ), calmed as (
        delete from alert_states a using ended e where a.session_id = e.id returning a.alert_id
    ), resolved as (
        update alert_logs set is_resolved = true where id in (select alert_id from calmed) and not is_resolved
    )
    insert into silent_sessions as q select * from ended
    on conflict (session_id) do update set ended_at = excluded.ended_at;
    get diagnostics ended = row_count;
    delete from session_reports r
    where not exists (select from sessions s where s.id = r.session_id and s.status = 'active');
    delete from silent_sessions q where not exists (select from sessions s where s.id = q.session_id);
    delete from newest_readings n where not exists (select from sessions s where s.id = n.session_id);
    return ended;
end
$$;

CREATE FUNCTION public.evaluate_alerts(most integer DEFAULT 2000, clock_margin interval DEFAULT '00:02:00'::interval) RETURNS bigint
    LANGUAGE plpgsql
    AS $$
declare
    first bigint;
    last bigint;
    reached record;
begin
    select evaluated into first from alert_cursor for update skip locked;
    if not found then
        return null;
    end if;
    -- What was pruned before it was evaluated is passed over.
    select greatest(first, floor) into first from change_log_home;
    select max(id) into last from (select id from change_log where id > first order by id limit most) as next;
    if last is null then
        return 0;
    end if;
    begin
        for reached in
            with readings as materialized (
                select l.id, l.session_id, l.recorded_at, d.timestamp as taken_at, d.*
                from change_log l cross join lateral json_to_record(payload::json) as p (data json)
                cross join lateral json_to_record(p.data) as d ("timestamp" timestamptz,
                    current_people_count double precision, people_entered_last_minute double precision,
                    people_exited_last_minute double precision, processing_latency_ms double precision,
                    fps_current double precision, cpu_usage_percentage double precision, memory_usage_mb double precision)
                where l.id > first and l.id <= last and table_name = 'realtime_metrics' and action = 'INSERT'
            ), of_now as (
                select r.*, max(r.taken_at) over (partition by r.session_id order by r.id
                                                  rows between unbounded preceding and 1 preceding) as before
                from readings r
                where not is_history(r.taken_at, r.recorded_at) and r.taken_at <= r.recorded_at + clock_margin
            ), pairs as (
                select r.id, r.session_id, r.recorded_at, t as threshold, t.id as threshold_id, v.value,
                       t.is_active and is_reached(t, v.value) as reaches
                from of_now r
                -- It may have been deleted, or stopped, meanwhile.
                join sessions s on s.id = r.session_id and (s.status = 'active' or s.status = 'error' and exists (
                    -- Silence ended it, and this reading brings it back.
                    select from silent_sessions q where q.session_id = s.id and q.ended_at = s.end_time))
                left join newest_readings n on n.session_id = r.session_id
                cross join lateral (values
                    ('people_count', r.current_people_count),
                    ('entered_per_minute', r.people_entered_last_minute),
                    ('exited_per_minute', r.people_exited_last_minute),
                    ('processing_latency_ms', r.processing_latency_ms),
                    ('fps', r.fps_current),
                    ('cpu_usage_percentage', r.cpu_usage_percentage),
                    ('memory_usage_mb', r.memory_usage_mb))
                    as v (alert_type, value)
                join alert_thresholds t
                    on t.alert_type = v.alert_type and not t.is_total
                    and (t.session_id is null or t.session_id = r.session_id)
                where v.value is not null and r.taken_at >= coalesce(greatest(r.before, n.taken_at), '-infinity')
            )
            -- Most readings reach no threshold and belong to no alert that lasts: only the others are looked at singly.
            select threshold, session_id, value, recorded_at from (
                select *, bool_or(reaches) over (partition by threshold_id, session_id order by id) as was_reached,
                       exists (select from alert_states a
                               where a.threshold_id = p.threshold_id and a.session_id = p.session_id) as lasts
                from pairs p) as judged
            where was_reached or lasts
            order by id, threshold_id
        loop
            perform apply_value(reached.threshold, reached.session_id, reached.value, reached.recorded_at);
        end loop;
        insert into newest_readings as n
        select session_id, max(taken_at) from (
            select session_id, recorded_at, (payload::json #>> '{data,timestamp}')::timestamptz as taken_at from change_log
            where id > first and id <= last and table_name = 'realtime_metrics' and action = 'INSERT'
            offset 0) as r
        where not is_history(taken_at, recorded_at) and taken_at <= recorded_at + clock_margin
        group by session_id
        on conflict (session_id) do update set taken_at = excluded.taken_at where n.taken_at < excluded.taken_at;
    exception when data_exception or statement_too_complex then
        if last - first > 1 and most > 1 then
            return evaluate_alerts(most / 2, clock_margin);
        end if;
        raise warning 'change % cannot be read and raises no alert: %', last, sqlerrm;
    end;
    update alert_cursor set evaluated = last;
    return last - first;
end
$$;

CREATE FUNCTION public.evaluate_alerts_of_now(zone text, clock_margin interval, silence interval) RETURNS void
    LANGUAGE plpgsql
    AS $$
declare
    at timestamptz := clock_timestamp();
    reached record;
begin
    if not exists (select from alert_thresholds) then
        return;
    end if;
    -- One session at a time, and never beside one that follows the readings.
    perform from alert_cursor for update;
    for reached in
        select t as threshold, r.session_id, extract(epoch from at - r.reported_at) as silent
        from alert_thresholds t
        join session_reports r on t.session_id is null or t.session_id = r.session_id
        join sessions s on s.id = r.session_id and s.status = 'active'
        where t.alert_type = 'no_signal_seconds'
    loop
        if is_reached(reached.threshold, reached.silent) or exists (
            select from alert_states
            where threshold_id = (reached.threshold).id and session_id = reached.session_id)
        then
            perform apply_value(reached.threshold, reached.session_id, reached.silent, at);
        end if;
    end loop;

    if exists (select from alert_thresholds t
               where t.is_active and t.alert_type in ('people_count', 'entered_per_minute', 'exited_per_minute')) then
        for reached in
            with doors as materialized (
                select d.session_id, d.taken_at, d.people,
                       case when d.taken_at >= at - interval '2 minutes' then r.people_entered_last_minute
                            else m.entered end as entered,
                       case when d.taken_at >= at - interval '2 minutes' then r.people_exited_last_minute
                            else m.exited end as exited
                from doors_of_now(zone, clock_margin, silence) d
                left join lateral (
                    select people_entered_last_minute, people_exited_last_minute from realtime_metrics
                    where session_id = d.session_id and timestamp = d.taken_at order by id desc limit 1) r on true
                cross join lateral (
                    select count(*) filter (where movement_direction = 'in') as entered,
                           count(*) filter (where movement_direction = 'out') as exited
                    from people_movements
                    where session_id = d.session_id and movement_time > at - interval '1 minute'
                      and movement_time <= at + clock_margin) m
            ), figures as (
                -- Where readings come, evaluate_alerts has followed each of them; where nothing came yet, nothing is known.
                select false as is_total, session_id, people, entered, exited from doors
                where taken_at is null and session_id in (select r.session_id from session_reports r)
                union all
                select true, null, coalesce(sum(people), 0), coalesce(sum(entered), 0), coalesce(sum(exited), 0) from doors
            )
            select t as threshold, f.session_id, v.value
            from figures f
            cross join lateral (values
                ('people_count', f.people), ('entered_per_minute', f.entered), ('exited_per_minute', f.exited))
                as v (alert_type, value)
            join alert_thresholds t on t.alert_type = v.alert_type and t.is_total = f.is_total
                and (t.session_id is null or t.session_id = f.session_id)
            where t.is_active and is_reached(t, v.value) or exists (
                select from alert_states a
                where a.threshold_id = t.id and coalesce(a.session_id, t.id) = coalesce(f.session_id, t.id))
        loop
            perform apply_value(reached.threshold, reached.session_id, reached.value, at);
        end loop;
    end if;

    -- Only once every reading is evaluated: the next one may say that it did not last. A second for those being committed.
    perform raise_alert(t, a.session_id, a.value)
    from alert_states a join alert_thresholds t on t.id = a.threshold_id
    where a.alert_id is null and t.is_active and a.since + (t.lasting_seconds + 1) * interval '1 second' <= at
      and (a.session_id is null or exists (select from sessions s where s.id = a.session_id and s.status = 'active'))
      and not exists (select from change_log c, alert_cursor e
                      where c.id > e.evaluated and c.table_name = 'realtime_metrics');

    -- Whoever is silent has lost its alerts with its end; what has come since is of a reading that brings it back.
    with ended as (
        delete from alert_states a using sessions s
        where s.id = a.session_id and s.status <> 'active'
          and not exists (select from silent_sessions q where q.session_id = s.id)
        returning a.alert_id
    )
    update alert_logs set is_resolved = true where id in (select alert_id from ended) and not is_resolved;
end
$$;

CREATE FUNCTION public.fill_readings(most integer DEFAULT 20000) RETURNS bigint
    LANGUAGE plpgsql
    AS $$
declare
    home reading_rollups_cursor;
    oldest timestamptz;
    found_rows bigint;
    since timestamptz;
begin
    select * into home from reading_rollups_cursor for update skip locked;
    if not found or home.filled <= home.kept_from or home.filled = '-infinity' then
        return 0;
    end if;
    select count(*), min(timestamp) into found_rows, oldest from (
        select timestamp from realtime_metrics
        where timestamp < home.filled and timestamp >= greatest(home.kept_from, '0001-01-01T00:00Z')
        order by timestamp desc limit most) as newest;
    since := case when found_rows < most then home.kept_from else minute_of(oldest) end;
    perform sum_readings(array_agg(session_id), array_agg(minute)) from (
        select session_id, minute_of(timestamp) as minute from realtime_metrics
        where timestamp >= since and timestamp < home.filled and minute_of(timestamp) is not null
        union
        -- What was there before the minutes had to be filled anew, and has no rows.
        select session_id, start from reading_minutes where start >= since and start < home.filled) as k
    having count(*) > 0;
    update reading_rollups_cursor set filled = since;
    return found_rows;
end
$$;

CREATE FUNCTION public.fold_movements(most integer DEFAULT 20000) RETURNS bigint
    LANGUAGE plpgsql
    AS $$
declare
    first bigint;
    last bigint;
    sessions uuid[];
    starts timestamptz[];
begin
    select folded into first from movement_counts_cursor for update skip locked;
    if not found then
        return 0;
    end if;
    select max(id) into last from (select id from change_log where id > first order by id limit most) as next;
    if last is null then
        return 0;
    end if;
    if first < (select floor from change_log_home) or exists (
        select from change_log
        where id > first and id <= last and action = 'TRUNCATE' and table_name = 'people_movements')
    then
        perform recount_movements();
        return last - first;
    end if;
    begin
        with folded as (
            insert into movement_counts as c
            select * from movement_deltas(first, last)
            on conflict (session_id, minute) do update
            set entered = c.entered + excluded.entered, exited = c.exited + excluded.exited
            returning c.session_id, c.minute
        )
        select array_agg(k.session_id), array_agg(k.start) into sessions, starts from (
            select distinct s.session_id, quarter_of(f.minute) as start
            from folded f cross join lateral (values (f.session_id), (null)) as s (session_id)
            where quarter_of(f.minute) is not null) as k;
        if sessions is not null then
            perform sum_quarters(sessions, starts);
        end if;
        insert into session_reports as r
        select session_id, max(recorded_at) from (
            select session_id, recorded_at, payload::json #>> case table_name
                when 'people_movements' then '{data,movement_time}'::text[] else '{data,timestamp}' end as taken_at
            from change_log
            where id > first and id <= last and action = 'INSERT'
              and table_name in ('people_movements', 'realtime_metrics')
            offset 0) as reports
        where not is_history(taken_at::timestamptz, recorded_at)
        group by session_id
        on conflict (session_id) do update set reported_at = excluded.reported_at;
    exception when data_exception or statement_too_complex then
        raise warning 'a change after % up to % cannot be read, so the movements are counted anew: %', first, last, sqlerrm;
        perform recount_movements();
        return last - first;
    end;
    update movement_counts_cursor set folded = last;
    return last - first;
end
$$;

CREATE FUNCTION public.fold_readings(most integer DEFAULT 5000) RETURNS bigint
    LANGUAGE plpgsql
    AS $$
declare
    home reading_rollups_cursor;
    last bigint;
    sessions uuid[];
    minutes timestamptz[];
begin
    select * into home from reading_rollups_cursor for update skip locked;
    if not found then
        return 0;
    end if;
    select max(id) into last from (select id from change_log where id > home.folded order by id limit most) as next;
    if last is null then
        return 0;
    end if;
    if exists (select from change_log
               where id > home.folded and id <= last and action = 'TRUNCATE' and table_name = 'realtime_metrics') then
        -- Somebody has removed all readings, and so what they said.
        delete from reading_minutes;
        delete from reading_hours;
        update reading_rollups_cursor set kept_from = default, minutes_kept_from = default, filled = default, folded = last;
        return last - home.folded;
    end if;
    if home.folded < (select floor from change_log_home) then
        update reading_rollups_cursor set filled = default, folded = last;
        return last - home.folded;
    end if;
    begin
        select array_agg(session_id), array_agg(minute) into sessions, minutes from (
            select distinct c.session_id, c.minute from changed_minutes(home.folded, last, null) as c
            where c.minute >= home.kept_from and c.minute >= home.filled) as k;
        if sessions is not null then
            perform sum_readings(sessions, minutes);
        end if;
        select array_agg(c.session_id) into sessions from change_log c
        where id > home.folded and id <= last and table_name = 'sessions' and action = 'DELETE'
          and not exists (select from sessions s where s.id = c.session_id);
        if sessions is not null then
            delete from reading_minutes where session_id = any (sessions);
            delete from reading_hours where session_id = any (sessions);
        end if;
    exception when data_exception or statement_too_complex then
        raise warning 'a change after % up to % cannot be read, so the readings are summed up anew: %', home.folded, last, sqlerrm;
        update reading_rollups_cursor set filled = default;
    end;
    update reading_rollups_cursor set folded = last;
    return last - home.folded;
end
$$;

CREATE FUNCTION public.hour_of(moment timestamp with time zone) RETURNS timestamp with time zone
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$
    select case when moment >= '0001-01-01T00:00Z'::timestamptz and moment < '9999-12-31T00:00Z'::timestamptz
        then date_bin('1 hour', moment, '2000-01-01T00:00Z'::timestamptz) end
$$;

CREATE FUNCTION public.inherit_mute() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    new.muted_until := (
        select max(muted_until) from public.alert_logs
        where muted_until > now() and alert_type = new.alert_type and session_id is not distinct from new.session_id);
    return new;
end
$$;

CREATE FUNCTION public.is_history(happened_at timestamp with time zone, recorded_at timestamp with time zone) RETURNS boolean
    LANGUAGE sql IMMUTABLE
    AS $$ select happened_at < recorded_at - interval '10 minutes' $$;

CREATE FUNCTION public.is_reached(threshold public.alert_thresholds, value double precision, margin integer DEFAULT 0) RETURNS boolean
    LANGUAGE sql IMMUTABLE
    AS $$
    select case threshold.direction when 'below' then value < threshold.threshold_value::double precision + margin
                                    else value >= threshold.threshold_value::double precision - margin end
$$;

CREATE FUNCTION public.keep_an_administrator() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    -- Two administrators who remove each other at once take turns here.
    perform from public.access_home for update;
    if not exists (select from public.access_users where role = 'admin' and not is_disabled and ended_at is null) then
        raise exception 'There would be no administrator left.' using errcode = '23514', column = 'role', table = 'access_users';
    end if;
    return null;
end
$$;

CREATE FUNCTION public.keep_floor() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    update public.change_log_home set floor = greatest(floor, (select max(id) from gone))
    where floor < (select max(id) from gone);
    return null;
end
$$;

CREATE FUNCTION public.keep_resolved_at() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    new.resolved_at := case when new.is_resolved then coalesce(new.resolved_at, now()) end;
    return new;
end
$$;

CREATE FUNCTION public.local_midnight(day timestamp without time zone, zone text) RETURNS timestamp with time zone
    LANGUAGE sql STABLE
    AS $$
    select case when earlier at time zone zone = day then least(earlier, usual) else usual end
    from (select day at time zone zone as usual) as u,
         -- The same wall clock with the offset of six hours before.
         lateral (select (day - ((usual - interval '6 hours') at time zone zone
                                 - (usual - interval '6 hours') at time zone 'UTC')) at time zone 'UTC' as earlier) as e
$$;

CREATE FUNCTION public.local_start(unit text, moment timestamp with time zone, zone text) RETURNS timestamp with time zone
    LANGUAGE sql STABLE
    AS $$
    select case
        when unit in ('day', 'week') then local_midnight(date_trunc(unit, moment at time zone zone), zone)
        when (start at time zone zone) - (start at time zone 'UTC') = (moment at time zone zone) - (moment at time zone 'UTC')
            then start
        else coalesce((select min(later) from generate_series(start, moment, interval '15 minutes') as later
                       where (later at time zone zone) - (later at time zone 'UTC')
                           = (moment at time zone zone) - (moment at time zone 'UTC')), start) end
    from (select date_trunc(unit, moment, zone) as start) as s
$$;

CREATE FUNCTION public.minute_of(moment timestamp with time zone) RETURNS timestamp with time zone
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$
    select case when moment >= '0001-01-01T00:00Z'::timestamptz and moment < '9999-12-31T00:00Z'::timestamptz
        then date_bin('1 minute', moment, '2000-01-01T00:00Z'::timestamptz) end
$$;

CREATE FUNCTION public.movement_deltas(after bigint, upto bigint) RETURNS TABLE(session_id uuid, minute timestamp with time zone, entered bigint, exited bigint)
    LANGUAGE sql STABLE
    AS $$
    select (line ->> 'session_id')::uuid, date_trunc('minute', (line ->> 'movement_time')::timestamptz),
           sum(case when line ->> 'movement_direction' = 'in' then sign else 0 end)::bigint,
           sum(case when line ->> 'movement_direction' = 'out' then sign else 0 end)::bigint
    from (
        select action, change -> 'data' as new_row, change -> 'old_data' as old_row
        from (select action, payload::jsonb as change from change_log
              where id > after and id <= upto and table_name = 'people_movements' and action in ('INSERT', 'UPDATE', 'DELETE')
              offset 0) as parsed
        union all
        select action, new_row::jsonb, old_row::jsonb from unnumbered_changes()
        where upto = 9223372036854775807 and table_name = 'people_movements' and action in ('INSERT', 'UPDATE', 'DELETE')
    ) as changes
    cross join lateral (values
        (case when action <> 'DELETE' then new_row end, 1), (case when action <> 'INSERT' then old_row end, -1)) as lines (line, sign)
    where line is not null
    group by 1, 2
$$;

CREATE FUNCTION public.movement_spans(since timestamp with time zone, until timestamp with time zone, session uuid, zone text, is_by_minute boolean) RETURNS TABLE(start timestamp with time zone, "end" timestamp with time zone, first_minute timestamp with time zone, last_minute timestamp with time zone, entered bigint, exited bigint, inside bigint, peak bigint, spent bigint)
    LANGUAGE plpgsql STABLE
    SET plan_cache_mode TO 'force_custom_plan'
    AS $$
#variable_conflict use_column
declare
    folded bigint := (select folded from movement_counts_cursor);
begin
    return query
    with deltas as materialized (
        select d.minute, d.entered, d.exited from movement_deltas(folded, 9223372036854775807) d
        where (session is null or d.session_id = session) and d.minute >= since and d.minute < until
    ), stored as materialized (
        select q.*, q.start at time zone zone as local,
               (q.start + interval '15 minutes') at time zone zone as local_end
        from movement_quarters q
        where not is_by_minute and session is null and q.session_id is null
          and q.start >= since and q.start < until
        union all
        select q.*, q.start at time zone zone, (q.start + interval '15 minutes') at time zone zone
        from movement_quarters q
        where not is_by_minute and session is not null and q.session_id = session
          and q.start >= since and q.start < until
    ), broken as materialized (
        select quarter_of(minute) as start from deltas
        union
        select quarter_of(since)
        union
        select quarter_of(until)
        union
        select s.start from stored s
        where s.local_end - s.local <> interval '15 minutes' or extract(epoch from s.local)::bigint % 900 <> 0
    ), ranges as materialized (
        select greatest(b.start, since) as since, least(b.start + interval '15 minutes', until) as until
        from broken b where not is_by_minute and b.start is not null
        union all
        select since, until where is_by_minute
        union all
        select since, least(until, '0001-01-01T00:00Z'::timestamptz) where not is_by_minute
        union all
        select greatest(since, '9999-12-31T00:00Z'::timestamptz), until where not is_by_minute
    ), parts as (
        select c.minute, c.entered, c.exited
        from ranges r join movement_counts c on c.minute >= r.since and c.minute < r.until
        where session is null
        union all
        select c.minute, c.entered, c.exited
        from ranges r join movement_counts c
            on c.session_id = session and c.minute >= r.since and c.minute < r.until
        where session is not null
        union all
        select * from deltas
    ), minutes as (
        select minute, sum(entered)::bigint as entered, sum(exited)::bigint as exited
        from parts group by 1 having sum(entered) <> 0 or sum(exited) <> 0
    ), spans as (
        select s.start, s.start + interval '15 minutes' as "end", s.first_minute, s.last_minute, s.entered, s.exited,
               s.lowest, s.highest, s.climb, s.area, s.lows, s.lasted, date_trunc('day', s.local) as day
        from stored s where s.start not in (select b.start from broken b where b.start is not null)
        union all
        select minute, minute + interval '1 minute', minute, minute, entered, exited, entered - exited,
               entered - exited, 0, entered - exited, null, null, date_trunc('day', minute at time zone zone)
        from minutes where isfinite(minute)
    ), nets as (
        select *, (sum(entered - exited) over running - (entered - exited))::bigint as before
        from spans window running as (partition by day order by start)
    ), held as (
        select *, least(0, min(before + lowest) over (partition by day order by start)) as low_after,
               least(0, min(before + lowest) over (partition by day order by start
                                                   rows between unbounded preceding and 1 preceding)) as low_before
        from nets
    )
    select start, "end", first_minute, last_minute, entered, exited, before + entered - exited - low_after,
           greatest(before - low_before + highest, climb),
           case when lows is null then before + entered - exited - low_after
                when before - low_before >= -lowest
                then area + (before - low_before) * (extract(epoch from "end" - first_minute)::bigint / 60)
                else area + (select sum(greatest(before - low_before, -low) * for_minutes)::bigint
                             from unnest(lows, lasted) as u (low, for_minutes)) end
    from held;
end
$$;

CREATE FUNCTION public.new_secret() RETURNS bytea
    LANGUAGE sql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    select decode(replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 'hex')
$$;

CREATE FUNCTION public.next_access_version() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    update public.access_home set version = version + 1 returning version into new.version;
    perform pg_notify('access_changes', '');
    return new;
end
$$;

CREATE FUNCTION public.notify_alert_change() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
            declare
                is_plain boolean := current_setting('TimeZone') in ('UTC', 'Etc/UTC')
                                    and current_setting('extra_float_digits')::integer > 0;
                new_row text := case when is_plain then row_to_json(new)::text else public.row_text(new) end;
                old_row text := case when is_plain then row_to_json(old)::text else public.row_text(old) end;
                at timestamptz := clock_timestamp();
            begin
                if new_row = old_row then
                    return null;
                end if;
                insert into public.change_inbox values (
                    nextval('public.change_inbox_seq'), pg_current_xact_id(), 'alert_logs', tg_op, coalesce(new.session_id, old.session_id),
                    old.session_id, new_row, old_row, at);
                -- Further ahead than a sequencer ever says: the clock was set back. A transaction that has said NOTIFY
                -- cannot be prepared: where any may be, the sequencer never sleeps.
                if (pg_sequence_last_value('public.change_awake') - date_part('epoch', at) * 1000 between 0 and 5000)
                        is not true and current_setting('max_prepared_transactions') = '0'
                        and pg_notification_queue_usage() < 0.9 then
                    perform pg_notify('change_bell', '');
                end if;
                return null;
            end
            $$;

CREATE FUNCTION public.notify_metrics_change() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    is_plain boolean := current_setting('TimeZone') in ('UTC', 'Etc/UTC')
                        and current_setting('extra_float_digits')::integer > 0;
    new_row text;
    old_row text;
    at timestamptz := clock_timestamp();
begin
    if tg_op = 'DELETE' then
        if old.timestamp < (select kept_from from public.reading_rollups_cursor) then
            return null;
        end if;
    end if;
    new_row := case when is_plain then row_to_json(new)::text else public.row_text(new) end;
    old_row := case when is_plain then row_to_json(old)::text else public.row_text(old) end;
    if new_row = old_row then
        return null;
    end if;
    insert into public.change_inbox values (
        nextval('public.change_inbox_seq'), pg_current_xact_id(), 'realtime_metrics', tg_op, coalesce(new.session_id, old.session_id),
        old.session_id, new_row, old_row, at);
    -- Further ahead than a sequencer ever says: the clock was set back. A transaction that has said NOTIFY
    -- cannot be prepared: where any may be, the sequencer never sleeps.
    if (pg_sequence_last_value('public.change_awake') - date_part('epoch', at) * 1000 between 0 and 5000)
            is not true and current_setting('max_prepared_transactions') = '0'
            and pg_notification_queue_usage() < 0.9 then
        perform pg_notify('change_bell', '');
    end if;
    return null;
end
$$;

CREATE FUNCTION public.notify_movement_change() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
            declare
                is_plain boolean := current_setting('TimeZone') in ('UTC', 'Etc/UTC')
                                    and current_setting('extra_float_digits')::integer > 0;
                new_row text := case when is_plain then row_to_json(new)::text else public.row_text(new) end;
                old_row text := case when is_plain then row_to_json(old)::text else public.row_text(old) end;
                at timestamptz := clock_timestamp();
            begin
                if new_row = old_row then
                    return null;
                end if;
                insert into public.change_inbox values (
                    nextval('public.change_inbox_seq'), pg_current_xact_id(), 'people_movements', tg_op, coalesce(new.session_id, old.session_id),
                    old.session_id, new_row, old_row, at);
                -- Further ahead than a sequencer ever says: the clock was set back. A transaction that has said NOTIFY
                -- cannot be prepared: where any may be, the sequencer never sleeps.
                if (pg_sequence_last_value('public.change_awake') - date_part('epoch', at) * 1000 between 0 and 5000)
                        is not true and current_setting('max_prepared_transactions') = '0'
                        and pg_notification_queue_usage() < 0.9 then
                    perform pg_notify('change_bell', '');
                end if;
                return null;
            end
            $$;

CREATE FUNCTION public.notify_session_change() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
            declare
                is_plain boolean := current_setting('TimeZone') in ('UTC', 'Etc/UTC')
                                    and current_setting('extra_float_digits')::integer > 0;
                new_row text := case when is_plain then row_to_json(new)::text else public.row_text(new) end;
                old_row text := case when is_plain then row_to_json(old)::text else public.row_text(old) end;
                at timestamptz := clock_timestamp();
            begin
                if new_row = old_row then
                    return null;
                end if;
                insert into public.change_inbox values (
                    nextval('public.change_inbox_seq'), pg_current_xact_id(), 'sessions', tg_op, coalesce(new.id, old.id),
                    old.id, new_row, old_row, at);
                -- Further ahead than a sequencer ever says: the clock was set back. A transaction that has said NOTIFY
                -- cannot be prepared: where any may be, the sequencer never sleeps.
                if (pg_sequence_last_value('public.change_awake') - date_part('epoch', at) * 1000 between 0 and 5000)
                        is not true and current_setting('max_prepared_transactions') = '0'
                        and pg_notification_queue_usage() < 0.9 then
                    perform pg_notify('change_bell', '');
                end if;
                return null;
            end
            $$;

CREATE FUNCTION public.number_changes(most integer DEFAULT 10000) RETURNS bigint
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_seqscan TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
declare
    before pg_snapshot;
    result record;
begin
    if not exists (select from public.unnumbered_changes()) then
        return 0;  -- and nothing is written
    elsif pg_current_xact_id_if_assigned() is not null or current_setting('transaction_isolation') <> 'read committed' then
        -- It would number changes of this very transaction before they are committed, or work with an old snapshot.
        raise exception 'number_changes() takes a transaction of its own, READ COMMITTED.' using errcode = '25001';
    end if;
    -- Clients hear of nothing that a crash takes back: what is numbered lies before this commit in the write-ahead log.
    if current_setting('synchronous_commit') = 'off' then
        perform set_config('synchronous_commit', 'on', true);
    end if;
    select snapshot into before from public.change_sequencer for update;
    if not found or not exists (select from public.change_log_home) then
        raise exception 'change_sequencer or change_log_home is empty, as amid a restore.' using errcode = '55000';
    end if;
    -- One statement, hence one snapshot, taken after the lock: it sees all that was numbered before.
    with home as materialized (
        select pg_current_snapshot() as snapshot, secret, greatest(floor, (select max(id) from public.change_log)) as newest,
               pg_notification_queue_usage() <= 0.5 as has_room
        from public.change_log_home
    ), taken as (
        delete from public.change_inbox where ctid = any (array(
            select ctid from (
                select ctid, seq from public.change_inbox where xid >= pg_snapshot_xmax(before)
                union all
                select ctid, seq from public.change_inbox where xid = any (array(
                    select xid from pg_snapshot_xip(before) as xid where pg_visible_in_snapshot(xid, pg_current_snapshot())))
            ) as waiting
            order by seq limit most))
        returning *
    ), numbered as (
        insert into public.change_log
        select id, table_name, action, session_id, old_session_id,
               '{"id":' || id || ',"table":"' || table_name || '","action":"' || action
                   || '","data":' || coalesce(new_row, old_row, 'null') || ',"old_data":' || coalesce(old_row, 'null')
                   || ',"timestamp":' || extract(epoch from recorded_at) || '}',
               recorded_at, seq
        from (select home.newest + row_number() over (order by taken.seq) as id, taken.* from taken, home) as next
        returning id, table_name, action, session_id, payload
    ), sized as (
        select n.*, octet_length(payload) as bytes, sum(octet_length(payload)) over (order by id) as upto,
               count(*) over () <= 16 as is_small
        from numbered n
    ), told as (
        select pg_notify(
            case table_name when 'sessions' then 'session_changes' when 'people_movements' then 'movement_changes'
                            when 'alert_logs' then 'alert_changes' else 'metrics_changes' end,
            case when bytes < 7900 and upto <= 100000 and is_small then public.sealed(payload, secret)
                 when bytes < 8000 and upto <= 100000 then payload
                 else '{"id":' || id || ',"table":"' || table_name || '","action":"' || action
                     || '","session_id":' || coalesce('"' || session_id || '"', 'null') || '}' end)
        from (select s.*, h.secret from sized s, home h where h.has_room and s.upto - s.bytes <= 100000 order by id) as news
    )
    select home.snapshot, (select count(*) from numbered) as numbered, (select count(*) from told) as told into result
    from home;
    if result.numbered < most then
        update public.change_sequencer set snapshot = result.snapshot;
    end if;
    return result.numbered;
end
$$;

CREATE FUNCTION public.pass_on_access() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    if tg_table_name = 'access_key_sessions' then
        update public.access_keys set version = 0 where id = coalesce(new.key_id, old.key_id);
    elsif tg_table_name = 'access_keys' then
        update public.access_logins set ended_at = new.ended_at, version = 0 where key_id = new.id and ended_at is null;
    elsif new.is_disabled or new.ended_at is not null or new.password_hash is distinct from old.password_hash then
        -- The login that has just given the old password stays.
        update public.access_logins set ended_at = now()
        where user_id = new.id and ended_at is null
          and id::text is distinct from current_setting('people_feed.login', true);
    elsif new.role <> old.role or new.username <> old.username then
        update public.access_logins set version = 0 where user_id = new.id and ended_at is null;
    end if;
    return null;
end
$$;

CREATE FUNCTION public.prune_reading_minutes(before timestamp with time zone, most integer DEFAULT 5000) RETURNS bigint
    LANGUAGE plpgsql
    AS $$
declare
    home reading_rollups_cursor;
    gone bigint;
begin
    select * into home from reading_rollups_cursor for update skip locked;
    if not found then
        return null;
    end if;
    -- An hour is summed up from its minutes as long as it may get another one.
    before := hour_of(least(before, home.kept_from));
    if before > home.minutes_kept_from then
        update reading_rollups_cursor set minutes_kept_from = before;
    end if;
    delete from reading_minutes where ctid = any (array(
        select ctid from reading_minutes where start < greatest(before, home.minutes_kept_from) order by start limit most));
    get diagnostics gone = row_count;
    return gone;
end
$$;

CREATE FUNCTION public.prune_readings(before timestamp with time zone, most integer DEFAULT 5000, OUT gone bigint, OUT is_done boolean) RETURNS record
    LANGUAGE plpgsql
    AS $$
declare
    home reading_rollups_cursor;
    found_rows bigint;
    oldest timestamptz;
    newest timestamptz;
    since timestamptz := '-infinity';
    until timestamptz;
    sessions uuid[];
    hours timestamptz[];
    aged realtime_metrics[];
    without_minutes realtime_metrics[];
begin
    select * into home from reading_rollups_cursor for update skip locked;
    if not found then
        return;
    end if;
    gone := 0;
    is_done := false;
    -- Once somebody has removed all readings, the fold removes what they said; nothing may be added before it does.
    lock table realtime_metrics in row exclusive mode;
    if exists (select from change_log where id > home.folded and table_name = 'realtime_metrics' and action = 'TRUNCATE')
            or exists (select from unnumbered_changes() where table_name = 'realtime_metrics' and action = 'TRUNCATE') then
        is_done := true;
        return;
    end if;
    before := minute_of(before);
    -- Deliberate: not exists (…), for which all rows are read once the plan is one for any time.
    if (select min(timestamp) from realtime_metrics) < home.kept_from then
        -- They came late, into minutes that have aged out.
        until := home.kept_from;
    elsif before is null or before <= home.kept_from then
        is_done := true;
        return;
    else
        since := home.kept_from;
        select count(*), min(timestamp), max(timestamp) into found_rows, oldest, newest from (
            select timestamp from realtime_metrics
            where timestamp >= since and timestamp < before order by timestamp limit most) as next;
        until := case
            when found_rows < most then before
            when minute_of(newest) is null then least(before, '0001-01-01T00:00Z')
            when minute_of(newest) > oldest then minute_of(newest)
            else least(before, minute_of(newest) + interval '1 minute') end;
        is_done := until = before;
        most := null;
        -- From here on the trigger takes the deletes for what they are.
        update reading_rollups_cursor set kept_from = until;
        with stale as (
            delete from reading_minutes where start >= since and start < until returning session_id, hour_of(start) as hour
        )
        select array_agg(session_id), array_agg(hour) into sessions, hours from stale;
    end if;
    with went as (
        delete from realtime_metrics as m where ctid = any (array(
            select ctid from realtime_metrics where timestamp >= since and timestamp < until order by timestamp, id limit most))
            and timestamp < until
        returning m as reading
    )
    select count(*), array_agg(reading) filter (where (reading).timestamp >= home.minutes_kept_from),
           array_agg(reading) filter (where (reading).timestamp < home.minutes_kept_from)
    into gone, aged, without_minutes from went;
    perform add_reading_minutes(aged);
    perform add_reading_hours(without_minutes);
    perform sum_reading_hours(array_agg(session_id), array_agg(hour)) from (
        select session_id, hour_of(timestamp) as hour from unnest(aged)
        union
        select * from unnest(sessions, hours)) as touched;
end
$$;

CREATE FUNCTION public.quarter_of(minute timestamp with time zone) RETURNS timestamp with time zone
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$
    select case when minute >= '0001-01-01T00:00Z'::timestamptz and minute < '9999-12-31T00:00Z'::timestamptz
        then date_bin('15 minutes', minute, '2000-01-01T00:00Z'::timestamptz) end
$$;

CREATE FUNCTION public.raise_alert(threshold public.alert_thresholds, session uuid, shown integer) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    raised uuid := gen_random_uuid();
begin
    update public.alert_states set alert_id = raised
    where threshold_id = threshold.id and coalesce(session_id, threshold_id) = coalesce(session, threshold.id)
      and alert_id is null;
    insert into public.alert_logs
        (id, session_id, threshold_id, alert_type, alert_message, current_value, threshold_value)
    values (raised, session, threshold.id, threshold.alert_type,
            coalesce(threshold.alert_message, threshold.threshold_name), shown, threshold.threshold_value);
end
$$;

CREATE FUNCTION public.recognize_database() RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET "TimeZone" TO 'UTC'
    SET lock_timeout TO '2s'
    AS $$
begin
    if exists (select from public.change_log_home where database_identity = public.database_identity()) then
        return false;
    end if;
    -- The same lock as for ids, taken first: a second caller finds the work done.
    perform from public.change_sequencer for update;
    update public.change_log_home
    set database_identity = public.database_identity(), secret = public.new_secret(),
        -- More changes than a backup can be behind; JavaScript counts exactly to nine million times that.
        floor = greatest(floor, (select max(id) from public.change_log)) + 1000000000
    where database_identity <> public.database_identity();
    if not found then
        return false;
    end if;
    truncate public.change_log;
    with dropped as (
        delete from public.change_inbox
    )
    update public.change_sequencer set snapshot = pg_current_snapshot();
    perform setval('public.change_awake', 0);
    insert into public.change_log
    select floor + number, name, 'RESET', null, null, '{"id":' || floor + number || ',"table":"' || name
               || '","action":"RESET","data":null,"old_data":null,"timestamp":' || extract(epoch from at) || '}', at, null
    from public.change_log_home, clock_timestamp() as at,
         unnest(array['sessions', 'people_movements', 'alert_logs', 'realtime_metrics']) with ordinality as t (name, number);
    perform pg_notify(
        case table_name when 'sessions' then 'session_changes' when 'people_movements' then 'movement_changes'
                        when 'alert_logs' then 'alert_changes' else 'metrics_changes' end, payload)
    from (select table_name, payload from public.change_log order by id) as news;
    return true;
end
$$;

CREATE FUNCTION public.recount_movements() RETURNS void
    LANGUAGE plpgsql
    AS $$
declare
    day date;
begin
    delete from movement_counts;
    -- One statement, hence one snapshot: the rows and the cursor belong together.
    with counted as (
        insert into movement_counts
        select session_id, minute, sum(entered)::bigint, sum(exited)::bigint from (
            select session_id, date_trunc('minute', movement_time) as minute,
                   count(*) filter (where movement_direction = 'in') as entered,
                   count(*) filter (where movement_direction = 'out') as exited
            from people_movements group by 1, 2
            union all
            select session_id, minute, -entered, -exited
            from movement_deltas(9223372036854775807, 9223372036854775807)) as parts
        group by 1, 2 having sum(entered) <> 0 or sum(exited) <> 0
    )
    insert into movement_counts_cursor as c (folded)
    values ((select greatest(floor, (select max(id) from change_log)) from change_log_home))
    on conflict (is_only) do update set folded = excluded.folded;
    delete from movement_quarters;
    for day in select distinct (minute at time zone 'UTC')::date from movement_counts where quarter_of(minute) is not null
    loop
        perform sum_quarters(array_agg(k.session_id), array_agg(k.start)) from (
            select distinct s.session_id, quarter_of(c.minute) as start
            from movement_counts c cross join lateral (values (c.session_id), (null)) as s (session_id)
            where c.minute >= day::timestamp at time zone 'UTC' and c.minute < (day + 1)::timestamp at time zone 'UTC'
        ) as k;
    end loop;
end
$$;

CREATE FUNCTION public.refuse_to_rewrite() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    raise exception 'The audit log is only ever added to.' using errcode = '55000';
end
$$;

CREATE FUNCTION public.resolve_alerts_of_threshold() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    with ended as (
        delete from public.alert_states where threshold_id = old.id returning alert_id
    )
    update public.alert_logs set is_resolved = true where id in (select alert_id from ended) and not is_resolved;
    return coalesce(new, old);
end
$$;

CREATE FUNCTION public.round_to_bounds() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    if tg_table_name = 'people_movements' then
        new.confidence_score := round(new.confidence_score::numeric, 2);
    elsif tg_table_name = 'sessions' then
        new.confidence_threshold := round(new.confidence_threshold::numeric, 2);
    else
        new.cpu_usage_percentage := round(new.cpu_usage_percentage::numeric, 2);
    end if;
    return new;
end
$$;

CREATE FUNCTION public.row_text(source record) RETURNS text
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET "TimeZone" TO 'UTC'
    SET extra_float_digits TO '1'
    AS $$
begin
    return row_to_json(source)::text;
end
$$;

CREATE FUNCTION public.sealed(payload text, secret bytea) RETURNS text
    LANGUAGE sql STABLE
    AS $$
    select payload || translate(
        ('x' || left(encode(sha256(secret || sha256(secret || convert_to(payload, 'UTF8'))), 'hex'), 24))::bit(96)::text,
        '01', E' \t')
$$;

CREATE PROCEDURE public.sequence_changes(IN going_on bigint, IN linger interval, IN longest interval, INOUT numbered bigint DEFAULT NULL::bigint, INOUT awake bigint DEFAULT NULL::bigint, INOUT horizon xid8 DEFAULT NULL::xid8)
    LANGUAGE plpgsql
    AS $$
declare
    began timestamptz := clock_timestamp();
    looked_at timestamptz;
    numbered_at timestamptz;
    rest double precision := 0;
    rest_before double precision;
    found_at timestamptz := began;
    awake_until timestamptz;
    number bigint;
    may_sleep boolean := current_setting('max_prepared_transactions') = '0';
begin
    perform from public.change_sequencer for update;
    if pg_sequence_last_value('public.change_awake') - date_part('epoch', began) * 1000 between 0 and 5000
            and pg_sequence_last_value('public.change_awake') is distinct from going_on then
        commit;
        return;
    end if;
    awake_until := began + interval '1 second';
    perform setval('public.change_awake', (extract(epoch from awake_until) * 1000)::bigint);
    perform set_config('synchronous_commit', 'off', true);  -- nobody needs to find this after a crash
    commit;
    numbered := 0;
    loop
        looked_at := clock_timestamp();
        number := public.number_changes();
        numbered_at := clock_timestamp();
        commit;
        numbered := numbered + number;
        began := least(began, clock_timestamp());  -- whatever is done to the clock
        if number > 0 then
            found_at := clock_timestamp();
            rest_before := rest;
            rest := 2 * date_part('epoch', numbered_at - looked_at) + 8 * date_part('epoch', found_at - numbered_at);
        end if;
        exit when may_sleep and clock_timestamp() not between found_at and found_at + linger;
        if clock_timestamp() > began + longest then
            -- A caller that is gone or frozen does not call again: the writers find out at once.
            awake := setval('public.change_awake', (extract(epoch from clock_timestamp()) * 1000)::bigint + 100);
            return;
        elsif clock_timestamp() not between awake_until - interval '1 second' and awake_until - interval '500 milliseconds' then
            awake_until := clock_timestamp() + interval '1 second';
            perform setval('public.change_awake', (extract(epoch from awake_until) * 1000)::bigint);
            perform set_config('synchronous_commit', 'off', true);
            commit;
        end if;
        if clock_timestamp() not between found_at and found_at + linger then
            perform pg_sleep(0.02);
        elsif number = 0 then
            perform pg_sleep(0.001);
        else
            -- Of the last two, the shorter: one flush that was slow by chance makes nobody late.
            perform pg_sleep(least(greatest(least(rest, rest_before), 0.001), 0.04, 200.0 / number ^ 2));
        end if;
    end loop;
    perform setval('public.change_awake', 0);
    perform set_config('synchronous_commit', 'off', true);
    commit;
    horizon := pg_snapshot_xmax(pg_current_snapshot());
    commit;
    if pg_snapshot_xmin(pg_current_snapshot()) >= horizon then
        horizon := null;
    end if;
    commit;
    numbered := numbered + public.number_changes();
end
$$;

CREATE FUNCTION public.settle_threshold() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    known record;
begin
    if tg_op = 'UPDATE' and new.alert_type is distinct from old.alert_type then
        new.type_from_name := false;
    end if;
    if new.alert_type = 'by name' then
        select * into known from (values
            ('max_people_count', 'people_count', 'above'),
            ('min_people_count', 'people_count', 'below'),
            ('fps_low', 'fps', 'below'),
            ('cpu_usage_high', 'cpu_usage_percentage', 'above'),
            -- A percentage, where readings have megabytes.
            ('memory_usage_high', 'unmeasured', 'above'),
            ('detection_accuracy_low', 'unmeasured', 'below')) as k (name, alert_type, direction)
        where k.name = new.threshold_name;
        new.type_from_name := found;
        new.alert_type := coalesce(known.alert_type, 'people_count');
        new.direction := coalesce(known.direction, new.direction);
    end if;
    if new.is_total and (new.session_id is not null or
                         new.alert_type not in ('people_count', 'entered_per_minute', 'exited_per_minute')) then
        raise check_violation using schema = tg_table_schema, table = tg_table_name, column = 'is_total', message =
            'A threshold on the total watches people_count, entered_per_minute or exited_per_minute, of no single session.';
    end if;
    if new.alert_type = 'no_signal_seconds' and (new.direction = 'below' or new.lasting_seconds > 0) then
        raise check_violation using schema = tg_table_schema, table = tg_table_name, column = 'alert_type', message =
            'A threshold on no_signal_seconds is a time already: its direction is above, its lasting_seconds 0.';
    end if;
    return new;
end
$$;

CREATE FUNCTION public.sum_quarters(sessions uuid[], starts timestamp with time zone[]) RETURNS void
    LANGUAGE plpgsql
    SET plan_cache_mode TO 'force_custom_plan'
    AS $$
begin
    delete from movement_quarters q using unnest(sessions, starts) as k (session_id, start)
    where q.session_id = k.session_id and q.start = k.start;
    delete from movement_quarters q using unnest(sessions, starts) as k (session_id, start)
    where q.session_id is null and k.session_id is null and q.start = k.start;
    insert into movement_quarters
    with keys as materialized (
        select * from unnest(sessions, starts) as k (session_id, start)
    ), parts as (
        select k.session_id, k.start, c.minute, c.entered, c.exited
        from keys k join movement_counts c
            on c.session_id = k.session_id and c.minute >= k.start and c.minute < k.start + interval '15 minutes'
        where k.session_id is not null
        union all
        select null, k.start, c.minute, c.entered, c.exited
        from keys k join movement_counts c on c.minute >= k.start and c.minute < k.start + interval '15 minutes'
        where k.session_id is null
    ), minutes as (
        select session_id, start, minute, sum(entered)::bigint as entered, sum(exited)::bigint as exited
        from parts group by 1, 2, 3 having sum(entered) <> 0 or sum(exited) <> 0
    ), nets as (
        select *, (sum(entered - exited) over running)::bigint as net,
               extract(epoch from coalesce(lead(minute) over running, start + interval '15 minutes') - minute)::integer
                   / 60 as lasted
        from minutes window running as (partition by session_id, start order by minute)
    ), steps as (
        select *, min(net) over (partition by session_id, start order by minute) as low from nets
    )
    select session_id, start, min(minute), max(minute), sum(entered), sum(exited), min(net), max(net), max(net - low),
           sum(net * lasted), array_agg(low order by minute), array_agg(lasted order by minute)
    from steps group by 1, 2;
end
$$;

CREATE FUNCTION public.sum_reading_hours(sessions uuid[], starts timestamp with time zone[]) RETURNS void
    LANGUAGE sql
    AS $$
    delete from reading_hours using unnest(sessions, starts) as k (session_id, start)
    where reading_hours.session_id = k.session_id and reading_hours.start = k.start and not exists (
        select from reading_minutes r
        where r.session_id = k.session_id and r.start >= k.start and r.start < k.start + interval '1 hour');
    insert into reading_hours
    select k.session_id, k.start, sums.* from unnest(sessions, starts) as k (session_id, start) cross join lateral (
        select sum(r.readings) as readings,
           sum(r.people_count) as people_count, sum(r.people_sum) as people_sum, min(r.people_least) as people_least, max(r.people_most) as people_most,
           sum(r.entered_count) as entered_count, sum(r.entered_sum) as entered_sum, min(r.entered_least) as entered_least, max(r.entered_most) as entered_most,
           sum(r.exited_count) as exited_count, sum(r.exited_sum) as exited_sum, min(r.exited_least) as exited_least, max(r.exited_most) as exited_most,
           sum(r.fps_count) as fps_count, sum(r.fps_sum) as fps_sum, min(r.fps_least) as fps_least, max(r.fps_most) as fps_most,
           sum(r.cpu_count) as cpu_count, sum(r.cpu_sum) as cpu_sum, min(r.cpu_least) as cpu_least, max(r.cpu_most) as cpu_most,
           sum(r.memory_count) as memory_count, sum(r.memory_sum) as memory_sum, min(r.memory_least) as memory_least, max(r.memory_most) as memory_most,
           sum(r.latency_count) as latency_count, sum(r.latency_sum) as latency_sum, min(r.latency_least) as latency_least, max(r.latency_most) as latency_most
        from reading_minutes r
        where r.session_id = k.session_id and r.start >= k.start and r.start < k.start + interval '1 hour'
        having count(*) > 0) as sums
    on conflict (session_id, start) do update set
    readings = excluded.readings, people_count = excluded.people_count, people_sum = excluded.people_sum, people_least = excluded.people_least, people_most = excluded.people_most,
    entered_count = excluded.entered_count, entered_sum = excluded.entered_sum, entered_least = excluded.entered_least, entered_most = excluded.entered_most,
    exited_count = excluded.exited_count, exited_sum = excluded.exited_sum, exited_least = excluded.exited_least, exited_most = excluded.exited_most,
    fps_count = excluded.fps_count, fps_sum = excluded.fps_sum, fps_least = excluded.fps_least, fps_most = excluded.fps_most,
    cpu_count = excluded.cpu_count, cpu_sum = excluded.cpu_sum, cpu_least = excluded.cpu_least, cpu_most = excluded.cpu_most,
    memory_count = excluded.memory_count, memory_sum = excluded.memory_sum, memory_least = excluded.memory_least, memory_most = excluded.memory_most,
    latency_count = excluded.latency_count, latency_sum = excluded.latency_sum, latency_least = excluded.latency_least, latency_most = excluded.latency_most
$$;

CREATE FUNCTION public.sum_reading_minutes(sessions uuid[], starts timestamp with time zone[]) RETURNS void
    LANGUAGE sql
    AS $$
    delete from reading_minutes using unnest(sessions, starts) as k (session_id, start)
    where reading_minutes.session_id = k.session_id and reading_minutes.start = k.start and not exists (
        select from realtime_metrics r
        where r.session_id = k.session_id and r.timestamp >= k.start and r.timestamp < k.start + interval '1 minute');
    insert into reading_minutes
    select k.session_id, k.start, sums.* from unnest(sessions, starts) as k (session_id, start) cross join lateral (
        select count(*) as readings,
           count(r.current_people_count) as people_count, sum(summable(r.current_people_count)) as people_sum, summable(min(r.current_people_count)) as people_least, summable(max(r.current_people_count)) as people_most,
           count(r.people_entered_last_minute) as entered_count, sum(summable(r.people_entered_last_minute)) as entered_sum, summable(min(r.people_entered_last_minute)) as entered_least, summable(max(r.people_entered_last_minute)) as entered_most,
           count(r.people_exited_last_minute) as exited_count, sum(summable(r.people_exited_last_minute)) as exited_sum, summable(min(r.people_exited_last_minute)) as exited_least, summable(max(r.people_exited_last_minute)) as exited_most,
           count(r.fps_current) as fps_count, sum(summable(r.fps_current)) as fps_sum, summable(min(r.fps_current)) as fps_least, summable(max(r.fps_current)) as fps_most,
           count(r.cpu_usage_percentage) as cpu_count, sum(summable(r.cpu_usage_percentage)) as cpu_sum, summable(min(r.cpu_usage_percentage)) as cpu_least, summable(max(r.cpu_usage_percentage)) as cpu_most,
           count(r.memory_usage_mb) as memory_count, sum(summable(r.memory_usage_mb)) as memory_sum, summable(min(r.memory_usage_mb)) as memory_least, summable(max(r.memory_usage_mb)) as memory_most,
           count(r.processing_latency_ms) as latency_count, sum(summable(r.processing_latency_ms)) as latency_sum, summable(min(r.processing_latency_ms)) as latency_least, summable(max(r.processing_latency_ms)) as latency_most
        from realtime_metrics r
        where r.session_id = k.session_id and r.timestamp >= k.start and r.timestamp < k.start + interval '1 minute'
        having count(*) > 0) as sums
    on conflict (session_id, start) do update set
    readings = excluded.readings, people_count = excluded.people_count, people_sum = excluded.people_sum, people_least = excluded.people_least, people_most = excluded.people_most,
    entered_count = excluded.entered_count, entered_sum = excluded.entered_sum, entered_least = excluded.entered_least, entered_most = excluded.entered_most,
    exited_count = excluded.exited_count, exited_sum = excluded.exited_sum, exited_least = excluded.exited_least, exited_most = excluded.exited_most,
    fps_count = excluded.fps_count, fps_sum = excluded.fps_sum, fps_least = excluded.fps_least, fps_most = excluded.fps_most,
    cpu_count = excluded.cpu_count, cpu_sum = excluded.cpu_sum, cpu_least = excluded.cpu_least, cpu_most = excluded.cpu_most,
    memory_count = excluded.memory_count, memory_sum = excluded.memory_sum, memory_least = excluded.memory_least, memory_most = excluded.memory_most,
    latency_count = excluded.latency_count, latency_sum = excluded.latency_sum, latency_least = excluded.latency_least, latency_most = excluded.latency_most
$$;

CREATE FUNCTION public.sum_readings(sessions uuid[], minutes timestamp with time zone[]) RETURNS void
    LANGUAGE plpgsql
    AS $$
begin
    perform sum_reading_minutes(sessions, minutes);
    perform sum_reading_hours(array_agg(session_id), array_agg(hour)) from (
        select distinct session_id, hour_of(start) as hour from unnest(sessions, minutes) as k (session_id, start)) as h;
end
$$;

CREATE FUNCTION public.summable(value double precision) RETURNS double precision
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$
    select case when value > 1e290 then 1e290 else value end
$$;

CREATE FUNCTION public.test_sse_triggers() RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    insert into public.change_inbox
    select nextval('public.change_inbox_seq'), pg_current_xact_id(), name, 'TEST', null, null, '{"test":true}', null, clock_timestamp()
    from unnest(array['sessions', 'people_movements', 'alert_logs', 'realtime_metrics']) as name;
    perform pg_notify('change_bell', '');
    return 'TEST sent on session_changes, movement_changes, alert_changes, metrics_changes';
end
$$;

CREATE FUNCTION public.touch_updated_at() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    new.updated_at := now();
    return new;
end
$$;

CREATE TABLE public.change_inbox (
    seq bigint NOT NULL,
    xid xid8 NOT NULL,
    table_name text NOT NULL,
    action text NOT NULL,
    session_id uuid,
    old_session_id uuid,
    new_row text,
    old_row text,
    recorded_at timestamp with time zone NOT NULL
)
WITH (autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='20000');

COMMENT ON TABLE public.change_inbox IS 'Changes that have no id yet. Written by triggers, emptied by number_changes().';

COMMENT ON COLUMN public.change_inbox.xid IS 'The transaction that made the change.';

CREATE FUNCTION public.unnumbered_changes() RETURNS SETOF public.change_inbox
    LANGUAGE sql STABLE
    AS $$
    select i.* from public.change_sequencer s cross join lateral (
        select * from public.change_inbox where xid >= pg_snapshot_xmax(s.snapshot)
        union all
        -- Those that still run are left out: they may have noted a million rows.
        select * from public.change_inbox where xid = any (array(
            select xid from pg_snapshot_xip(s.snapshot) as xid where pg_visible_in_snapshot(xid, pg_current_snapshot())))) as i
$$;

CREATE TABLE public.access_failures (
    kind text NOT NULL,
    subject text NOT NULL,
    failures integer NOT NULL,
    next_at timestamp with time zone NOT NULL,
    CONSTRAINT access_failures_kind_check CHECK ((kind = ANY (ARRAY['account'::text, 'address'::text, 'key'::text])))
);

CREATE TABLE public.access_home (
    is_home boolean DEFAULT true NOT NULL,
    version bigint DEFAULT 0 NOT NULL,
    secret bytea DEFAULT public.new_secret() NOT NULL,
    setup_sha256 bytea,
    audit_id bigint DEFAULT 0 NOT NULL,
    audit_hash bytea DEFAULT sha256('\x'::bytea) NOT NULL,
    CONSTRAINT access_home_is_home_check CHECK (is_home)
);

COMMENT ON COLUMN public.access_home.secret IS 'Signs tickets, unless SECRET_KEY_FILE does.';

COMMENT ON COLUMN public.access_home.setup_sha256 IS 'The token that makes the first administrator, hashed; null once there is one.';

CREATE TABLE public.access_key_sessions (
    key_id text NOT NULL,
    session_id uuid NOT NULL
);

CREATE TABLE public.access_keys (
    id text NOT NULL,
    name text NOT NULL,
    scope text NOT NULL,
    is_restricted boolean NOT NULL,
    secret_sha256 bytea NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    created_by text,
    expires_at timestamp with time zone,
    ended_at timestamp with time zone,
    version bigint DEFAULT 0 NOT NULL,
    CONSTRAINT access_keys_id_check CHECK ((id ~ '^[a-z0-9]{8}$'::text)),
    CONSTRAINT access_keys_name_check CHECK (((length(name) >= 1) AND (length(name) <= 200))),
    CONSTRAINT access_keys_scope_check CHECK ((scope = ANY (ARRAY['read'::text, 'ingest'::text, 'operate'::text, 'metrics'::text, 'admin'::text])))
);

CREATE TABLE public.access_logins (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    token_sha256 bytea NOT NULL,
    user_id uuid,
    key_id text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    seen_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    ended_at timestamp with time zone,
    address text NOT NULL,
    user_agent text NOT NULL,
    version bigint DEFAULT 0 NOT NULL,
    CONSTRAINT access_logins_check CHECK (((user_id IS NULL) <> (key_id IS NULL))),
    CONSTRAINT access_logins_user_agent_check CHECK ((length(user_agent) <= 500))
);

CREATE TABLE public.access_users (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    username text NOT NULL,
    role text NOT NULL,
    password_hash text,
    identity text,
    is_disabled boolean DEFAULT false NOT NULL,
    is_first boolean,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    ended_at timestamp with time zone,
    version bigint DEFAULT 0 NOT NULL,
    CONSTRAINT access_users_role_check CHECK ((role = ANY (ARRAY['viewer'::text, 'operator'::text, 'admin'::text]))),
    CONSTRAINT access_users_username_check CHECK ((username ~ '^[A-Za-z0-9][A-Za-z0-9._@+-]{0,99}$'::text))
);

COMMENT ON COLUMN public.access_users.identity IS 'Who they are at the login of the house: the issuer and the subject.';

CREATE TABLE public.sessions (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    session_name text NOT NULL,
    input_source text,
    output_path text,
    start_time timestamp with time zone DEFAULT now() NOT NULL,
    end_time timestamp with time zone,
    duration_seconds double precision,
    status public.session_status DEFAULT 'active'::public.session_status NOT NULL,
    fps double precision,
    total_frames integer,
    resolution_width integer,
    resolution_height integer,
    confidence_threshold double precision DEFAULT 0.3,
    skip_frames integer DEFAULT 3,
    max_disappeared integer DEFAULT 15,
    max_distance integer DEFAULT 80,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT sessions_confidence_threshold_check CHECK (((confidence_threshold >= (0)::double precision) AND (confidence_threshold <= (1)::double precision))),
    CONSTRAINT sessions_duration_seconds_check CHECK (((duration_seconds >= (0)::double precision) AND (duration_seconds < 'Infinity'::double precision))),
    CONSTRAINT sessions_fps_check CHECK (((fps >= (0)::double precision) AND (fps < 'Infinity'::double precision))),
    CONSTRAINT sessions_max_disappeared_check CHECK ((max_disappeared >= 0)),
    CONSTRAINT sessions_max_distance_check CHECK ((max_distance >= 0)),
    CONSTRAINT sessions_resolution_height_check CHECK ((resolution_height >= 0)),
    CONSTRAINT sessions_resolution_width_check CHECK ((resolution_width >= 0)),
    CONSTRAINT sessions_skip_frames_check CHECK ((skip_frames >= 0)),
    CONSTRAINT sessions_total_frames_check CHECK ((total_frames >= 0))
);

CREATE VIEW public.active_sessions AS
 SELECT s.id,
    s.session_name,
    s.input_source,
    s.status,
    s.start_time,
    s.fps,
    m."timestamp" AS last_reading,
    m.current_people_count
   FROM (public.sessions s
     LEFT JOIN LATERAL ( SELECT realtime_metrics."timestamp",
            realtime_metrics.current_people_count
           FROM public.realtime_metrics
          WHERE ((realtime_metrics.session_id = s.id) AND (realtime_metrics."timestamp" <= (now() + '00:02:00'::interval)))
          ORDER BY realtime_metrics."timestamp" DESC, realtime_metrics.id DESC
         LIMIT 1) m ON (true))
  WHERE (s.status = 'active'::public.session_status);

CREATE TABLE public.alert_cursor (
    is_only boolean DEFAULT true NOT NULL,
    evaluated bigint NOT NULL,
    CONSTRAINT alert_cursor_is_only_check CHECK (is_only)
);

CREATE TABLE public.alert_logs (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    session_id uuid,
    threshold_id uuid,
    alert_type text NOT NULL,
    alert_message text,
    current_value integer,
    threshold_value integer,
    triggered_at timestamp with time zone DEFAULT now() NOT NULL,
    resolved_at timestamp with time zone,
    is_resolved boolean DEFAULT false NOT NULL,
    acknowledged_at timestamp with time zone,
    acknowledged_by text,
    note text,
    muted_until timestamp with time zone
);

COMMENT ON COLUMN public.alert_logs.acknowledged_at IS 'Since when somebody has it in hand; null: nobody yet.';

COMMENT ON COLUMN public.alert_logs.acknowledged_by IS 'The user or key that said so; null where nobody has to say who they are.';

COMMENT ON COLUMN public.alert_logs.note IS 'What is being done about it.';

COMMENT ON COLUMN public.alert_logs.muted_until IS 'Until when it asks for nobody''s attention; alerts of its kind inherit it.';

CREATE TABLE public.alert_states (
    threshold_id uuid NOT NULL,
    session_id uuid,
    alert_id uuid,
    since timestamp with time zone NOT NULL,
    value integer
);

CREATE SEQUENCE public.change_awake
    START WITH 0
    INCREMENT BY 1
    MINVALUE 0
    NO MAXVALUE
    CACHE 1;

CREATE SEQUENCE public.change_inbox_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

ALTER SEQUENCE public.change_inbox_seq OWNED BY public.change_inbox.seq;

CREATE TABLE public.change_log (
    id bigint NOT NULL,
    table_name text NOT NULL,
    action text NOT NULL,
    session_id uuid,
    old_session_id uuid,
    payload text NOT NULL,
    recorded_at timestamp with time zone NOT NULL,
    seq bigint
);

COMMENT ON TABLE public.change_log IS 'Changes in commit order; read by "id > cursor". Written by triggers only.';

COMMENT ON COLUMN public.change_log.old_session_id IS 'The session before, for UPDATE and DELETE.';

COMMENT ON COLUMN public.change_log.seq IS 'What the change had in the inbox; null if it was never there.';

CREATE TABLE public.change_log_home (
    is_only boolean DEFAULT true NOT NULL,
    database_identity text CONSTRAINT change_log_home_place_not_null NOT NULL,
    floor bigint DEFAULT 0 NOT NULL,
    secret bytea DEFAULT public.new_secret() NOT NULL,
    CONSTRAINT change_log_home_is_only_check CHECK (is_only)
);

COMMENT ON COLUMN public.change_log_home.floor IS 'The log holds every change after this id.';

COMMENT ON COLUMN public.change_log_home.secret IS 'Seals the payloads of NOTIFY; known to the owner of the log alone.';

CREATE TABLE public.change_sequencer (
    is_only boolean DEFAULT true NOT NULL,
    snapshot pg_snapshot NOT NULL,
    CONSTRAINT change_sequencer_is_only_check CHECK (is_only)
);

CREATE VIEW public.daily_analytics AS
SELECT
    NULL::text AS session_name,
    NULL::date AS date_timestamp,
    NULL::bigint AS total_people_entered,
    NULL::bigint AS total_people_exited;

CREATE VIEW public.hourly_analytics AS
SELECT
    NULL::text AS session_name,
    NULL::timestamp with time zone AS hour_timestamp,
    NULL::bigint AS people_entered,
    NULL::bigint AS people_exited;

CREATE TABLE public.movement_counts (
    session_id uuid NOT NULL,
    minute timestamp with time zone NOT NULL,
    entered bigint NOT NULL,
    exited bigint NOT NULL
);

CREATE TABLE public.movement_counts_cursor (
    is_only boolean DEFAULT true NOT NULL,
    folded bigint NOT NULL,
    CONSTRAINT movement_counts_cursor_is_only_check CHECK (is_only)
);

CREATE TABLE public.movement_quarters (
    session_id uuid,
    start timestamp with time zone NOT NULL,
    first_minute timestamp with time zone NOT NULL,
    last_minute timestamp with time zone NOT NULL,
    entered bigint NOT NULL,
    exited bigint NOT NULL,
    lowest bigint NOT NULL,
    highest bigint NOT NULL,
    climb bigint NOT NULL,
    area bigint NOT NULL,
    lows bigint[] NOT NULL,
    lasted integer[] NOT NULL
);

CREATE TABLE public.newest_readings (
    session_id uuid NOT NULL,
    taken_at timestamp with time zone NOT NULL
);

CREATE TABLE public.people_movements (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    session_id uuid NOT NULL,
    person_id integer NOT NULL,
    movement_direction public.movement_direction NOT NULL,
    movement_time timestamp with time zone DEFAULT now() NOT NULL,
    centroid_x double precision,
    centroid_y double precision,
    bounding_box_x1 double precision,
    bounding_box_y1 double precision,
    bounding_box_x2 double precision,
    bounding_box_y2 double precision,
    confidence_score double precision,
    frame_number integer,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT people_movements_bounding_box_check CHECK (((abs(bounding_box_x1) < 'Infinity'::double precision) AND (abs(bounding_box_y1) < 'Infinity'::double precision) AND (abs(bounding_box_x2) < 'Infinity'::double precision) AND (abs(bounding_box_y2) < 'Infinity'::double precision))),
    CONSTRAINT people_movements_centroid_check CHECK (((abs(centroid_x) < 'Infinity'::double precision) AND (abs(centroid_y) < 'Infinity'::double precision))),
    CONSTRAINT people_movements_confidence_score_check CHECK (((confidence_score >= (0)::double precision) AND (confidence_score <= (1)::double precision))),
    CONSTRAINT people_movements_frame_number_check CHECK ((frame_number >= 0))
);

CREATE TABLE public.reading_hours (
    session_id uuid NOT NULL,
    start timestamp with time zone NOT NULL,
    readings integer NOT NULL,
    people_count integer NOT NULL,
    people_sum double precision,
    people_least double precision,
    people_most double precision,
    entered_count integer NOT NULL,
    entered_sum double precision,
    entered_least double precision,
    entered_most double precision,
    exited_count integer NOT NULL,
    exited_sum double precision,
    exited_least double precision,
    exited_most double precision,
    fps_count integer NOT NULL,
    fps_sum double precision,
    fps_least double precision,
    fps_most double precision,
    cpu_count integer NOT NULL,
    cpu_sum double precision,
    cpu_least double precision,
    cpu_most double precision,
    memory_count integer NOT NULL,
    memory_sum double precision,
    memory_least double precision,
    memory_most double precision,
    latency_count integer NOT NULL,
    latency_sum double precision,
    latency_least double precision,
    latency_most double precision
)
WITH (fillfactor='90');

CREATE TABLE public.reading_minutes (
    session_id uuid NOT NULL,
    start timestamp with time zone NOT NULL,
    readings integer NOT NULL,
    people_count integer NOT NULL,
    people_sum double precision,
    people_least double precision,
    people_most double precision,
    entered_count integer NOT NULL,
    entered_sum double precision,
    entered_least double precision,
    entered_most double precision,
    exited_count integer NOT NULL,
    exited_sum double precision,
    exited_least double precision,
    exited_most double precision,
    fps_count integer NOT NULL,
    fps_sum double precision,
    fps_least double precision,
    fps_most double precision,
    cpu_count integer NOT NULL,
    cpu_sum double precision,
    cpu_least double precision,
    cpu_most double precision,
    memory_count integer NOT NULL,
    memory_sum double precision,
    memory_least double precision,
    memory_most double precision,
    latency_count integer NOT NULL,
    latency_sum double precision,
    latency_least double precision,
    latency_most double precision
)
WITH (fillfactor='90');

CREATE TABLE public.reading_rollups_cursor (
    is_only boolean DEFAULT true NOT NULL,
    folded bigint NOT NULL,
    filled timestamp with time zone DEFAULT '9999-12-31 00:00:00+00'::timestamp with time zone NOT NULL,
    kept_from timestamp with time zone DEFAULT '-infinity'::timestamp with time zone NOT NULL,
    minutes_kept_from timestamp with time zone DEFAULT '-infinity'::timestamp with time zone NOT NULL,
    CONSTRAINT reading_rollups_cursor_is_only_check CHECK (is_only)
);

CREATE VIEW public.recent_movements AS
 SELECT m.id,
    m.session_id,
    s.session_name,
    m.person_id,
    m.movement_direction,
    m.movement_time,
    m.centroid_x,
    m.centroid_y,
    m.confidence_score
   FROM (public.people_movements m
     JOIN public.sessions s ON ((s.id = m.session_id)))
  WHERE (m.movement_time >= (now() - '01:00:00'::interval))
  ORDER BY m.movement_time DESC;

CREATE TABLE public.session_reports (
    session_id uuid NOT NULL,
    reported_at timestamp with time zone NOT NULL
);

CREATE TABLE public.silent_sessions (
    session_id uuid NOT NULL,
    ended_at timestamp with time zone NOT NULL
);

CREATE TABLE public.system_config (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    config_key text NOT NULL,
    config_value text NOT NULL,
    config_type text DEFAULT 'string'::text NOT NULL,
    description text,
    is_active boolean DEFAULT true NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE public.worker_reports (
    host text NOT NULL,
    arbiter integer NOT NULL,
    slot integer NOT NULL,
    reported_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    process integer NOT NULL,
    version text NOT NULL,
    started_at timestamp with time zone NOT NULL,
    listener text NOT NULL,
    streams integer NOT NULL,
    changes bigint NOT NULL,
    deliveries bigint NOT NULL,
    sent_bytes bigint NOT NULL,
    log_reads bigint NOT NULL,
    overflows bigint NOT NULL,
    reconnects bigint NOT NULL,
    unannounced bigint NOT NULL,
    failures bigint NOT NULL,
    commit_to_publish_p50_ms double precision,
    commit_to_publish_p99_ms double precision,
    cpu_seconds double precision NOT NULL,
    resident_bytes bigint,
    sequencer_lag_seconds double precision NOT NULL,
    notify_queue_usage double precision NOT NULL
);

COMMENT ON TABLE public.worker_reports IS 'What workers say of themselves, every ten seconds.';

COMMENT ON COLUMN public.worker_reports.arbiter IS 'Its process.';

COMMENT ON COLUMN public.worker_reports.changes IS 'Each worker publishes all.';

COMMENT ON COLUMN public.worker_reports.commit_to_publish_p50_ms IS 'Of the newest changes since the report before; null without any.';

COMMENT ON COLUMN public.worker_reports.resident_bytes IS 'Null where the system does not tell.';

COMMENT ON COLUMN public.worker_reports.sequencer_lag_seconds IS 'Age of the oldest change that has no id, at the time of the report.';

ALTER TABLE ONLY public.access_audit
    ADD CONSTRAINT access_audit_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.access_failures
    ADD CONSTRAINT access_failures_pkey PRIMARY KEY (kind, subject);

ALTER TABLE ONLY public.access_home
    ADD CONSTRAINT access_home_pkey PRIMARY KEY (is_home);

ALTER TABLE ONLY public.access_key_sessions
    ADD CONSTRAINT access_key_sessions_pkey PRIMARY KEY (key_id, session_id);

ALTER TABLE ONLY public.access_keys
    ADD CONSTRAINT access_keys_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.access_keys
    ADD CONSTRAINT access_keys_secret_sha256_key UNIQUE (secret_sha256);

ALTER TABLE ONLY public.access_logins
    ADD CONSTRAINT access_logins_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.access_logins
    ADD CONSTRAINT access_logins_token_sha256_key UNIQUE (token_sha256);

ALTER TABLE ONLY public.access_users
    ADD CONSTRAINT access_users_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.alert_cursor
    ADD CONSTRAINT alert_cursor_pkey PRIMARY KEY (is_only);

ALTER TABLE ONLY public.alert_logs
    ADD CONSTRAINT alert_logs_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.alert_thresholds
    ADD CONSTRAINT alert_thresholds_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.change_log_home
    ADD CONSTRAINT change_log_home_pkey PRIMARY KEY (is_only);

ALTER TABLE ONLY public.change_log
    ADD CONSTRAINT change_log_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.change_sequencer
    ADD CONSTRAINT change_sequencer_pkey PRIMARY KEY (is_only);

ALTER TABLE ONLY public.movement_counts_cursor
    ADD CONSTRAINT movement_counts_cursor_pkey PRIMARY KEY (is_only);

ALTER TABLE ONLY public.movement_counts
    ADD CONSTRAINT movement_counts_pkey PRIMARY KEY (session_id, minute);

ALTER TABLE ONLY public.newest_readings
    ADD CONSTRAINT newest_readings_pkey PRIMARY KEY (session_id);

ALTER TABLE ONLY public.people_movements
    ADD CONSTRAINT people_movements_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.reading_hours
    ADD CONSTRAINT reading_hours_pkey PRIMARY KEY (session_id, start);

ALTER TABLE ONLY public.reading_minutes
    ADD CONSTRAINT reading_minutes_pkey PRIMARY KEY (session_id, start);

ALTER TABLE ONLY public.reading_rollups_cursor
    ADD CONSTRAINT reading_rollups_cursor_pkey PRIMARY KEY (is_only);

ALTER TABLE ONLY public.realtime_metrics
    ADD CONSTRAINT realtime_metrics_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.session_reports
    ADD CONSTRAINT session_reports_pkey PRIMARY KEY (session_id);

ALTER TABLE ONLY public.sessions
    ADD CONSTRAINT sessions_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.silent_sessions
    ADD CONSTRAINT silent_sessions_pkey PRIMARY KEY (session_id);

ALTER TABLE ONLY public.system_config
    ADD CONSTRAINT system_config_config_key_key UNIQUE (config_key);

ALTER TABLE ONLY public.system_config
    ADD CONSTRAINT system_config_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.worker_reports
    ADD CONSTRAINT worker_reports_pkey PRIMARY KEY (reported_at, host, arbiter, slot);

CREATE INDEX access_failures_next_idx ON public.access_failures USING btree (next_at);

CREATE INDEX access_key_sessions_session_idx ON public.access_key_sessions USING btree (session_id);

CREATE INDEX access_keys_version_idx ON public.access_keys USING btree (version);

CREATE INDEX access_logins_expires_idx ON public.access_logins USING btree (expires_at);

CREATE INDEX access_logins_key_idx ON public.access_logins USING btree (key_id) WHERE (key_id IS NOT NULL);

CREATE INDEX access_logins_user_idx ON public.access_logins USING btree (user_id, address);

CREATE INDEX access_logins_version_idx ON public.access_logins USING btree (version);

CREATE UNIQUE INDEX access_users_first_key ON public.access_users USING btree (is_first) WHERE is_first;

CREATE UNIQUE INDEX access_users_identity_key ON public.access_users USING btree (identity) WHERE (ended_at IS NULL);

CREATE UNIQUE INDEX access_users_username_key ON public.access_users USING btree (lower(username)) WHERE (ended_at IS NULL);

CREATE INDEX access_users_version_idx ON public.access_users USING btree (version);

CREATE INDEX alert_logs_muted_idx ON public.alert_logs USING btree (alert_type) WHERE (muted_until IS NOT NULL);

CREATE INDEX alert_logs_open_idx ON public.alert_logs USING btree (triggered_at, id) WHERE (NOT is_resolved);

CREATE INDEX alert_logs_session_id_idx ON public.alert_logs USING btree (session_id, triggered_at, id);

CREATE INDEX alert_logs_threshold_id_idx ON public.alert_logs USING btree (threshold_id);

CREATE INDEX alert_logs_triggered_at_idx ON public.alert_logs USING btree (triggered_at, id);

CREATE UNIQUE INDEX alert_states_key ON public.alert_states USING btree (threshold_id, COALESCE(session_id, threshold_id));

CREATE INDEX alert_states_session_id_idx ON public.alert_states USING btree (session_id);

CREATE INDEX alert_thresholds_session_id_idx ON public.alert_thresholds USING btree (session_id, created_at, id);

CREATE INDEX change_inbox_xid_idx ON public.change_inbox USING btree (xid);

CREATE INDEX movement_counts_minute_idx ON public.movement_counts USING btree (minute) INCLUDE (entered, exited);

CREATE UNIQUE INDEX movement_quarters_session_idx ON public.movement_quarters USING btree (session_id, start) WHERE (session_id IS NOT NULL);

CREATE UNIQUE INDEX movement_quarters_together_idx ON public.movement_quarters USING btree (start) WHERE (session_id IS NULL);

CREATE INDEX people_movements_movement_time_idx ON public.people_movements USING btree (movement_time, id);

CREATE INDEX people_movements_session_id_idx ON public.people_movements USING btree (session_id, movement_time, id);

CREATE INDEX reading_hours_start_idx ON public.reading_hours USING btree (start);

CREATE INDEX reading_minutes_start_idx ON public.reading_minutes USING btree (start);

CREATE INDEX realtime_metrics_session_id_idx ON public.realtime_metrics USING btree (session_id, "timestamp", id);

CREATE INDEX realtime_metrics_timestamp_idx ON public.realtime_metrics USING btree ("timestamp", id);

CREATE INDEX sessions_created_at_idx ON public.sessions USING btree (created_at, id);

CREATE INDEX sessions_start_time_idx ON public.sessions USING btree (start_time, id);

CREATE INDEX sessions_status_idx ON public.sessions USING btree (status, created_at, id);

CREATE OR REPLACE VIEW public.daily_analytics AS
 SELECT s.session_name,
    ((c.minute AT TIME ZONE 'UTC'::text))::date AS date_timestamp,
    (sum(c.entered))::bigint AS total_people_entered,
    (sum(c.exited))::bigint AS total_people_exited
   FROM (public.movement_counts c
     JOIN public.sessions s ON ((s.id = c.session_id)))
  GROUP BY s.id, (((c.minute AT TIME ZONE 'UTC'::text))::date)
 HAVING ((sum(c.entered) <> (0)::numeric) OR (sum(c.exited) <> (0)::numeric))
  ORDER BY (((c.minute AT TIME ZONE 'UTC'::text))::date) DESC;

CREATE OR REPLACE VIEW public.hourly_analytics AS
 SELECT s.session_name,
    date_trunc('hour'::text, c.minute) AS hour_timestamp,
    (sum(c.entered))::bigint AS people_entered,
    (sum(c.exited))::bigint AS people_exited
   FROM (public.movement_counts c
     JOIN public.sessions s ON ((s.id = c.session_id)))
  GROUP BY s.id, (date_trunc('hour'::text, c.minute))
 HAVING ((sum(c.entered) <> (0)::numeric) OR (sum(c.exited) <> (0)::numeric))
  ORDER BY (date_trunc('hour'::text, c.minute)) DESC;

CREATE TRIGGER access_audit_keep BEFORE DELETE OR UPDATE OR TRUNCATE ON public.access_audit FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_to_rewrite();

CREATE TRIGGER access_key_sessions_pass_on AFTER INSERT OR DELETE ON public.access_key_sessions FOR EACH ROW EXECUTE FUNCTION public.pass_on_access();

CREATE TRIGGER access_keys_pass_on AFTER UPDATE ON public.access_keys FOR EACH ROW EXECUTE FUNCTION public.pass_on_access();

CREATE TRIGGER access_keys_version BEFORE INSERT OR UPDATE OF scope, is_restricted, expires_at, ended_at, name, version ON public.access_keys FOR EACH ROW EXECUTE FUNCTION public.next_access_version();

CREATE TRIGGER access_logins_version BEFORE INSERT OR UPDATE OF expires_at, ended_at, version ON public.access_logins FOR EACH ROW EXECUTE FUNCTION public.next_access_version();

CREATE CONSTRAINT TRIGGER access_users_admin AFTER DELETE OR UPDATE ON public.access_users NOT DEFERRABLE INITIALLY IMMEDIATE FOR EACH ROW WHEN ((old.role = 'admin'::text)) EXECUTE FUNCTION public.keep_an_administrator();

CREATE TRIGGER access_users_pass_on AFTER UPDATE ON public.access_users FOR EACH ROW EXECUTE FUNCTION public.pass_on_access();

CREATE TRIGGER access_users_version BEFORE INSERT OR UPDATE OF role, password_hash, is_disabled, ended_at, username, version ON public.access_users FOR EACH ROW EXECUTE FUNCTION public.next_access_version();

CREATE TRIGGER alert_change_trigger AFTER INSERT OR DELETE OR UPDATE ON public.alert_logs FOR EACH ROW EXECUTE FUNCTION public.notify_alert_change();

CREATE TRIGGER alert_logs_inherit_mute BEFORE INSERT ON public.alert_logs FOR EACH ROW WHEN ((new.muted_until IS NULL)) EXECUTE FUNCTION public.inherit_mute();

CREATE TRIGGER alert_logs_keep_resolved_at BEFORE INSERT OR UPDATE OF is_resolved ON public.alert_logs FOR EACH ROW EXECUTE FUNCTION public.keep_resolved_at();

CREATE TRIGGER alert_thresholds_settle BEFORE INSERT OR UPDATE ON public.alert_thresholds FOR EACH ROW EXECUTE FUNCTION public.settle_threshold();

CREATE TRIGGER alert_thresholds_touch_updated_at BEFORE UPDATE ON public.alert_thresholds FOR EACH ROW WHEN ((old.* IS DISTINCT FROM new.*)) EXECUTE FUNCTION public.touch_updated_at();

CREATE TRIGGER alert_truncate AFTER TRUNCATE ON public.alert_logs FOR EACH STATEMENT EXECUTE FUNCTION public.notify_alert_change();

CREATE TRIGGER keep_floor AFTER DELETE ON public.change_log REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION public.keep_floor();

CREATE TRIGGER metrics_change_trigger AFTER INSERT OR DELETE OR UPDATE ON public.realtime_metrics FOR EACH ROW EXECUTE FUNCTION public.notify_metrics_change();

CREATE TRIGGER metrics_truncate AFTER TRUNCATE ON public.realtime_metrics FOR EACH STATEMENT EXECUTE FUNCTION public.notify_metrics_change();

CREATE TRIGGER movement_change_trigger AFTER INSERT OR DELETE OR UPDATE ON public.people_movements FOR EACH ROW EXECUTE FUNCTION public.notify_movement_change();

CREATE TRIGGER movement_truncate AFTER TRUNCATE ON public.people_movements FOR EACH STATEMENT EXECUTE FUNCTION public.notify_movement_change();

CREATE TRIGGER people_movements_round BEFORE INSERT OR UPDATE ON public.people_movements FOR EACH ROW WHEN (((new.confidence_score > (1)::double precision) OR (new.confidence_score < (0)::double precision))) EXECUTE FUNCTION public.round_to_bounds();

CREATE TRIGGER realtime_metrics_round BEFORE INSERT OR UPDATE ON public.realtime_metrics FOR EACH ROW WHEN (((new.cpu_usage_percentage > (100)::double precision) OR (new.cpu_usage_percentage < (0)::double precision))) EXECUTE FUNCTION public.round_to_bounds();

CREATE TRIGGER session_change_trigger AFTER INSERT OR DELETE OR UPDATE ON public.sessions FOR EACH ROW EXECUTE FUNCTION public.notify_session_change();

CREATE TRIGGER session_truncate AFTER TRUNCATE ON public.sessions FOR EACH STATEMENT EXECUTE FUNCTION public.notify_session_change();

CREATE TRIGGER sessions_round BEFORE INSERT OR UPDATE ON public.sessions FOR EACH ROW WHEN (((new.confidence_threshold > (1)::double precision) OR (new.confidence_threshold < (0)::double precision))) EXECUTE FUNCTION public.round_to_bounds();

CREATE TRIGGER sessions_touch_updated_at BEFORE UPDATE ON public.sessions FOR EACH ROW WHEN ((old.* IS DISTINCT FROM new.*)) EXECUTE FUNCTION public.touch_updated_at();

CREATE TRIGGER threshold_change AFTER UPDATE ON public.alert_thresholds FOR EACH ROW WHEN (((old.session_id IS DISTINCT FROM new.session_id) OR (old.alert_type IS DISTINCT FROM new.alert_type) OR (old.is_active IS DISTINCT FROM new.is_active) OR (old.direction IS DISTINCT FROM new.direction) OR (old.is_total IS DISTINCT FROM new.is_total))) EXECUTE FUNCTION public.resolve_alerts_of_threshold();

CREATE TRIGGER threshold_delete BEFORE DELETE ON public.alert_thresholds FOR EACH ROW EXECUTE FUNCTION public.resolve_alerts_of_threshold();

ALTER TABLE ONLY public.access_key_sessions
    ADD CONSTRAINT access_key_sessions_key_id_fkey FOREIGN KEY (key_id) REFERENCES public.access_keys(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.access_key_sessions
    ADD CONSTRAINT access_key_sessions_session_id_fkey FOREIGN KEY (session_id) REFERENCES public.sessions(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.access_logins
    ADD CONSTRAINT access_logins_key_id_fkey FOREIGN KEY (key_id) REFERENCES public.access_keys(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.access_logins
    ADD CONSTRAINT access_logins_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.access_users(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.alert_logs
    ADD CONSTRAINT alert_logs_session_id_fkey FOREIGN KEY (session_id) REFERENCES public.sessions(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.alert_logs
    ADD CONSTRAINT alert_logs_threshold_id_fkey FOREIGN KEY (threshold_id) REFERENCES public.alert_thresholds(id) ON DELETE SET NULL;

ALTER TABLE ONLY public.alert_states
    ADD CONSTRAINT alert_states_session_id_fkey FOREIGN KEY (session_id) REFERENCES public.sessions(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.alert_states
    ADD CONSTRAINT alert_states_threshold_id_fkey FOREIGN KEY (threshold_id) REFERENCES public.alert_thresholds(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.alert_thresholds
    ADD CONSTRAINT alert_thresholds_session_id_fkey FOREIGN KEY (session_id) REFERENCES public.sessions(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.people_movements
    ADD CONSTRAINT people_movements_session_id_fkey FOREIGN KEY (session_id) REFERENCES public.sessions(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.realtime_metrics
    ADD CONSTRAINT realtime_metrics_session_id_fkey FOREIGN KEY (session_id) REFERENCES public.sessions(id) ON DELETE CASCADE;
