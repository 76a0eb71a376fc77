-- Where the log begins was searched for as min(id), which reads every row that pruning has deleted until VACUUM has
-- removed it: with a long transaction beside it, 0.7 seconds, and clients heard nothing meanwhile. Now the log keeps
-- its floor: the id up to which changes may be missing. Whoever deletes moves it, in the same transaction.

alter table change_log_home add column floor bigint not null default 0;
comment on column change_log_home.floor is 'The log holds every change after this id.';
update change_log_home set floor = coalesce((select min(id) - 1 from change_log), 0);

create function keep_floor() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    update public.change_log_home set floor = greatest(floor, (select max(id) from gone))
    where floor < (select max(id) from gone);
    return null;
end
$$;
revoke execute on function keep_floor from public;

create trigger keep_floor after delete on change_log
referencing old table as gone for each statement execute function keep_floor();

create or replace function recognize_database() returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp set timezone = 'UTC' set lock_timeout = '2s' as $$
begin
    if exists (select from public.change_log_home where database_identity = public.database_identity()) then
        return false;
    end if;
    -- The same lock as for ids, taken first: a second caller finds the work done.
    perform pg_advisory_xact_lock(27980790367741299);
    update public.change_log_home set database_identity = public.database_identity()
    where database_identity <> public.database_identity();
    if not found then
        return false;
    end if;
    truncate public.change_log;
    -- More changes than a backup can be behind; JavaScript counts exactly to nine million times that.
    update public.change_log_home
    set floor = setval('public.change_log_id_seq', nextval('public.change_log_id_seq') + 1000000000);
    perform public.record_change(channel, table_name, 'RESET', null, null, null, null)
    from (values ('session_changes', 'sessions'), ('movement_changes', 'people_movements'),
                 ('alert_changes', 'alert_logs'), ('metrics_changes', 'realtime_metrics')) as t (channel, table_name);
    return true;
end
$$;

-- A row that cannot be read stops neither alerts nor counts: the alerts pass over it, alone, and the movements are counted
-- anew from their table. Both say so in PostgreSQL's log, which names the row.
create or replace function evaluate_alerts(most integer default 2000) returns bigint
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
                select id, session_id, payload::json -> 'data' as data from change_log
                where id > first and id <= last and table_name = 'realtime_metrics' and action = 'INSERT'
            ), pairs as (
                select r.id, r.session_id, t as threshold, t.id as threshold_id, v.value,
                       t.is_active and v.value >= t.threshold_value as reaches
                from readings r
                join sessions s on s.id = r.session_id  -- it may have been deleted meanwhile
                cross join lateral (values
                    ('people_count', (data ->> 'current_people_count')::double precision),
                    ('entered_per_minute', (data ->> 'people_entered_last_minute')::double precision),
                    ('exited_per_minute', (data ->> 'people_exited_last_minute')::double precision),
                    ('processing_latency_ms', (data ->> 'processing_latency_ms')::double precision)) as v (alert_type, value)
                join alert_thresholds t
                    on t.alert_type = v.alert_type and (t.session_id is null or t.session_id = r.session_id)
                where v.value is not null
            )
            -- Most readings reach no threshold and belong to no alert that lasts: only the others are looked at one by one.
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
    exception when data_exception or statement_too_complex then
        if last - first > 1 and most > 1 then
            return evaluate_alerts(most / 2);
        end if;
        raise warning 'change % cannot be read and raises no alert: %', last, sqlerrm;
    end;
    update alert_cursor set evaluated = last;
    return last - first;
end
$$;

-- One at a time by its row, which only the owner may lock; any role may hold an advisory lock, and did stop this.
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
    exception when data_exception or statement_too_complex then
        raise warning 'a change after % up to % cannot be read, so the movements are counted anew: %', first, last, sqlerrm;
        perform recount_movements();
        return last - first;
    end;
    insert into session_reports as r
    select session_id, max(recorded_at) from change_log
    where id > first and id <= last and action = 'INSERT' and table_name in ('people_movements', 'realtime_metrics')
    group by session_id
    on conflict (session_id) do update set reported_at = excluded.reported_at;
    update movement_counts_cursor set folded = last;
    return last - first;
end
$$;
