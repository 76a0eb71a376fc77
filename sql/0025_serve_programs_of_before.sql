-- Programs that were written for the schema before this project read its table of settings and its views. They exist under
-- the same names, computed from what is counted here (some seconds behind); a database that was adopted keeps its own.

create table if not exists system_config (
    id           uuid primary key default gen_random_uuid(),
    config_key   text not null unique,
    config_value text not null,
    config_type  text not null default 'string',
    description  text,
    is_active    boolean not null default true,
    created_at   timestamptz not null default now(),
    updated_at   timestamptz not null default now()
);

do $views$
begin
    if to_regclass('public.active_sessions') is null then
        execute $$
            create view active_sessions as
            select s.id, s.session_name, s.input_source, s.status, s.start_time, s.fps,
                   m.timestamp as last_reading, m.current_people_count
            from sessions s
            left join lateral (select timestamp, current_people_count from realtime_metrics
                               where session_id = s.id and timestamp <= now() + interval '2 minutes'
                               order by timestamp desc, id desc limit 1) m on true
            where s.status = 'active'
        $$;
    end if;
    if to_regclass('public.recent_movements') is null then
        execute $$
            create view recent_movements as
            select m.id, m.session_id, s.session_name, m.person_id, m.movement_direction, m.movement_time,
                   m.centroid_x, m.centroid_y, m.confidence_score
            from people_movements m join sessions s on s.id = m.session_id
            where m.movement_time >= now() - interval '1 hour'
            order by m.movement_time desc
        $$;
    end if;
    if to_regclass('public.hourly_analytics') is null then
        execute $$
            create view hourly_analytics as
            select s.session_name, date_trunc('hour', c.minute) as hour_timestamp,
                   sum(c.entered)::bigint as people_entered, sum(c.exited)::bigint as people_exited
            from movement_counts c join sessions s on s.id = c.session_id
            group by s.id, 2
            having sum(c.entered) <> 0 or sum(c.exited) <> 0
            order by 2 desc
        $$;
    end if;
    if to_regclass('public.daily_analytics') is null then
        execute $$
            create view daily_analytics as
            select s.session_name, (c.minute at time zone 'UTC')::date as date_timestamp,
                   sum(c.entered)::bigint as total_people_entered, sum(c.exited)::bigint as total_people_exited
            from movement_counts c join sessions s on s.id = c.session_id
            group by s.id, 2
            having sum(c.entered) <> 0 or sum(c.exited) <> 0
            order by 2 desc
        $$;
    end if;
end
$views$;
