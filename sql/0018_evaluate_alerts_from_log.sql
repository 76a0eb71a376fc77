-- Alerts are evaluated from the change log, in commit order, by one worker at a time, instead of in the writer's
-- statement. There, writers of several sessions met at the rows of alerts: they deadlocked, the error was swallowed with
-- the alert, and SERIALIZABLE writers failed. Now a threshold costs a writer nothing, and no reading is passed over.

drop trigger metric_alerts on realtime_metrics;
drop function evaluate_metrics();

-- The id of the last change whose readings have been evaluated. One row; whoever holds its lock evaluates.
create table alert_cursor (
    is_only   boolean primary key default true constraint alert_cursor_is_only_check check (is_only),
    evaluated bigint not null
);
insert into alert_cursor (evaluated) select coalesce(max(id), 0) from change_log;

-- Opens, updates or resolves the alert of one threshold and session, for one value.
create function apply_value(threshold alert_thresholds, session uuid, value double precision) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    -- Not everything that a camera measures fits into the column.
    shown integer := greatest(least(value, 2147483647), -2147483648)::integer;
    margin integer := coalesce(threshold.resolve_margin, threshold.threshold_value / 10);
    raised uuid := gen_random_uuid();
    ended uuid;
begin
    if not threshold.is_active or value < threshold.threshold_value - margin then
        delete from public.alert_states where threshold_id = threshold.id and session_id = session
        returning alert_id into ended;
        update public.alert_logs set is_resolved = true, current_value = shown where id = ended and not is_resolved;
        return;
    end if;
    if value >= threshold.threshold_value then
        insert into public.alert_states values (threshold.id, session, raised)
        on conflict (threshold_id, session_id) do nothing;
        if found then
            insert into public.alert_logs
                (id, session_id, threshold_id, alert_type, alert_message, current_value, threshold_value)
            values (raised, session, threshold.id, threshold.alert_type,
                    coalesce(threshold.alert_message, threshold.threshold_name), shown, threshold.threshold_value);
            return;
        end if;
    end if;
    update public.alert_logs a set current_value = shown
    from public.alert_states s
    where s.threshold_id = threshold.id and s.session_id = session and a.id = s.alert_id
      and not a.is_resolved and a.current_value is distinct from shown;
end
$$;

-- Evaluates the readings of the next changes of the log, at most so many changes; returns how many changes that were, 0
-- if there are none, and null if another session is at it.
create function evaluate_alerts(most integer default 2000) returns bigint
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
    select greatest(first, min(id) - 1) into first from change_log;
    select max(id) into last from (select id from change_log where id > first order by id limit most) as next;
    if last is null then
        return 0;
    end if;
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
    update alert_cursor set evaluated = last;
    return last - first;
end
$$;

-- As before, but for the name of what it calls.
create or replace function evaluate_silence() returns void
language plpgsql as $$
declare
    reached record;
begin
    for reached in
        select t as threshold, r.session_id, extract(epoch from clock_timestamp() - r.reported_at) as silent
        from alert_thresholds t
        join session_reports r on t.session_id is null or t.session_id = r.session_id
        join sessions s on s.id = r.session_id and s.status = 'active'
        where t.alert_type = 'no_signal_seconds'
    loop
        if reached.silent >= (reached.threshold).threshold_value or exists (
            select from alert_states
            where threshold_id = (reached.threshold).id and session_id = reached.session_id)
        then
            perform apply_value(reached.threshold, reached.session_id, reached.silent);
        end if;
    end loop;
    with ended as (
        delete from alert_states a using sessions s
        where s.id = a.session_id and s.status <> 'active' returning a.alert_id
    )
    update alert_logs set is_resolved = true where id in (select alert_id from ended) and not is_resolved;
end
$$;

drop function settle_alert(alert_thresholds, uuid, double precision, double precision);
revoke execute on function apply_value(alert_thresholds, uuid, double precision), evaluate_alerts(integer) from public;
