-- Readings by minute and by hour, so that a year of a camera that reports each second can be shown without 31.5 million
-- rows, and so that single readings need not be kept for ever.
--
-- Writers do nothing for it. A minute is summed up anew from its rows when the change log says that one of them came, went
-- or changed; an hour from its minutes. Whatever is done twice, or again after a crash, gives the same.
--
-- Readings age out: those before kept_from are gone, and the minutes and hours before it hold what they said. A row that is
-- still found there came late. It is not part of its minute until it ages out as well, which adds it: so a minute before
-- kept_from is always what is stored and the rows that are there, together.

-- How far the minutes are right: what the log says up to folded is in them, for the minutes before kept_from and those from
-- filled on. Between the two they are filled going backwards, and until then the rows say what was.
create table reading_rollups_cursor (
    is_only           boolean primary key default true,
    folded            bigint not null,
    filled            timestamptz not null default '9999-12-31T00:00Z',
    kept_from         timestamptz not null default '-infinity',
    minutes_kept_from timestamptz not null default '-infinity', -- a whole hour, never after kept_from
    constraint reading_rollups_cursor_is_only_check check (is_only)
);
insert into reading_rollups_cursor (folded)
select greatest(floor, (select max(id) from change_log)) from change_log_home;

-- One session's readings of a minute. Of each figure: how many readings have it, their sum, the least and the most.
create table reading_minutes (
    session_id    uuid not null,
    start         timestamptz not null,
    readings      integer not null,
    people_count  integer not null,
    people_sum    double precision,
    people_least  double precision,
    people_most   double precision,
    entered_count integer not null,
    entered_sum   double precision,
    entered_least double precision,
    entered_most  double precision,
    exited_count  integer not null,
    exited_sum    double precision,
    exited_least  double precision,
    exited_most   double precision,
    fps_count     integer not null,
    fps_sum       double precision,
    fps_least     double precision,
    fps_most      double precision,
    cpu_count     integer not null,
    cpu_sum       double precision,
    cpu_least     double precision,
    cpu_most      double precision,
    memory_count  integer not null,
    memory_sum    double precision,
    memory_least  double precision,
    memory_most   double precision,
    latency_count integer not null,
    latency_sum   double precision,
    latency_least double precision,
    latency_most  double precision,
    primary key (session_id, start)
) with (fillfactor = 90); -- the minute of now is written again and again
create index reading_minutes_start_idx on reading_minutes (start);

-- The same by hour.
create table reading_hours (like reading_minutes including all) with (fillfactor = 90);

-- The minute that a reading is in, the hour that a minute is in; null where cameras must be wrong.
create function minute_of(moment timestamptz) returns timestamptz
language sql immutable parallel safe as $$
    select case when moment >= '0001-01-01T00:00Z'::timestamptz and moment < '9999-12-31T00:00Z'::timestamptz
        then date_bin('1 minute', moment, '2000-01-01T00:00Z'::timestamptz) end
$$;

create function hour_of(moment timestamptz) returns timestamptz
language sql immutable parallel safe as $$
    select case when moment >= '0001-01-01T00:00Z'::timestamptz and moment < '9999-12-31T00:00Z'::timestamptz
        then date_bin('1 hour', moment, '2000-01-01T00:00Z'::timestamptz) end
$$;

-- The minutes whose readings changed after one id and up to another, those that have no id yet included if that is the
-- greatest of all; of one session, or of all. A minute may come twice.
create function changed_minutes(after bigint, upto bigint, session uuid) returns table (session_id uuid, minute timestamptz)
language sql stable as $$
    select (line ->> 'session_id')::uuid, minute_of((line ->> 'timestamp')::timestamptz)
    from (
        select payload::json -> 'data' as new_row, payload::json -> 'old_data' as old_row from change_log
        where id > after and id <= upto and table_name = 'realtime_metrics' and action in ('INSERT', 'UPDATE', 'DELETE')
          and (session is null or change_log.session_id = session or old_session_id = session)
        union all
        select new_row::json, old_row::json from unnumbered_changes() as u
        where upto = 9223372036854775807 and table_name = 'realtime_metrics' and action in ('INSERT', 'UPDATE', 'DELETE')
          and (session is null or u.session_id = session or old_session_id = session)
    ) as changes
    cross join lateral (values (new_row), (old_row)) as lines (line)
    where line ->> 'session_id' is not null
