-- Writers keep their speed: the triggers only note what changed, and a sequencer gives out the ids afterwards.
--
-- Until now the id was given out during COMMIT under a lock, and each writer notified. Both hold one lock for the whole
-- database while the disk flushes, so commits queued up one by one. Now a writer waits for nothing:
--
--     writer:     a row changes -> trigger -> change_inbox
--     sequencer:  what is committed and still in the inbox -> change_log, with ids -> NOTIFY on the four channels
--
-- A change has an id, or it is in the inbox, in every snapshot: numbering moves it in one transaction. So nothing is lost
-- and nothing comes twice, however many sequencers there are and wherever one dies.
--
-- Order: seq is drawn when the row changes. Who has seen another's commit draws a higher one, and a row's next version
-- cannot be made before the last one is committed. A batch holds all that is committed, lowest seq first. So ids respect
-- causality and each row's own order; transactions that ran side by side may come in either order.

drop trigger session_change_trigger on sessions;
drop trigger movement_change_trigger on people_movements;
drop trigger metrics_change_trigger on realtime_metrics;
drop trigger alert_change_trigger on alert_logs;

create table change_inbox (
    seq            bigint not null,
    xid            xid8 not null,
    table_name     text not null,
    action         text not null,
    session_id     uuid,
    old_session_id uuid,
    new_row        text,
    old_row        text,
    recorded_at    timestamptz not null
);
comment on table change_inbox is 'Changes that have no id yet. Written by triggers, emptied by number_changes().';
comment on column change_inbox.xid is 'The transaction that made the change.';
create index change_inbox_xid_idx on change_inbox (xid);
-- Rows live for milliseconds, so the dead ones are soon many times the others.
alter table change_inbox set (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000);
create sequence change_inbox_seq owned by change_inbox.seq;

alter table change_log add column seq bigint;
comment on column change_log.seq is 'What the change had in the inbox; null if it was never there.';

-- Its row is locked to give out ids, which takes the owner of the log. The snapshot is that of the last look that numbered
-- all it saw. What that did not see has an xid from its xmax on, or one of those that ran: a look finds it by the index, and
-- need not wade through all rows that are deleted and not yet vacuumed.
create table change_sequencer (
    is_only  boolean primary key default true check (is_only),
    snapshot pg_snapshot not null
);
insert into change_sequencer (snapshot) values (pg_current_snapshot());

-- Until when a sequencer looks by itself, in milliseconds since 1970; 0: it sleeps, and has to be rung for. A sequence,
-- because its value is seen past all snapshots, and only the owner can set it.
create sequence change_awake minvalue 0 start 0;
select setval('change_awake', 0);

-- What this snapshot sees that has no id in this snapshot.
create function unnumbered_changes() returns setof change_inbox
language sql stable as $$
    select i.* from public.change_sequencer s cross join lateral (
        select * from public.change_inbox where xid >= pg_snapshot_xmax(s.snapshot)
        union all
        -- Those that still run are left out: they may have noted a million rows.
        select * from public.change_inbox where xid = any (array(
            select xid from pg_snapshot_xip(s.snapshot) as xid where pg_visible_in_snapshot(xid, pg_current_snapshot())))) as i
$$;

-- The trigger functions of the four tables: one text, four names. Rows are written in UTC and with all their digits, as
-- before. The bell comes after the row is noted, hence after the transaction has its xid: sequence_changes() relies on it.
do $generate$
declare
    watched record;
begin
    for watched in
        select * from (values ('session', 'sessions', 'id'), ('movement', 'people_movements', 'session_id'),
                              ('alert', 'alert_logs', 'session_id'), ('metrics', 'realtime_metrics', 'session_id')
        ) as t (noun, table_name, session_column)
    loop
        execute format($function$
            create or replace function notify_%1$s_change() returns trigger
            language plpgsql security definer
            set search_path = pg_catalog, pg_temp as $$
            declare
                is_plain boolean := current_setting('TimeZone') in ('UTC', 'Etc/UTC')
                                    and current_setting('extra_float_digits')::integer > 0;
                new_row text := case when is_plain then row_to_json(new)::text else public.row_text(new) end;
                old_row text := case when is_plain then row_to_json(old)::text else public.row_text(old) end;
                at timestamptz := clock_timestamp();
            begin
                if new_row = old_row then
                    return null;
                end if;
                insert into public.change_inbox values (
                    nextval('public.change_inbox_seq'), pg_current_xact_id(), '%2$s', tg_op, coalesce(new.%3$s, old.%3$s),
                    old.%3$s, new_row, old_row, at);
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

            create trigger %1$s_change_trigger after insert or update or delete on %2$s
            for each row execute function notify_%1$s_change();
        $function$, watched.noun, watched.table_name, watched.session_column);
    end loop;
