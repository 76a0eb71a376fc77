-- Alerts that raise themselves, whichever program writes the metrics.
--
-- An alert opens once when the value reaches its threshold, follows the value while it lasts, and is resolved when the
-- value falls below the threshold by the margin. Who resolves it by hand is respected: it does not open again before
-- the value has fallen. Thresholds that say nothing about it watch the count of people.

alter table alert_thresholds
    add column alert_type text not null default 'people_count',
    add column resolve_margin integer,
    add constraint alert_thresholds_alert_type_check check (alert_type in (
        'people_count', 'entered_per_minute', 'exited_per_minute', 'processing_latency_ms', 'no_signal_seconds')),
    add constraint alert_thresholds_resolve_margin_check check (resolve_margin >= 0);
comment on column alert_thresholds.resolve_margin is 'Null: a tenth of the threshold.';

-- Which thresholds are reached by which sessions right now, and the alert that this raised.
create table alert_states (
    threshold_id uuid not null,
    session_id   uuid not null,
    alert_id     uuid not null,
    constraint alert_states_pkey primary key (threshold_id, session_id),
    constraint alert_states_threshold_id_fkey
        foreign key (threshold_id) references alert_thresholds (id) on delete cascade,
    constraint alert_states_session_id_fkey foreign key (session_id) references sessions (id) on delete cascade
);
create index alert_states_session_id_idx on alert_states (session_id);

-- Opens, updates or resolves the alert of one threshold and session. peak is the highest value of a batch of metrics,
-- latest the one that it ends with.
create function settle_alert(threshold alert_thresholds, session uuid, peak double precision, latest double precision)
returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    -- Not everything that a camera measures fits into the column.
    top integer := least(peak, 2147483647)::integer;
    now_value integer := least(latest, 2147483647)::integer;
    margin integer := coalesce(threshold.resolve_margin, threshold.threshold_value / 10);
    raised uuid := gen_random_uuid();
    settled uuid;
begin
    if threshold.is_active and peak >= threshold.threshold_value then
        insert into public.alert_states values (threshold.id, session, raised)
        on conflict (threshold_id, session_id) do nothing;
        if found then
            insert into public.alert_logs
                (id, session_id, threshold_id, alert_type, alert_message, current_value, threshold_value)
            values (raised, session, threshold.id, threshold.alert_type,
                    coalesce(threshold.alert_message, threshold.threshold_name), top, threshold.threshold_value);
        end if;
    end if;
    if not threshold.is_active or latest < threshold.threshold_value - margin then
        delete from public.alert_states where threshold_id = threshold.id and session_id = session
        returning alert_id into settled;
        update public.alert_logs set is_resolved = true, current_value = now_value
        where id = settled and not is_resolved;
    else
        update public.alert_logs a set current_value = now_value
        from public.alert_states s
        where s.threshold_id = threshold.id and s.session_id = session and a.id = s.alert_id and a.id <> raised
          and not a.is_resolved and a.current_value is distinct from now_value;
    end if;
exception when others then
    -- Whatever goes wrong with an alert, the camera's metrics are written.
    raise warning 'alert of threshold % for session %: %', threshold.id, session, sqlerrm;
end
$$;
revoke execute on function settle_alert from public;

-- Looks at each session of a statement once, not at each of its rows and thresholds. Does nothing without thresholds.
create function evaluate_metrics() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    reached record;
begin
    if not exists (select from public.alert_thresholds) then
        return null;
    end if;
    for reached in
        with peaks as (
            select session_id, max(current_people_count) as people, max(people_entered_last_minute) as entered,
                   max(people_exited_last_minute) as exited, max(processing_latency_ms) as latency
            from new_metrics group by session_id
        ), latest as (
            select distinct on (session_id) * from new_metrics order by session_id, timestamp desc
        )
        select t as threshold, p.session_id, v.peak, coalesce(v.latest, v.peak) as latest
        from peaks p
        join latest l using (session_id)
        cross join lateral (values
            ('people_count', p.people::double precision, l.current_people_count::double precision),
            ('entered_per_minute', p.entered, l.people_entered_last_minute),
            ('exited_per_minute', p.exited, l.people_exited_last_minute),
            ('processing_latency_ms', p.latency, l.processing_latency_ms)) as v (alert_type, peak, latest)
        join public.alert_thresholds t
            on t.alert_type = v.alert_type and (t.session_id is null or t.session_id = p.session_id)
        where v.peak is not null
          and (t.is_active and v.peak >= t.threshold_value or exists (
              select from public.alert_states s where s.threshold_id = t.id and s.session_id = p.session_id))
        order by t.id, p.session_id
    loop
        perform public.settle_alert(reached.threshold, reached.session_id, reached.peak, reached.latest);
    end loop;
    return null;
end
$$;

create trigger metric_alerts after insert on realtime_metrics
referencing new table as new_metrics for each statement execute function evaluate_metrics();

-- What no writer's statement can notice: sessions that are silent, and alerts of sessions that have ended.
create function evaluate_silence() returns void
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
            perform settle_alert(reached.threshold, reached.session_id, reached.silent, reached.silent);
        end if;
    end loop;
    with ended as (
        delete from alert_states a using sessions s
        where s.id = a.session_id and s.status <> 'active' returning a.alert_id
    )
    update alert_logs set is_resolved = true where id in (select alert_id from ended) and not is_resolved;
end
$$;

-- A resolved alert says when, whoever resolves it; one that is opened again does not.
create function keep_resolved_at() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    new.resolved_at := case when new.is_resolved then coalesce(new.resolved_at, now()) end;
    return new;
end
$$;

create trigger alert_logs_keep_resolved_at before insert or update of is_resolved on alert_logs
for each row execute function keep_resolved_at();