$$;

-- Sums some hours up anew from their minutes.
create function sum_reading_hours(sessions uuid[], hours timestamptz[]) returns void
language plpgsql as $$
begin
    delete from reading_hours r using unnest(sessions, hours) as k (session_id, start)
    where r.session_id = k.session_id and r.start = k.start and not exists (
        select from reading_minutes m
        where m.session_id = k.session_id and m.start >= k.start and m.start < k.start + interval '1 hour');
    insert into reading_hours
    select k.session_id, k.start, sums.* from unnest(sessions, hours) as k (session_id, start) cross join lateral (
        select sum(m.readings),
               sum(m.people_count), sum(m.people_sum), min(m.people_least), max(m.people_most),
               sum(m.entered_count), sum(m.entered_sum), min(m.entered_least), max(m.entered_most),
               sum(m.exited_count), sum(m.exited_sum), min(m.exited_least), max(m.exited_most),
               sum(m.fps_count), sum(m.fps_sum), min(m.fps_least), max(m.fps_most),
               sum(m.cpu_count), sum(m.cpu_sum), min(m.cpu_least), max(m.cpu_most),
               sum(m.memory_count), sum(m.memory_sum), min(m.memory_least), max(m.memory_most),
               sum(m.latency_count), sum(m.latency_sum), min(m.latency_least), max(m.latency_most)
        from reading_minutes m
        where m.session_id = k.session_id and m.start >= k.start and m.start < k.start + interval '1 hour'
        having count(*) > 0) as sums
    on conflict (session_id, start) do update set
        readings = excluded.readings,
        people_count = excluded.people_count, people_sum = excluded.people_sum,
        people_least = excluded.people_least, people_most = excluded.people_most,
        entered_count = excluded.entered_count, entered_sum = excluded.entered_sum,
        entered_least = excluded.entered_least, entered_most = excluded.entered_most,
        exited_count = excluded.exited_count, exited_sum = excluded.exited_sum,
        exited_least = excluded.exited_least, exited_most = excluded.exited_most,
        fps_count = excluded.fps_count, fps_sum = excluded.fps_sum,
        fps_least = excluded.fps_least, fps_most = excluded.fps_most,
        cpu_count = excluded.cpu_count, cpu_sum = excluded.cpu_sum,
        cpu_least = excluded.cpu_least, cpu_most = excluded.cpu_most,
        memory_count = excluded.memory_count, memory_sum = excluded.memory_sum,
        memory_least = excluded.memory_least, memory_most = excluded.memory_most,
        latency_count = excluded.latency_count, latency_sum = excluded.latency_sum,
        latency_least = excluded.latency_least, latency_most = excluded.latency_most;
end
$$;