end
$generate$;

-- Seals a payload: 96 spaces and tabs behind it. A plain expression, so that the planner puts it in place of the call.
create function sealed(payload text, secret bytea) returns text
language sql stable as $$
    select payload || translate(
        ('x' || left(encode(sha256(secret || sha256(secret || convert_to(payload, 'UTF8'))), 'hex'), 24))::bit(96)::text,
        '01', E' \t')
$$;

-- Gives ids to what is committed and has none, lowest seq first, at most so many; returns how many. Anyone who needs an
-- exact cursor now may call it, beside any number of others, in a transaction of its own.
--
-- NOTIFY refuses payloads of 8000 bytes and more, and a full queue. So
-- - a payload that does not fit goes out as a reference: id, table, action, session_id;
-- - so does the first change after 100 kB of them, as one doorbell for all that follow it in the batch: that is at most 25
--   pages, since none is less than half full, and so less than half of the smallest queue that can be configured, 64;
-- - with the queue half full nothing is sent at all (listeners read the log at intervals, too).
create function number_changes(most integer default 10000) returns bigint
language plpgsql set search_path = pg_catalog, pg_temp set enable_seqscan = off as $$
declare
    before pg_snapshot;
    result record;
begin
    if not exists (select from public.unnumbered_changes()) then
        return 0;  -- and nothing is written
    elsif pg_current_xact_id_if_assigned() is not null or current_setting('transaction_isolation') <> 'read committed' then
        -- It would number changes of this very transaction before they are committed, or work with an old snapshot.
        raise exception 'number_changes() takes a transaction of its own, READ COMMITTED.' using errcode = '25001';
    end if;
    -- Clients hear of nothing that a crash takes back: what is numbered lies before this commit in the write-ahead log.
    if current_setting('synchronous_commit') = 'off' then
        perform set_config('synchronous_commit', 'on', true);
    end if;
    select snapshot into before from public.change_sequencer for update;
    if not found or not exists (select from public.change_log_home) then
        raise exception 'change_sequencer or change_log_home is empty, as amid a restore.' using errcode = '55000';
    end if;
    -- One statement, hence one snapshot, taken after the lock: it sees all that was numbered before.
    with home as materialized (
        select pg_current_snapshot() as snapshot, secret, greatest(floor, (select max(id) from public.change_log)) as newest,
               pg_notification_queue_usage() <= 0.5 as has_room
        from public.change_log_home
    ), taken as (
        delete from public.change_inbox where ctid = any (array(
            select ctid from (
                select ctid, seq from public.change_inbox where xid >= pg_snapshot_xmax(before)
                union all
                select ctid, seq from public.change_inbox where xid = any (array(
                    select xid from pg_snapshot_xip(before) as xid where pg_visible_in_snapshot(xid, pg_current_snapshot())))
            ) as waiting
            order by seq limit most))
        returning *
    ), numbered as (
        insert into public.change_log
        select id, table_name, action, session_id, old_session_id,
               '{"id":' || id || ',"table":"' || table_name || '","action":"' || action
                   || '","data":' || coalesce(new_row, old_row, 'null') || ',"old_data":' || coalesce(old_row, 'null')
                   || ',"timestamp":' || extract(epoch from recorded_at) || '}',
               recorded_at, seq
        from (select home.newest + row_number() over (order by taken.seq) as id, taken.* from taken, home) as next
        returning id, table_name, action, session_id, payload
    ), sized as (
        select n.*, octet_length(payload) as bytes, sum(octet_length(payload)) over (order by id) as upto from numbered n
    ), told as (
        select pg_notify(
            case table_name when 'sessions' then 'session_changes' when 'people_movements' then 'movement_changes'
                            when 'alert_logs' then 'alert_changes' else 'metrics_changes' end,
            case when bytes < 7900 and upto <= 100000 then public.sealed(payload, secret)
                 when bytes < 8000 and upto <= 100000 then payload
                 else '{"id":' || id || ',"table":"' || table_name || '","action":"' || action
                     || '","session_id":' || coalesce('"' || session_id || '"', 'null') || '}' end)
        from (select s.*, h.secret from sized s, home h where h.has_room and s.upto - s.bytes <= 100000 order by id) as news
    )
    select home.snapshot, (select count(*) from numbered) as numbered, (select count(*) from told) as told into result
    from home;
    if result.numbered < most then
        update public.change_sequencer set snapshot = result.snapshot;
    end if;
    return result.numbered;
