-- Thresholds that mean what they say. Each used to watch whether a number of people is reached, whatever its name said, and
-- only where readings come: "fps_low 15" raised an alert at 15 people, and where only movements come, none was raised. Now
-- a threshold says what it watches, above or below, for how long, and whether it is about each session or all together.

alter table alert_thresholds
    drop constraint alert_thresholds_alert_type_check,
    add constraint alert_thresholds_alert_type_check check (alert_type in
        ('people_count', 'entered_per_minute', 'exited_per_minute', 'processing_latency_ms', 'fps',
         'cpu_usage_percentage', 'memory_usage_mb', 'no_signal_seconds', 'unmeasured')),
    -- No type was given: the trigger below decides.
    alter column alert_type set default 'by name',
    add column direction text not null default 'above' check (direction in ('above', 'below')),
    add column lasting_seconds integer not null default 0 check (lasting_seconds >= 0 and lasting_seconds <= 86400),
    add column is_total boolean not null default false,
    add column type_from_name boolean not null default false;
comment on column alert_thresholds.direction is 'Reached: above is value >= threshold_value, below is value < threshold_value.';
comment on column alert_thresholds.lasting_seconds is 'For how long it has to be reached, by the database''s clock.';
comment on column alert_thresholds.is_total is 'Watches the sum over all active sessions instead of each.';
comment on column alert_thresholds.type_from_name is 'Nobody gave a type: it was read off a well-known name.';

-- A type that nobody gave: names whose meaning is certain decide, "unmeasured" watches nothing; others count people.
create function settle_threshold() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
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
revoke execute on function settle_threshold from public;
create trigger alert_thresholds_settle before insert or update on alert_thresholds
    for each row execute function settle_threshold();

drop trigger threshold_change on alert_thresholds;
create trigger threshold_change after update on alert_thresholds for each row
    when (old.session_id is distinct from new.session_id or old.alert_type is distinct from new.alert_type
          or old.is_active is distinct from new.is_active or old.direction is distinct from new.direction
          or old.is_total is distinct from new.is_total)
    execute function resolve_alerts_of_threshold();

-- Those that are here already and were never given a type.
update alert_thresholds set alert_type = 'by name'
where alert_type = 'people_count'
  and threshold_name in ('min_people_count', 'fps_low', 'cpu_usage_high', 'memory_usage_high', 'detection_accuracy_low');

-- A state is a threshold that is reached: for a while (no alert yet), or long enough. Without a session: all together.
alter table alert_states
    drop constraint alert_states_pkey,
    alter column session_id drop not null,
    alter column alert_id drop not null,
    add column since timestamptz not null default now(),
    add column value integer;
alter table alert_states alter column since drop default;
create unique index alert_states_key on alert_states (threshold_id, coalesce(session_id, threshold_id));

create function is_reached(threshold alert_thresholds, value double precision, margin integer default 0) returns boolean
language sql immutable as $$
    select case threshold.direction when 'below' then value < threshold.threshold_value::double precision + margin
                                    else value >= threshold.threshold_value::double precision - margin end
$$;
revoke execute on function is_reached from public;

create function raise_alert(threshold alert_thresholds, session uuid, shown integer) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
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
revoke execute on function raise_alert from public;

-- The value that a session, or all together, had from this moment on. The result does not depend on how often, or how
-- late, this is called: a value lasts until the next one, and what had lasted long enough by then raises its alert first.
drop function apply_value(alert_thresholds, uuid, double precision);
create function apply_value(threshold alert_thresholds, session uuid, value double precision, since timestamptz) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
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
revoke execute on function apply_value from public;

create or replace function evaluate_alerts(most integer default 2000, clock_margin interval default '2 minutes') returns bigint
language plpgsql as $$
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
            with readings as (
                select id, session_id, recorded_at, payload::json -> 'data' as data from change_log
                where id > first and id <= last and table_name = 'realtime_metrics' and action = 'INSERT'
            ), of_now as (
                select r.id, r.session_id, r.recorded_at, r.data, t.taken_at,
                       max(t.taken_at) over (partition by r.session_id order by r.id
                                             rows between unbounded preceding and 1 preceding) as before
                from readings r
                cross join lateral (values ((data ->> 'timestamp')::timestamptz)) as t (taken_at)
                where not is_history(t.taken_at, r.recorded_at) and t.taken_at <= r.recorded_at + clock_margin
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
                    ('people_count', (data ->> 'current_people_count')::double precision),
                    ('entered_per_minute', (data ->> 'people_entered_last_minute')::double precision),
                    ('exited_per_minute', (data ->> 'people_exited_last_minute')::double precision),
                    ('processing_latency_ms', (data ->> 'processing_latency_ms')::double precision),
                    ('fps', (data ->> 'fps_current')::double precision),
                    ('cpu_usage_percentage', (data ->> 'cpu_usage_percentage')::double precision),
                    ('memory_usage_mb', (data ->> 'memory_usage_mb')::double precision))
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
            select session_id, recorded_at, (payload::json -> 'data' ->> 'timestamp')::timestamptz as taken_at
            from change_log
            where id > first and id <= last and table_name = 'realtime_metrics' and action = 'INSERT') as r
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

-- The doors of now: each active session and how many people are inside. A door's figure is its newest reading, unless
-- that is further ahead than the margin, or older than the silence after which sessions end; a door without one is
-- counted from its movements since midnight, never below 0.
create function doors_of_now(zone text, clock_margin interval, silence interval)
returns table (session_id uuid, taken_at timestamptz, people bigint)
language sql stable as $$
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
revoke execute on function doors_of_now from public;

-- What no reading says, looked at every few seconds: silence, doors whose people are counted from movements, the total,
-- and what has lasted long enough since the last reading. Without a threshold it reads nothing else and writes nothing.
drop function evaluate_silence();
create function evaluate_alerts_of_now(zone text, clock_margin interval, silence interval) returns void
language plpgsql as $$
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
revoke execute on function evaluate_alerts_of_now from public;

-- As before, and the alerts of a session that silence ends are resolved by the statement that ends it.
create or replace function end_silent_sessions(silence interval) returns bigint language plpgsql as $$
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
