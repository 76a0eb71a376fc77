-- Quarters of an hour, so that statistics and flow over months do not read every minute.
--
-- Inside is a count that is held at 0 from below, from every local midnight on. Where midnights are depends on who
-- asks, so a quarter cannot keep what was inside. It keeps how it changes whatever was inside before it, and quarters
-- that follow each other put together say what was inside. Let the net of a quarter run from 0 over its minutes, x be
-- what was inside before it, and lowest and highest the ends that the net reaches:
--
--     inside after it     max(x + net, net - lowest)
--     peak within it      max(x + highest, climb), climb being the most that the net rises above what was lowest so far
--     people's minutes    the sum over its minutes of (net + max(x, -lowest so far)) * how long that lasted;
--                         area + x * how long all lasted, if x >= -lowest

create table movement_quarters (
    session_id   uuid, -- null: all sessions together
    start        timestamptz not null,
    first_minute timestamptz not null,
    last_minute  timestamptz not null,
    entered      bigint not null,
    exited       bigint not null,
    lowest       bigint not null,
    highest      bigint not null,
    climb        bigint not null,
    area         bigint not null,
    -- For each of its minutes in which somebody moved: the lowest net so far, and the minutes until the next of them
    -- or the end of the quarter.
    lows         bigint[] not null,
    lasted       integer[] not null
);
create unique index movement_quarters_session_idx on movement_quarters (session_id, start) where session_id is not null;
create unique index movement_quarters_together_idx on movement_quarters (start) where session_id is null;

-- The quarter of an hour that a minute is in; null where cameras must be wrong, lest the end of time be overrun.
create function quarter_of(minute timestamptz) returns timestamptz
language sql immutable parallel safe as $$
    select case when minute >= '0001-01-01T00:00Z'::timestamptz and minute < '9999-12-31T00:00Z'::timestamptz
        then date_bin('15 minutes', minute, '2000-01-01T00:00Z'::timestamptz) end
$$;

-- Sums some quarters up anew from the counts by minute. A null among the sessions means all together.
create function sum_quarters(sessions uuid[], starts timestamptz[]) returns void
language plpgsql set plan_cache_mode = force_custom_plan as $$
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

create or replace function recount_movements() returns void
language plpgsql as $$
declare
    day date;
begin
    delete from movement_counts;
    -- One statement, hence one snapshot: the rows and the cursor belong together.
    with counted as (
        insert into movement_counts
        select m.session_id, date_trunc('minute', m.movement_time), count(*) filter (where m.movement_direction = 'in'),
               count(*) filter (where m.movement_direction = 'out')
        from people_movements m group by 1, 2
    )
    insert into movement_counts_cursor as c (folded) values ((select coalesce(max(id), 0) from change_log))
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

create or replace function fold_movements(most integer default 20000) returns bigint
language plpgsql as $$
declare
    first bigint;
    last bigint;
    sessions uuid[];
    starts timestamptz[];
begin
    -- The key is the project's own: the bytes of "counting" as a number.
    if not pg_try_advisory_xact_lock(7165064744911531623) then
        return 0;
    end if;
    select folded into first from movement_counts_cursor;
    select max(id) into last from (select id from change_log where id > first order by id limit most) as next;
    if last is null then
        return 0;
    end if;
    if first < (select min(id) - 1 from change_log) or exists (
        select from change_log
        where id > first and id <= last and action = 'TRUNCATE' and table_name = 'people_movements')
    then
        perform recount_movements();
        return last - first;
    end if;
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
    select session_id, max(recorded_at) from change_log
    where id > first and id <= last and action = 'INSERT' and table_name in ('people_movements', 'realtime_metrics')
    group by session_id
    on conflict (session_id) do update set reported_at = excluded.reported_at;
    update movement_counts_cursor set folded = last;
    return last - first;
end
$$;

-- The spans of a time range with somebody moving: how many entered and exited, how many were inside before it, after it
-- and at most (peak), and the sum of people's minutes from its first minute with movement on (spent). The count inside
-- starts at 0 at every local midnight and is never below 0, because sensors miss people. The range should begin at a
-- local midnight. Without a session, all sessions together are taken for one building.
--
-- Spans are minutes, if these are asked for, and else quarters of an hour; but minutes where a quarter has changes that
-- are not folded yet, where the range begins or ends within it, and where local clocks change or do not show quarters.
create function movement_spans(since timestamptz, until timestamptz, session uuid, zone text, is_by_minute boolean)
returns table (start timestamptz, "end" timestamptz, first_minute timestamptz, last_minute timestamptz,
               entered bigint, exited bigint, inside bigint, peak bigint, spent bigint)
language plpgsql stable
-- A plan of its own for each range and session: they may be a minute or years, and one or all.
set plan_cache_mode = force_custom_plan as $$
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

drop function movement_minutes(timestamptz, timestamptz, uuid, text);

select recount_movements();
