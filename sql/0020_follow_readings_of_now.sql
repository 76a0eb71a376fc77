-- What is of now. A reading has two times: the camera's own, and when the database recorded it. Alerts used to follow the
-- order of arrival: a late 0 resolved the alert of a full room, a backfill of last week raised alerts of today, and a
-- clock that is hours ahead steered everything. Now alerts follow a session's newest reading by its own time; what is
-- history, or further ahead than the margin, raises none.

-- Whether a row was already old when it came: a backfill, not a report.
create function is_history(happened_at timestamptz, recorded_at timestamptz) returns boolean
language sql immutable as $$ select happened_at < recorded_at - interval '10 minutes' $$;
revoke execute on function is_history from public;

-- The newest reading, by its own time, that alerts have followed.
create table newest_readings (
    session_id uuid primary key,
    taken_at   timestamptz not null
);

drop function evaluate_alerts(integer);

-- Evaluates the readings of the next changes of the log, at most so many changes; returns how many changes that were, 0
-- if there are none, and null if another session is at it.
--
-- A row that cannot be read stops neither alerts nor, below, counts: the alerts pass over it, alone, and the movements are
-- counted anew from their table. Both say so in PostgreSQL's log, which names the row.
create function evaluate_alerts(most integer default 2000, clock_margin interval default '2 minutes') returns bigint
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
                select r.id, r.session_id, r.data, t.taken_at,
                       max(t.taken_at) over (partition by r.session_id order by r.id
                                             rows between unbounded preceding and 1 preceding) as before
                from readings r
                cross join lateral (values ((data ->> 'timestamp')::timestamptz)) as t (taken_at)
                where not is_history(t.taken_at, r.recorded_at) and t.taken_at <= r.recorded_at + clock_margin
            ), pairs as (
                select r.id, r.session_id, t as threshold, t.id as threshold_id, v.value,
                       t.is_active and v.value >= t.threshold_value as reaches
                from of_now r
                -- It may have been deleted, or stopped, meanwhile.
                join sessions s on s.id = r.session_id and s.status = 'active'
                left join newest_readings n on n.session_id = r.session_id
                cross join lateral (values
                    ('people_count', (data ->> 'current_people_count')::double precision),
                    ('entered_per_minute', (data ->> 'people_entered_last_minute')::double precision),
                    ('exited_per_minute', (data ->> 'people_exited_last_minute')::double precision),
                    ('processing_latency_ms', (data ->> 'processing_latency_ms')::double precision))
                    as v (alert_type, value)
                join alert_thresholds t
                    on t.alert_type = v.alert_type and (t.session_id is null or t.session_id = r.session_id)
                where v.value is not null and r.taken_at >= coalesce(greatest(r.before, n.taken_at), '-infinity')
            )
            -- Most readings reach no threshold and belong to no alert that lasts: only the others are looked at singly.
            select threshold, session_id, value from (
                select *, bool_or(reaches) over (partition by threshold_id, session_id order by id) as was_reached,
                       exists (select from alert_states a
                               where a.threshold_id = p.threshold_id and a.session_id = p.session_id) as lasts
                from pairs p) as judged
            where was_reached or lasts
            order by id, threshold_id
        loop
            perform apply_value(reached.threshold, reached.session_id, reached.value);
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
revoke execute on function evaluate_alerts from public;

-- A backfill is no report: it neither keeps a session alive nor brings it back. And one session folds at a time by the row
-- of the cursor, which only the owner may lock; any role may hold an advisory lock, and did stop this.
create or replace function fold_movements(most integer default 20000) returns bigint
language plpgsql as $$
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
            select session_id, recorded_at, payload::json -> 'data' as data from change_log
            where id > first and id <= last and action = 'INSERT'
              and table_name in ('people_movements', 'realtime_metrics')) as reports
        where not is_history(coalesce(data ->> 'timestamp', data ->> 'movement_time')::timestamptz, recorded_at)
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

-- The sessions that were ended because they were silent, and when they had reported last.
create table silent_sessions (
    session_id uuid primary key,
    ended_at   timestamptz not null
);

-- Ends the sessions that have been silent for too long, and begins those again that were ended so and report again;
-- returns how many were ended. What was stopped, or changed, by somebody else stays as it is.
create or replace function end_silent_sessions(silence interval) returns bigint
language plpgsql as $$
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
            duration_seconds = case when isfinite(s.start_time) and isfinite(r.reported_at)
                                    then greatest(0, extract(epoch from r.reported_at - s.start_time)) end
        from session_reports r
        where r.session_id = s.id and s.status = 'active' and greatest(r.reported_at, s.updated_at) < now() - silence
        returning s.id, s.end_time
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
