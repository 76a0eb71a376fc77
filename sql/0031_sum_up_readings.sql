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

-- What is measured, held within what its type can add up.
create function summable(value double precision) returns double precision
language sql immutable parallel safe as $$
    select case when value > 1e290 then 1e290 else value end
$$;

-- What is the same for each figure, and for minutes and hours.
do $generate$
declare
    columns text; -- of each figure: how many readings have it, their sum, the least and the most
    of_rows text; -- these of the readings r
    of_parts text; -- these of the minutes or hours r
    replaced text;
    made record;
begin
    select string_agg(format(e'%1$s_count integer not null, %1$s_sum double precision,\n    '
               '%1$s_least double precision, %1$s_most double precision', name), e',\n    '),
           string_agg(format('count(r.%2$s) as %1$s_count, sum(summable(r.%2$s)) as %1$s_sum, '
               'summable(min(r.%2$s)) as %1$s_least, summable(max(r.%2$s)) as %1$s_most', name, source), e',\n           '),
           string_agg(format('sum(r.%1$s_count) as %1$s_count, sum(r.%1$s_sum) as %1$s_sum, '
               'min(r.%1$s_least) as %1$s_least, max(r.%1$s_most) as %1$s_most', name), e',\n           '),
           string_agg(format('%1$s_count = excluded.%1$s_count, %1$s_sum = excluded.%1$s_sum, '
               '%1$s_least = excluded.%1$s_least, %1$s_most = excluded.%1$s_most', name), e',\n    ')
    into columns, of_rows, of_parts, replaced
    from (values ('people', 'current_people_count'), ('entered', 'people_entered_last_minute'),
                 ('exited', 'people_exited_last_minute'), ('fps', 'fps_current'), ('cpu', 'cpu_usage_percentage'),
                 ('memory', 'memory_usage_mb'), ('latency', 'processing_latency_ms')) as figures (name, source);
    for made in
        select * from (values ('minute', 'realtime_metrics', 'timestamp', 'count(*)', of_rows),
                              ('hour', 'reading_minutes', 'start', 'sum(r.readings)', of_parts)
        ) as t (unit, source, time, readings, sums)
    loop
        execute format($function$
-- The minute or hour that a moment is in; null where cameras must be wrong.
create function %1$s_of(moment timestamptz) returns timestamptz
language sql immutable parallel safe as $$
    select case when moment >= '0001-01-01T00:00Z'::timestamptz and moment < '9999-12-31T00:00Z'::timestamptz
        then date_bin('1 %1$s', moment, '2000-01-01T00:00Z'::timestamptz) end
$$;

-- One session's readings of a minute or an hour.
create table reading_%1$ss (
    session_id uuid not null,
    start timestamptz not null,
    readings integer not null,
    %6$s,
    primary key (session_id, start)
) with (fillfactor = 90); -- the minute of now is written again and again
create index reading_%1$ss_start_idx on reading_%1$ss (start);

-- Sums some minutes up anew from their rows, or hours from their minutes.
create function sum_reading_%1$ss(sessions uuid[], starts timestamptz[]) returns void
language sql as $$
    delete from reading_%1$ss using unnest(sessions, starts) as k (session_id, start)
    where reading_%1$ss.session_id = k.session_id and reading_%1$ss.start = k.start and not exists (
        select from %2$s r
        where r.session_id = k.session_id and r.%3$s >= k.start and r.%3$s < k.start + interval '1 %1$s');
    insert into reading_%1$ss
    select k.session_id, k.start, sums.* from unnest(sessions, starts) as k (session_id, start) cross join lateral (
        select %4$s as readings,
           %5$s
        from %2$s r
        where r.session_id = k.session_id and r.%3$s >= k.start and r.%3$s < k.start + interval '1 %1$s'
        having count(*) > 0) as sums
    on conflict (session_id, start) do update set
    readings = excluded.readings, %9$s
$$;

-- Adds what readings said that are gone to their minutes or hours.
create function add_reading_%1$ss(gone realtime_metrics[]) returns void
language sql as $$
    with said as (
        select r.session_id, %1$s_of(r.timestamp) as start, count(*) as readings,
           %7$s
        from unnest(gone) as r where %1$s_of(r.timestamp) is not null group by 1, 2
    )
    insert into reading_%1$ss
    select r.session_id, r.start, sum(r.readings),
           %8$s
    from (
        select * from said
        union all
        select stored.* from reading_%1$ss as stored join said using (session_id, start)
    ) as r
    group by 1, 2
    on conflict (session_id, start) do update set
    readings = excluded.readings, %9$s
$$
        $function$, made.unit, made.source, made.time, made.readings, made.sums, columns, of_rows, of_parts, replaced);
    end loop;
