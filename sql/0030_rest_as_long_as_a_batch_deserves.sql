-- The sequencer leaves the disk and the cores to the writers: it looks often while nothing comes, and rests after a batch for
-- as long as the batch deserves.
--
-- Each batch has a cost of its own, however few changes are in it, and its flush makes those wait who want to flush next. So
-- it rests eight times as long as the flush took and twice as long as the rest of the batch did: writers keep eight ninths
-- of the disk, whatever its speed, and where much is written a batch holds more. The shorter of the last two counts, so that
-- one slow flush makes nobody late. It never rests for longer than 40 ms, nor for longer than 5 ms after 200 changes, 1 ms
-- after 450: where so many come, their being late matters more than a flush. While nothing comes, a look costs some 30
-- microseconds.

-- Gives ids to what is committed and has none, lowest seq first, at most so many; returns how many. Anyone who needs an
-- exact cursor now may call it, beside any number of others, in a transaction of its own.
--
-- NOTIFY refuses payloads of 8000 bytes and more, and a full queue. So
-- - a payload that does not fit goes out as a reference: id, table, action, session_id;
-- - so does the first change after 100 kB of them, as one doorbell for all that follow it in the batch: that is at most 25
--   pages, since none is less than half full, and so less than half of the smallest queue that can be configured, 64;
-- - only small batches are sealed, which is half of a change's cost: listeners read a larger one from the log, at once;
-- - with the queue half full nothing is sent at all (listeners read the log at intervals, too).
create or replace function number_changes(most integer default 10000) returns bigint
language plpgsql set search_path = pg_catalog, pg_temp set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
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
        select n.*, octet_length(payload) as bytes, sum(octet_length(payload)) over (order by id) as upto,
               count(*) over () <= 16 as is_small
        from numbered n
    ), told as (
        select pg_notify(
            case table_name when 'sessions' then 'session_changes' when 'people_movements' then 'movement_changes'
                            when 'alert_logs' then 'alert_changes' else 'metrics_changes' end,
            case when bytes < 7900 and upto <= 100000 and is_small then public.sealed(payload, secret)
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

-- Numbers changes for a while, looking every millisecond, and goes to sleep once nothing has come for ``linger``.
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
create or replace procedure sequence_changes(
    going_on bigint, linger interval, longest interval,
    inout numbered bigint default null, inout awake bigint default null, inout horizon xid8 default null)
language plpgsql as $$
declare
    began timestamptz := clock_timestamp();
    looked_at timestamptz;
    numbered_at timestamptz;
    rest double precision := 0;
    rest_before double precision;
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
        looked_at := clock_timestamp();
        number := public.number_changes();
        numbered_at := clock_timestamp();
        commit;
        numbered := numbered + number;
        began := least(began, clock_timestamp());  -- whatever is done to the clock
        if number > 0 then
            found_at := clock_timestamp();
            rest_before := rest;
            rest := 2 * date_part('epoch', numbered_at - looked_at) + 8 * date_part('epoch', found_at - numbered_at);
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
        elsif number = 0 then
            perform pg_sleep(0.001);
        else
            -- Of the last two, the shorter: one flush that was slow by chance makes nobody late.
            perform pg_sleep(least(greatest(least(rest, rest_before), 0.001), 0.04, 200.0 / number ^ 2));
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