end
$$;

-- Numbers changes for a while, looking every few milliseconds, and goes to sleep once nothing has come for ``linger``.
--
-- numbered: how many changes that were; null if another sequencer is awake, and nothing was done.
-- awake: null, or it came to ``longest`` with more to do: the caller calls it again with this as ``going_on``, by which it
-- is known; if another has taken over meanwhile, nothing is done.
-- Where transactions may be prepared, which can ring no bell, it does not sleep: it looks every 20 ms.
-- horizon: null if all is well until the bell rings. Otherwise transactions are running that may have seen it awake and
-- will not ring: the caller has to look now and then, until pg_snapshot_xmin(pg_current_snapshot()) has come to it.
--
-- It runs here, not in its client, because a look costs the database a twentieth of what it costs the client to ask; and a
-- client that is stopped or killed cannot leave it half-asleep: it always comes to its end, within ``longest``.
--
-- Why nothing is missed: a transaction has its xid before it looks whether it has to ring. Who has found the sequencer
-- awake has an xid below the horizon, which is read after change_awake was set to 0. So once all below the horizon have
-- ended, a last look sees all they did; and all others ring.
create procedure sequence_changes(
    going_on bigint, linger interval, longest interval,
    inout numbered bigint default null, inout awake bigint default null, inout horizon xid8 default null)
language plpgsql as $$
declare
    began timestamptz := clock_timestamp();
    found_at timestamptz := began;
    awake_until timestamptz;
    number bigint;
    may_sleep boolean := current_setting('max_prepared_transactions') = '0';
begin
    perform from public.change_sequencer for update;
    if pg_sequence_last_value('public.change_awake') - date_part('epoch', began) * 1000 between 0 and 5000
            and pg_sequence_last_value('public.change_awake') is distinct from going_on then
        commit;
        return;
    end if;
    awake_until := began + interval '1 second';
    perform setval('public.change_awake', (extract(epoch from awake_until) * 1000)::bigint);
    perform set_config('synchronous_commit', 'off', true);  -- nobody needs to find this after a crash
    commit;
    numbered := 0;
    loop
        number := public.number_changes();
        commit;
        numbered := numbered + number;
        began := least(began, clock_timestamp());  -- whatever is done to the clock
        if number > 0 then
            found_at := clock_timestamp();
        end if;
        exit when may_sleep and clock_timestamp() not between found_at and found_at + linger;
        if clock_timestamp() > began + longest then
            -- A caller that is gone or frozen does not call again: the writers find out at once.
            awake := setval('public.change_awake', (extract(epoch from clock_timestamp()) * 1000)::bigint + 100);
            return;
        elsif clock_timestamp() not between awake_until - interval '1 second' and awake_until - interval '500 milliseconds' then
            awake_until := clock_timestamp() + interval '1 second';
            perform setval('public.change_awake', (extract(epoch from awake_until) * 1000)::bigint);
            perform set_config('synchronous_commit', 'off', true);
            commit;
        end if;
        if clock_timestamp() not between found_at and found_at + linger then
            perform pg_sleep(0.02);
        elsif number < 500 then
            perform pg_sleep(0.0025);
        end if;
    end loop;
    perform setval('public.change_awake', 0);
    perform set_config('synchronous_commit', 'off', true);
    commit;
    horizon := pg_snapshot_xmax(pg_current_snapshot());
    commit;
    if pg_snapshot_xmin(pg_current_snapshot()) >= horizon then
        horizon := null;
    end if;
    commit;
    numbered := numbered + public.number_changes();
end
$$;

-- Sends a synthetic TEST change over every channel, through the log, to every client; touches no row.
create or replace function test_sse_triggers() returns text
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    insert into public.change_inbox
    select nextval('public.change_inbox_seq'), pg_current_xact_id(), name, 'TEST', null, null, '{"test":true}', null, clock_timestamp()
    from unnest(array['sessions', 'people_movements', 'alert_logs', 'realtime_metrics']) as name;
    perform pg_notify('change_bell', '');
    return 'TEST sent on session_changes, movement_changes, alert_changes, metrics_changes';