end
$generate$;

-- Sums some minutes up anew from their rows, and the hours that they are in.
create function sum_readings(sessions uuid[], minutes timestamptz[]) returns void
language plpgsql as $$
begin
    perform sum_reading_minutes(sessions, minutes);
    perform sum_reading_hours(array_agg(session_id), array_agg(hour)) from (
        select distinct session_id, hour_of(start) as hour from unnest(sessions, minutes) as k (session_id, start)) as h;
end
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
            perform sum_readings(sessions, minutes);
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
    perform sum_readings(array_agg(session_id), array_agg(minute)) from (
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
-- whether more may be left; null if another does it. One statement deletes the rows and says what they were, so that each is
-- counted once whatever is committed meanwhile.
create function prune_readings(before timestamptz, most integer default 5000, out gone bigint, out is_done boolean)
language plpgsql as $$
declare
    home reading_rollups_cursor;
    found_rows bigint;
    oldest timestamptz;
    newest timestamptz;
    since timestamptz := '-infinity';
    until timestamptz;
    sessions uuid[];
    hours timestamptz[];
    aged realtime_metrics[];
    without_minutes realtime_metrics[];
begin
    select * into home from reading_rollups_cursor for update skip locked;
    if not found then
        return;
    end if;
    gone := 0;
    is_done := false;
    -- Once somebody has removed all readings, the fold removes what they said; nothing may be added before it does.
    lock table realtime_metrics in row exclusive mode;
    if exists (select from change_log where id > home.folded and table_name = 'realtime_metrics' and action = 'TRUNCATE')
            or exists (select from unnumbered_changes() where table_name = 'realtime_metrics' and action = 'TRUNCATE') then
        is_done := true;
        return;
    end if;
    before := minute_of(before);
    -- Deliberate: not exists (…), for which all rows are read once the plan is one for any time.
    if (select min(timestamp) from realtime_metrics) < home.kept_from then
        -- They came late, into minutes that have aged out.
        until := home.kept_from;
    elsif before is null or before <= home.kept_from then
        is_done := true;
        return;
    else
        since := home.kept_from;
        select count(*), min(timestamp), max(timestamp) into found_rows, oldest, newest from (
            select timestamp from realtime_metrics
            where timestamp >= since and timestamp < before order by timestamp limit most) as next;
        until := case
            when found_rows < most then before
            when minute_of(newest) is null then least(before, '0001-01-01T00:00Z')
            when minute_of(newest) > oldest then minute_of(newest)
            else least(before, minute_of(newest) + interval '1 minute') end;
        is_done := until = before;
        most := null;
        -- From here on the trigger takes the deletes for what they are.
        update reading_rollups_cursor set kept_from = until;
        with stale as (
            delete from reading_minutes where start >= since and start < until returning session_id, hour_of(start) as hour
        )
        select array_agg(session_id), array_agg(hour) into sessions, hours from stale;
    end if;
    with went as (
        delete from realtime_metrics as m where ctid = any (array(
            select ctid from realtime_metrics where timestamp >= since and timestamp < until order by timestamp, id limit most))
            and timestamp < until
        returning m as reading
    )
    select count(*), array_agg(reading) filter (where (reading).timestamp >= home.minutes_kept_from),
           array_agg(reading) filter (where (reading).timestamp < home.minutes_kept_from)
    into gone, aged, without_minutes from went;
    perform add_reading_minutes(aged);
    perform add_reading_hours(without_minutes);
    perform sum_reading_hours(array_agg(session_id), array_agg(hour)) from (
        select session_id, hour_of(timestamp) as hour from unnest(aged)
        union
        select * from unnest(sessions, hours)) as touched;
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
    new_row text;
    old_row text;
    at timestamptz := clock_timestamp();
begin
    if tg_op = 'DELETE' then
        if old.timestamp < (select kept_from from public.reading_rollups_cursor) then
            return null;
        end if;
    end if;
    new_row := case when is_plain then row_to_json(new)::text else public.row_text(new) end;
    old_row := case when is_plain then row_to_json(old)::text else public.row_text(old) end;
    if new_row = old_row then
        return null;
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
    summable, minute_of, hour_of, changed_minutes, sum_reading_minutes, sum_reading_hours, sum_readings, add_reading_minutes,
    add_reading_hours, fold_readings, fill_readings, prune_readings, prune_reading_minutes
from public;
