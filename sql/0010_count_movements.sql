-- Counts of movements by session and minute, so that statistics do not count 100 million rows anew.
--
-- Writers pay nothing for them: no trigger keeps these tables. They are folded from the change log, which has every
-- change once and in order, so "counts up to here, and the log from here on" is exact in every snapshot, however far
-- the folding is behind.

-- A minute in which nobody moved has no row.
create table movement_counts (
    session_id uuid not null,
    minute     timestamptz not null,
    entered    bigint not null,
    exited     bigint not null,
    constraint movement_counts_pkey primary key (session_id, minute)
);
create index movement_counts_minute_idx on movement_counts (minute) include (entered, exited);

-- The id of the last change that the counts hold. One row.
create table movement_counts_cursor (
    is_only boolean primary key default true,
    folded  bigint not null,
    constraint movement_counts_cursor_is_only_check check (is_only)
);

-- When an active session was last heard of, by the database's clock: cameras may be wrong, and replays are in the past.
create table session_reports (
    session_id  uuid primary key,
    reported_at timestamptz not null
);

-- What the changes of the log from one id (not included) to another add to the counts.
create function movement_deltas(after bigint, upto bigint)
returns table (session_id uuid, minute timestamptz, entered bigint, exited bigint)
language sql stable as $$
    select (line ->> 'session_id')::uuid, date_trunc('minute', (line ->> 'movement_time')::timestamptz),
           sum(case when line ->> 'movement_direction' = 'in' then sign else 0 end)::bigint,
           sum(case when line ->> 'movement_direction' = 'out' then sign else 0 end)::bigint
    from change_log
    cross join lateral (values
        (case when action <> 'DELETE' then payload::json -> 'data' end, 1),
        (case when action <> 'INSERT' then payload::json -> 'old_data' end, -1)) as lines (line, sign)
    where id > after and id <= upto and table_name = 'people_movements' and action in ('INSERT', 'UPDATE', 'DELETE')
      and line is not null
    group by 1, 2
$$;

-- Counts everything anew: at the beginning, after TRUNCATE, and where the log was pruned before it was folded.
create function recount_movements() returns void
language plpgsql as $$
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
end
$$;

-- Folds the next changes of the log, at most so many, and returns how many; 0 if there are none, or if somebody else
-- is at it. Takes no lock that a writer of movements could meet.
create function fold_movements(most integer default 20000) returns bigint
language plpgsql as $$
declare
    first bigint;
    last bigint;
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
    insert into movement_counts as c
    select * from movement_deltas(first, last)
    on conflict (session_id, minute) do update
    set entered = c.entered + excluded.entered, exited = c.exited + excluded.exited;
    insert into session_reports as r
    select session_id, max(recorded_at) from change_log
    where id > first and id <= last and action = 'INSERT' and table_name in ('people_movements', 'realtime_metrics')
    group by session_id
    on conflict (session_id) do update set reported_at = excluded.reported_at;
    update movement_counts_cursor set folded = last;
    return last - first;
end
$$;

-- Ends the active sessions that reported once and then fell silent for so long; returns how many.
create function end_silent_sessions(silence interval) returns bigint
language plpgsql as $$
declare
    ended bigint;
begin
    update sessions s
    set status = 'error', end_time = r.reported_at,
        duration_seconds = greatest(0, extract(epoch from r.reported_at - s.start_time))
    from session_reports r
    where r.session_id = s.id and s.status = 'active' and greatest(r.reported_at, s.updated_at) < now() - silence;
    get diagnostics ended = row_count;
    delete from session_reports r
    where not exists (select from sessions s where s.id = r.session_id and s.status = 'active');
    return ended;
end
$$;

-- The minutes of a time range with somebody moving: how many entered and exited, and how many were inside at its end.
-- The count inside starts at 0 at every local midnight and is never below 0, because sensors miss people. The range
-- should begin at a local midnight. Without a session, all sessions together are taken for one building.
create function movement_minutes(since timestamptz, until timestamptz, session uuid, zone text)
returns table (minute timestamptz, entered bigint, exited bigint, inside bigint)
language plpgsql stable as $$
#variable_conflict use_column
declare
    folded bigint := (select folded from movement_counts_cursor);
begin
    return query
    with parts as (
        select c.minute, c.entered, c.exited from movement_counts c
        where session is null and c.minute >= since and c.minute < until
        union all
        select c.minute, c.entered, c.exited from movement_counts c
        where session is not null and c.session_id = session and c.minute >= since and c.minute < until
        union all
        select d.minute, d.entered, d.exited from movement_deltas(folded, 9223372036854775807) d
        where (session is null or d.session_id = session) and d.minute >= since and d.minute < until
    ), minutes as (
        select p.minute, sum(p.entered)::bigint as entered, sum(p.exited)::bigint as exited,
               date_trunc('day', p.minute at time zone zone) as day
        from parts p group by p.minute having sum(p.entered) <> 0 or sum(p.exited) <> 0
    ), running as (
        select m.*, sum(m.entered - m.exited) over (partition by m.day order by m.minute) as net from minutes m
    )
    select r.minute, r.entered, r.exited,
           (r.net - least(0, min(r.net) over (partition by r.day order by r.minute)))::bigint
    from running r;
end
$$;

select recount_movements();