-- Sums some minutes up anew from their rows, and the hours that they are in. Sums are held within what their type can add
-- up, whatever a camera says that it measured.
create function sum_reading_minutes(sessions uuid[], minutes timestamptz[]) returns void
language plpgsql as $$
begin
    delete from reading_minutes r using unnest(sessions, minutes) as k (session_id, start)
    where r.session_id = k.session_id and r.start = k.start and not exists (
        select from realtime_metrics m
        where m.session_id = k.session_id and m.timestamp >= k.start and m.timestamp < k.start + interval '1 minute');
    insert into reading_minutes
    select k.session_id, k.start, sums.* from unnest(sessions, minutes) as k (session_id, start) cross join lateral (
        select count(*),
               count(m.current_people_count),
               sum(case when m.current_people_count > 1e290 then 1e290 else m.current_people_count::double precision end),
               min(m.current_people_count)::double precision, max(m.current_people_count)::double precision,
               count(m.people_entered_last_minute),
               sum(case when m.people_entered_last_minute > 1e290 then 1e290 else m.people_entered_last_minute::double precision end),
               min(m.people_entered_last_minute)::double precision, max(m.people_entered_last_minute)::double precision,
               count(m.people_exited_last_minute),
               sum(case when m.people_exited_last_minute > 1e290 then 1e290 else m.people_exited_last_minute::double precision end),
               min(m.people_exited_last_minute)::double precision, max(m.people_exited_last_minute)::double precision,
               count(m.fps_current),
               sum(case when m.fps_current > 1e290 then 1e290 else m.fps_current::double precision end),
               min(m.fps_current)::double precision, max(m.fps_current)::double precision,
               count(m.cpu_usage_percentage),
               sum(case when m.cpu_usage_percentage > 1e290 then 1e290 else m.cpu_usage_percentage::double precision end),
               min(m.cpu_usage_percentage)::double precision, max(m.cpu_usage_percentage)::double precision,
               count(m.memory_usage_mb),
               sum(case when m.memory_usage_mb > 1e290 then 1e290 else m.memory_usage_mb::double precision end),
               min(m.memory_usage_mb)::double precision, max(m.memory_usage_mb)::double precision,
               count(m.processing_latency_ms),
               sum(case when m.processing_latency_ms > 1e290 then 1e290 else m.processing_latency_ms::double precision end),
               min(m.processing_latency_ms)::double precision, max(m.processing_latency_ms)::double precision
        from realtime_metrics m
        where m.session_id = k.session_id and m.timestamp >= k.start and m.timestamp < k.start + interval '1 minute'
        having count(*) > 0) as sums
    on conflict (session_id, start) do update set
        readings = excluded.readings,
        people_count = excluded.people_count, people_sum = excluded.people_sum,
        people_least = excluded.people_least, people_most = excluded.people_most,
        entered_count = excluded.entered_count, entered_sum = excluded.entered_sum,
        entered_least = excluded.entered_least, entered_most = excluded.entered_most,
        exited_count = excluded.exited_count, exited_sum = excluded.exited_sum,
        exited_least = excluded.exited_least, exited_most = excluded.exited_most,
        fps_count = excluded.fps_count, fps_sum = excluded.fps_sum,
        fps_least = excluded.fps_least, fps_most = excluded.fps_most,
        cpu_count = excluded.cpu_count, cpu_sum = excluded.cpu_sum,
        cpu_least = excluded.cpu_least, cpu_most = excluded.cpu_most,
        memory_count = excluded.memory_count, memory_sum = excluded.memory_sum,
        memory_least = excluded.memory_least, memory_most = excluded.memory_most,
        latency_count = excluded.latency_count, latency_sum = excluded.latency_sum,
        latency_least = excluded.latency_least, latency_most = excluded.latency_most;
    perform sum_reading_hours(array_agg(session_id), array_agg(hour)) from (
        select distinct k.session_id, hour_of(k.start) as hour from unnest(sessions, minutes) as k (session_id, start)) as h;
end
$$;

-- Folds the next changes of the log into the minutes and hours; returns how many changes, 0 if there are none or another
-- does it. Where changes are missing, or cannot be read, the minutes are filled from the rows anew.
create function fold_readings(most integer default 5000) returns bigint
language plpgsql as $$
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
            perform sum_reading_minutes(sessions, minutes);
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

