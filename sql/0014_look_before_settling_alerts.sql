-- Most metrics reach no threshold and belong to no alert that lasts. This asks that first, in the two plainest ways:
-- starting the query that finds out everything cost a single row a quarter of its writer's speed.
create or replace function evaluate_metrics() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    reached record;
begin
    if not exists (
        select from (
            select session_id, max(current_people_count) as people, max(people_entered_last_minute) as entered,
                   max(people_exited_last_minute) as exited, max(processing_latency_ms) as latency
            from new_metrics group by session_id
        ) m, public.alert_thresholds t
        where t.is_active and (t.session_id is null or t.session_id = m.session_id)
          and case t.alert_type
                  when 'people_count' then m.people
                  when 'entered_per_minute' then m.entered
                  when 'exited_per_minute' then m.exited
                  when 'processing_latency_ms' then m.latency
              end >= t.threshold_value
    ) and not exists (
        select from new_metrics m join public.alert_states s using (session_id)
    ) then
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