end
$$;

-- Restarts the log of a database that is a copy, was restored, or was promoted. What waited in the inbox is dropped with
-- the log, for all clients read anew; what is committed later gets its ids behind.
create or replace function recognize_database() returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp set timezone = 'UTC' set lock_timeout = '2s' as $$
begin
    if exists (select from public.change_log_home where database_identity = public.database_identity()) then
        return false;
    end if;
    -- The same lock as for ids, taken first: a second caller finds the work done.
    perform from public.change_sequencer for update;
    update public.change_log_home
    set database_identity = public.database_identity(), secret = public.new_secret(),
        -- More changes than a backup can be behind; JavaScript counts exactly to nine million times that.
        floor = greatest(floor, (select max(id) from public.change_log)) + 1000000000
    where database_identity <> public.database_identity();
    if not found then
        return false;
    end if;
    truncate public.change_log;
    with dropped as (
        delete from public.change_inbox
    )
    update public.change_sequencer set snapshot = pg_current_snapshot();
    perform setval('public.change_awake', 0);
    insert into public.change_log
    select floor + number, name, 'RESET', null, null, '{"id":' || floor + number || ',"table":"' || name
               || '","action":"RESET","data":null,"old_data":null,"timestamp":' || extract(epoch from at) || '}', at, null
    from public.change_log_home, clock_timestamp() as at,
         unnest(array['sessions', 'people_movements', 'alert_logs', 'realtime_metrics']) with ordinality as t (name, number);
    perform pg_notify(
        case table_name when 'sessions' then 'session_changes' when 'people_movements' then 'movement_changes'
                        when 'alert_logs' then 'alert_changes' else 'metrics_changes' end, payload)
    from (select table_name, payload from public.change_log order by id) as news;
    return true;
end
$$;

-- As before, but upto = the largest bigint means everything, with what has no id yet.
create or replace function movement_deltas(after bigint, upto bigint)
returns table (session_id uuid, minute timestamptz, entered bigint, exited bigint)
language sql stable as $$
    select (line ->> 'session_id')::uuid, date_trunc('minute', (line ->> 'movement_time')::timestamptz),
           sum(case when line ->> 'movement_direction' = 'in' then sign else 0 end)::bigint,
           sum(case when line ->> 'movement_direction' = 'out' then sign else 0 end)::bigint
    from (
        select action, payload::json -> 'data' as new_row, payload::json -> 'old_data' as old_row from change_log
        where id > after and id <= upto and table_name = 'people_movements' and action in ('INSERT', 'UPDATE', 'DELETE')
        union all
        select action, new_row::json, old_row::json from unnumbered_changes()
        where upto = 9223372036854775807 and table_name = 'people_movements' and action in ('INSERT', 'UPDATE', 'DELETE')
    ) as changes
    cross join lateral (values
        (case when action <> 'DELETE' then new_row end, 1), (case when action <> 'INSERT' then old_row end, -1)) as lines (line, sign)
    where line is not null
    group by 1, 2
$$;

-- As before, but what has no id yet is left out: it will be folded once it has one.
create or replace function recount_movements() returns void
language plpgsql as $$
declare
    day date;
begin
    delete from movement_counts;
    -- One statement, hence one snapshot: the rows and the cursor belong together.
    with counted as (
        insert into movement_counts
        select session_id, minute, sum(entered)::bigint, sum(exited)::bigint from (
            select session_id, date_trunc('minute', movement_time) as minute,
                   count(*) filter (where movement_direction = 'in') as entered,
                   count(*) filter (where movement_direction = 'out') as exited
            from people_movements group by 1, 2
            union all
            select session_id, minute, -entered, -exited
            from movement_deltas(9223372036854775807, 9223372036854775807)) as parts
        group by 1, 2 having sum(entered) <> 0 or sum(exited) <> 0
    )
    insert into movement_counts_cursor as c (folded)
    values ((select greatest(floor, (select max(id) from change_log)) from change_log_home))
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

drop table change_log_pending;
drop function record_pending_change, record_change, postpone_change, is_commit;
drop sequence change_log_id_seq;

revoke execute on function unnumbered_changes, sealed, number_changes from public;
revoke execute on procedure sequence_changes from public;