-- Fills the next minutes from their rows, the newest first: about so many rows. Returns how many were looked at; 0 once
-- all minutes are filled, or another does it.
create function fill_readings(most integer default 20000) returns bigint
language plpgsql as $$
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
    perform sum_reading_minutes(array_agg(session_id), array_agg(minute)) from (
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

-- Lets the oldest readings before a time age out: about so many rows, but at least a minute. Returns how many went and
-- whether more may be left; null if another does it. One statement deletes rows and adds what they said to their minutes, so
-- that each is counted once whatever is committed meanwhile.
create function prune_readings(before timestamptz, most integer default 5000, out gone bigint, out is_done boolean)
language plpgsql as $$
declare
    home reading_rollups_cursor;
    oldest timestamptz;
    newest timestamptz;
    found_rows bigint;
    until timestamptz;
    sessions uuid[];
    hours timestamptz[];
begin
    select * into home from reading_rollups_cursor for update skip locked;
    if not found then
        return;
    end if;
    gone := 0;
    is_done := false;
    before := minute_of(before);
    if exists (select from realtime_metrics where timestamp < home.kept_from) then
        -- They came late, into minutes that have aged out.
        with late as (
            delete from realtime_metrics where ctid = any (array(
                select ctid from realtime_metrics where timestamp < home.kept_from order by timestamp, id limit most))
                and timestamp < home.kept_from
            returning *
        ), counted as (
            select count(*) as rows from late
        ), by_minute as (
            insert into reading_minutes as r
            select m.session_id, minute_of(m.timestamp), count(*),
                   count(m.current_people_count),
                   sum(case when m.current_people_count > 1e290 then 1e290 else m.current_people_count::double precision end),
                   min(m.current_people_count)::double precision, max(m.current_people_count)::double precision,
                   count(m.people_entered_last_minute),
                   sum(case when m.people_entered_last_minute > 1e290 then 1e290 else m.people_entered_last_minute::double precision end),
                   min(m.people_entered_last_minute)::double precision, max(m.people_entered_last_minute)::double precision,
                   count(m.people_exited_last_minute),
                   sum(case when m.people_exited_last_minute > 1e290 then 1e290 else m.people_exited_last_minute::double precision end),
                   min(m.people_exited_last_minute)::double precision, max(m.people_exited_last_minute)::double precision,
                   count(m.fps_current),
                   sum(case when m.fps_current > 1e290 then 1e290 else m.fps_current::double precision end),
                   min(m.fps_current)::double precision, max(m.fps_current)::double precision,
                   count(m.cpu_usage_percentage),
                   sum(case when m.cpu_usage_percentage > 1e290 then 1e290 else m.cpu_usage_percentage::double precision end),
                   min(m.cpu_usage_percentage)::double precision, max(m.cpu_usage_percentage)::double precision,
                   count(m.memory_usage_mb),
                   sum(case when m.memory_usage_mb > 1e290 then 1e290 else m.memory_usage_mb::double precision end),
                   min(m.memory_usage_mb)::double precision, max(m.memory_usage_mb)::double precision,
                   count(m.processing_latency_ms),
                   sum(case when m.processing_latency_ms > 1e290 then 1e290 else m.processing_latency_ms::double precision end),
                   min(m.processing_latency_ms)::double precision, max(m.processing_latency_ms)::double precision
            from late m where minute_of(m.timestamp) >= home.minutes_kept_from
            group by 1, 2
            on conflict (session_id, start) do update set
                readings = r.readings + excluded.readings,
                people_count = r.people_count + excluded.people_count, people_sum = coalesce(r.people_sum + excluded.people_sum, r.people_sum, excluded.people_sum),
                people_least = least(r.people_least, excluded.people_least), people_most = greatest(r.people_most, excluded.people_most),
                entered_count = r.entered_count + excluded.entered_count, entered_sum = coalesce(r.entered_sum + excluded.entered_sum, r.entered_sum, excluded.entered_sum),
                entered_least = least(r.entered_least, excluded.entered_least), entered_most = greatest(r.entered_most, excluded.entered_most),
                exited_count = r.exited_count + excluded.exited_count, exited_sum = coalesce(r.exited_sum + excluded.exited_sum, r.exited_sum, excluded.exited_sum),
                exited_least = least(r.exited_least, excluded.exited_least), exited_most = greatest(r.exited_most, excluded.exited_most),
                fps_count = r.fps_count + excluded.fps_count, fps_sum = coalesce(r.fps_sum + excluded.fps_sum, r.fps_sum, excluded.fps_sum),
                fps_least = least(r.fps_least, excluded.fps_least), fps_most = greatest(r.fps_most, excluded.fps_most),
                cpu_count = r.cpu_count + excluded.cpu_count, cpu_sum = coalesce(r.cpu_sum + excluded.cpu_sum, r.cpu_sum, excluded.cpu_sum),
                cpu_least = least(r.cpu_least, excluded.cpu_least), cpu_most = greatest(r.cpu_most, excluded.cpu_most),
                memory_count = r.memory_count + excluded.memory_count, memory_sum = coalesce(r.memory_sum + excluded.memory_sum, r.memory_sum, excluded.memory_sum),
                memory_least = least(r.memory_least, excluded.memory_least), memory_most = greatest(r.memory_most, excluded.memory_most),
                latency_count = r.latency_count + excluded.latency_count, latency_sum = coalesce(r.latency_sum + excluded.latency_sum, r.latency_sum, excluded.latency_sum),
                latency_least = least(r.latency_least, excluded.latency_least), latency_most = greatest(r.latency_most, excluded.latency_most)
        ), by_hour as (
            insert into reading_hours as r
            select m.session_id, hour_of(m.timestamp), count(*),
                   count(m.current_people_count),
                   sum(case when m.current_people_count > 1e290 then 1e290 else m.current_people_count::double precision end),
                   min(m.current_people_count)::double precision, max(m.current_people_count)::double precision,
                   count(m.people_entered_last_minute),
                   sum(case when m.people_entered_last_minute > 1e290 then 1e290 else m.people_entered_last_minute::double precision end),
                   min(m.people_entered_last_minute)::double precision, max(m.people_entered_last_minute)::double precision,
                   count(m.people_exited_last_minute),
                   sum(case when m.people_exited_last_minute > 1e290 then 1e290 else m.people_exited_last_minute::double precision end),
                   min(m.people_exited_last_minute)::double precision, max(m.people_exited_last_minute)::double precision,
                   count(m.fps_current),
                   sum(case when m.fps_current > 1e290 then 1e290 else m.fps_current::double precision end),
                   min(m.fps_current)::double precision, max(m.fps_current)::double precision,
                   count(m.cpu_usage_percentage),
                   sum(case when m.cpu_usage_percentage > 1e290 then 1e290 else m.cpu_usage_percentage::double precision end),
                   min(m.cpu_usage_percentage)::double precision, max(m.cpu_usage_percentage)::double precision,
                   count(m.memory_usage_mb),
                   sum(case when m.memory_usage_mb > 1e290 then 1e290 else m.memory_usage_mb::double precision end),
                   min(m.memory_usage_mb)::double precision, max(m.memory_usage_mb)::double precision,
                   count(m.processing_latency_ms),
                   sum(case when m.processing_latency_ms > 1e290 then 1e290 else m.processing_latency_ms::double precision end),
                   min(m.processing_latency_ms)::double precision, max(m.processing_latency_ms)::double precision
            from late m where hour_of(m.timestamp) is not null
            group by 1, 2
            on conflict (session_id, start) do update set
                readings = r.readings + excluded.readings,
                people_count = r.people_count + excluded.people_count, people_sum = coalesce(r.people_sum + excluded.people_sum, r.people_sum, excluded.people_sum),
                people_least = least(r.people_least, excluded.people_least), people_most = greatest(r.people_most, excluded.people_most),
                entered_count = r.entered_count + excluded.entered_count, entered_sum = coalesce(r.entered_sum + excluded.entered_sum, r.entered_sum, excluded.entered_sum),
                entered_least = least(r.entered_least, excluded.entered_least), entered_most = greatest(r.entered_most, excluded.entered_most),
                exited_count = r.exited_count + excluded.exited_count, exited_sum = coalesce(r.exited_sum + excluded.exited_sum, r.exited_sum, excluded.exited_sum),
                exited_least = least(r.exited_least, excluded.exited_least), exited_most = greatest(r.exited_most, excluded.exited_most),
                fps_count = r.fps_count + excluded.fps_count, fps_sum = coalesce(r.fps_sum + excluded.fps_sum, r.fps_sum, excluded.fps_sum),
                fps_least = least(r.fps_least, excluded.fps_least), fps_most = greatest(r.fps_most, excluded.fps_most),
                cpu_count = r.cpu_count + excluded.cpu_count, cpu_sum = coalesce(r.cpu_sum + excluded.cpu_sum, r.cpu_sum, excluded.cpu_sum),
                cpu_least = least(r.cpu_least, excluded.cpu_least), cpu_most = greatest(r.cpu_most, excluded.cpu_most),
                memory_count = r.memory_count + excluded.memory_count, memory_sum = coalesce(r.memory_sum + excluded.memory_sum, r.memory_sum, excluded.memory_sum),
                memory_least = least(r.memory_least, excluded.memory_least), memory_most = greatest(r.memory_most, excluded.memory_most),
                latency_count = r.latency_count + excluded.latency_count, latency_sum = coalesce(r.latency_sum + excluded.latency_sum, r.latency_sum, excluded.latency_sum),
                latency_least = least(r.latency_least, excluded.latency_least), latency_most = greatest(r.latency_most, excluded.latency_most)
        )
        select rows into gone from counted;
        return;
    end if;
    if before is null or before <= home.kept_from then
        is_done := true;
        return;
    end if;
    select count(*), min(timestamp), max(timestamp) into found_rows, oldest, newest from (
        select timestamp from realtime_metrics
        where timestamp >= home.kept_from and timestamp < before order by timestamp limit most) as next;
    until := case
        when found_rows < most then before
        when minute_of(newest) is null then least(before, '0001-01-01T00:00Z')
        when minute_of(newest) > oldest then minute_of(newest)
        else least(before, minute_of(newest) + interval '1 minute') end;
    -- From here on the trigger takes the deletes for what they are.
    update reading_rollups_cursor set kept_from = until;
    with stale as (
        delete from reading_minutes where start >= home.kept_from and start < until returning session_id, start
    )
    select array_agg(session_id), array_agg(hour) into sessions, hours
    from (select distinct session_id, hour_of(start) as hour from stale) as k;
    with aged as (
        delete from realtime_metrics where timestamp >= home.kept_from and timestamp < until returning *
    ), counted as (
        select count(*) as rows from aged
    ), by_minute as (
        insert into reading_minutes
        select m.session_id, minute_of(m.timestamp), count(*),
               count(m.current_people_count),
               sum(case when m.current_people_count > 1e290 then 1e290 else m.current_people_count::double precision end),
               min(m.current_people_count)::double precision, max(m.current_people_count)::double precision,
               count(m.people_entered_last_minute),
               sum(case when m.people_entered_last_minute > 1e290 then 1e290 else m.people_entered_last_minute::double precision end),
               min(m.people_entered_last_minute)::double precision, max(m.people_entered_last_minute)::double precision,
               count(m.people_exited_last_minute),
               sum(case when m.people_exited_last_minute > 1e290 then 1e290 else m.people_exited_last_minute::double precision end),
               min(m.people_exited_last_minute)::double precision, max(m.people_exited_last_minute)::double precision,
               count(m.fps_current),
               sum(case when m.fps_current > 1e290 then 1e290 else m.fps_current::double precision end),
               min(m.fps_current)::double precision, max(m.fps_current)::double precision,
               count(m.cpu_usage_percentage),
               sum(case when m.cpu_usage_percentage > 1e290 then 1e290 else m.cpu_usage_percentage::double precision end),
               min(m.cpu_usage_percentage)::double precision, max(m.cpu_usage_percentage)::double precision,
               count(m.memory_usage_mb),
               sum(case when m.memory_usage_mb > 1e290 then 1e290 else m.memory_usage_mb::double precision end),
               min(m.memory_usage_mb)::double precision, max(m.memory_usage_mb)::double precision,
               count(m.processing_latency_ms),
               sum(case when m.processing_latency_ms > 1e290 then 1e290 else m.processing_latency_ms::double precision end),
               min(m.processing_latency_ms)::double precision, max(m.processing_latency_ms)::double precision
        from aged m where minute_of(m.timestamp) is not null
        group by 1, 2
        returning session_id, start
    ), touched as (
        select session_id, hour_of(start) as hour from by_minute
        union
        select * from unnest(sessions, hours)
    )
    select rows, (select array_agg(session_id) from touched), (select array_agg(hour) from touched)
    into gone, sessions, hours from counted;
    perform sum_reading_hours(sessions, hours);
    is_done := until = before;
end
$$;

-- Lets the oldest minutes before a time age out; their hours stay. Returns how many went; null if another does it.
create function prune_reading_minutes(before timestamptz, most integer default 5000) returns bigint
language plpgsql as $$
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

-- As before, except that nobody is told of a reading that has aged out: the log would have a DELETE for each reading ever.
create or replace function notify_metrics_change() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    is_plain boolean := current_setting('TimeZone') in ('UTC', 'Etc/UTC')
                        and current_setting('extra_float_digits')::integer > 0;
    new_row text := case when is_plain then row_to_json(new)::text else public.row_text(new) end;
    old_row text := case when is_plain then row_to_json(old)::text else public.row_text(old) end;
    at timestamptz := clock_timestamp();
begin
    if new_row = old_row then
        return null;
    elsif tg_op = 'DELETE' then
        if old.timestamp < (select kept_from from public.reading_rollups_cursor) then
            return null;
        end if;
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

revoke execute on function
    minute_of, hour_of, changed_minutes, sum_reading_hours, sum_reading_minutes, fold_readings, fill_readings, prune_readings,
    prune_reading_minutes
from public;
