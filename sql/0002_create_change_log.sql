-- The change log: every INSERT, UPDATE and DELETE of the four watched tables, in commit order.
--
-- Its invariant: id order = commit order = visibility order = NOTIFY order. An id is given out only under an advisory
-- transaction lock inside a deferred constraint trigger, that is, during COMMIT. So whoever sees id n sees every id
-- below n that will ever exist, and max(id) of a snapshot is an exact cursor. NOTIFY takes a database-wide lock for
-- the same stretch of COMMIT anyway, so ours costs writers no concurrency that they still had.
--
-- What a deferred trigger costs a writer: PostgreSQL refuses TRUNCATE and ALTER TABLE of a table that has changes
-- waiting for COMMIT in the same transaction. SET CONSTRAINTS ALL IMMEDIATE, said before, lets them through.

-- One row per change. payload is what goes out on the channel and on the wire, to the letter. Deliberate: no checks;
-- only the functions below write here, and PostgreSQL would read a check anew for every transaction.
create table change_log (
    id             bigint primary key,
    table_name     text not null,
    action         text not null,  -- INSERT, UPDATE, DELETE, TRUNCATE or TEST
    session_id     uuid,
    old_session_id uuid,
    payload        text not null,
    recorded_at    timestamptz not null
);
comment on table change_log is 'Changes in commit order; read by "id > cursor". Written by triggers only.';
comment on column change_log.old_session_id is 'The session before, for UPDATE and DELETE.';

create sequence change_log_id_seq owned by change_log.id;

-- Changes that have to wait for COMMIT outside a row's own deferred trigger: TRUNCATE, test_sse_triggers(), and rows
-- written after SET CONSTRAINTS ALL IMMEDIATE. Always empty to everyone but the transaction that fills it.
create unlogged table change_log_pending (
    pending_id     bigint generated always as identity primary key,
    postponed      integer not null,  -- how often
    channel        text not null,
    table_name     text not null,
    action         text not null,
    session_id     uuid,
    old_session_id uuid,
    new_row        text,
    old_row        text
);

-- Gives out the id, writes the log and notifies; returns the id. Runs during COMMIT only, as the owner of the log.
--
-- NOTIFY refuses payloads of 8000 bytes and more, and a full notification queue, by failing the writer. So
-- - a payload that does not fit goes out as a reference: id, table, action, session_id;
-- - so does the 25th change of a transaction, as one doorbell for all that follow it. (A listener that meets a
--   reference, or misses an id, reads the log to its end.) 25 pages are less than half of the smallest queue that can
--   be configured, 64 pages;
-- - with the queue half full nothing is sent at all (listeners read the log at intervals, too).
-- The count of what was announced is kept as that many dots in a setting: no content of it can raise an error, and a
-- writer that tampers with it delays nothing but the news of its own changes.
--
-- Deliberate: functions are called in expressions, not by PERFORM, which starts the whole executor for each.
create function record_change(
    channel text, table_name text, action text, session_id uuid, old_session_id uuid, new_row text, old_row text
) returns bigint
language plpgsql as $$
declare
    -- The key is the project's own: the bytes of "changes" as a number.
    change_id bigint := case when pg_advisory_xact_lock(27980790367741299) is not null
                             then nextval('public.change_log_id_seq') end;
    recorded_at timestamptz := clock_timestamp();
    head text := '{"id":' || change_id::text || ',"table":"' || table_name || '","action":"' || action || '"';
    payload text := head || ',"data":' || coalesce(new_row, old_row, 'null')
        || ',"old_data":' || coalesce(old_row, 'null')
        || ',"timestamp":' || extract(epoch from recorded_at)::text || '}';
    announced text := coalesce(current_setting('change_log.announced', true), '');
begin
    insert into public.change_log values
        (change_id, table_name, action, session_id, old_session_id, payload, recorded_at);

    if length(announced) >= 25 or (announced = '' and pg_notification_queue_usage() > 0.5) then
        return change_id;
    elsif set_config('change_log.announced', announced || '.', true) is null then
        return change_id;
    elsif length(announced) = 24 or octet_length(payload) >= 8000 then
        payload := head || ',"session_id":' || coalesce('"' || session_id::text || '"', 'null') || '}';
    end if;
    return case when pg_notify(channel, payload) is not null then change_id end;
end
$$;
revoke execute on function record_change from public;

-- Puts a change off until COMMIT, also where the writer has made all constraints immediate.
create function postpone_change(
    postponed integer, channel text, table_name text, action text, session_id uuid, old_session_id uuid,
    new_row text, old_row text
) returns void
language plpgsql as $$
begin
    set constraints public.change_log_pending_commit deferred;
    insert into public.change_log_pending
        (postponed, channel, table_name, action, session_id, old_session_id, new_row, old_row)
    values (postponed, channel, table_name, action, session_id, old_session_id, new_row, old_row);
end
$$;
revoke execute on function postpone_change from public;

-- Whether this is the COMMIT of a transaction of several statements, as far as can be told.
--
-- A deferred trigger runs early when the writer has said SET CONSTRAINTS ALL IMMEDIATE; recording then would hold the
-- lock until the writer's COMMIT. PostgreSQL does not tell a trigger which of the two it is, so we look at the query:
-- it begins with COMMIT (perhaps after a comment), or ends with it. A wrong guess costs time and nothing else: the
-- order is kept either way, because the lock is. The answer is kept per statement: the text may have megabytes.
create function is_commit() returns boolean
language plpgsql as $$
declare
    answer text := current_setting('change_log.is_commit', true);
    statement text := extract(epoch from statement_timestamp())::text;
    found boolean;
begin
    if answer = statement || ' yes' then
        return true;
    elsif answer = statement || ' no' then
        return false;
    end if;
    found := current_query() ~* '^\s*(/\*.*?\*/\s*|--[^\n]*\n\s*)*(commit|end)\M'
          or right(current_query(), 30) ~* ';\s*(commit|end)(\s+(work|transaction))?[\s;]*$';
    perform set_config('change_log.is_commit', statement || case when found then ' yes' else ' no' end, true);
    return found;
end
$$;
revoke execute on function is_commit from public;

-- Records what was postponed, and leaves nothing behind. SET CONSTRAINTS calls it too early: it then postpones again,
-- but not for ever, since "SET CONSTRAINTS ALL IMMEDIATE; COMMIT" sent as one text looks the same at COMMIT.
create function record_pending_change() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    change_id bigint;
begin
    delete from public.change_log_pending where pending_id = new.pending_id;
    if new.postponed < 10 and left(current_query(), 1000) ~* '\mset\s+constraints\M' and not public.is_commit() then
        perform public.postpone_change(new.postponed + 1, new.channel, new.table_name, new.action, new.session_id,
                                       new.old_session_id, new.new_row, new.old_row);
    else
        change_id := public.record_change(new.channel, new.table_name, new.action, new.session_id, new.old_session_id,
                                          new.new_row, new.old_row);
    end if;
    return null;
end
$$;

create constraint trigger change_log_pending_commit after insert on change_log_pending
deferrable initially deferred for each row execute function record_pending_change();

-- The trigger functions of the four tables: one text, four names. Each records the row's change if this is the COMMIT
-- (the transaction began with this very statement, or it is one), else postpones it. An UPDATE that changed nothing
-- is not a change. Rows are written in UTC and with all their digits, whatever the writer has set; a function's own
-- SET costs each change 25 microseconds, so only those pay whose settings differ.
create function row_text(source record) returns text
language plpgsql set search_path = pg_catalog, pg_temp set timezone = 'UTC' set extra_float_digits = 1 as $$
begin
    return row_to_json(source)::text;
end
$$;
revoke execute on function row_text from public;

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
            create function notify_%1$s_change() returns trigger
            language plpgsql security definer
            set search_path = pg_catalog, pg_temp as $$
            declare
                change_id bigint;
                is_plain boolean := current_setting('TimeZone') in ('UTC', 'Etc/UTC')
                                    and current_setting('extra_float_digits')::integer > 0;
                new_row text := case when is_plain then row_to_json(new)::text else public.row_text(new) end;
                old_row text := case when is_plain then row_to_json(old)::text else public.row_text(old) end;
            begin
                if new_row = old_row then
                    return null;
                elsif tg_op <> 'TRUNCATE' and
                      (statement_timestamp() = transaction_timestamp() or public.is_commit()) then
                    change_id := public.record_change('%1$s_changes', '%2$s', tg_op, coalesce(new.%3$s, old.%3$s),
                                                      old.%3$s, new_row, old_row);
                else
                    perform public.postpone_change(0, '%1$s_changes', '%2$s', tg_op, coalesce(new.%3$s, old.%3$s),
                                                   old.%3$s, new_row, old_row);
                end if;
                return null;
            end
            $$;

            create constraint trigger %1$s_change_trigger after insert or update or delete on %2$s
            deferrable initially deferred for each row execute function notify_%1$s_change();

            create trigger %1$s_truncate after truncate on %2$s
            for each statement execute function notify_%1$s_change();
        $function$, watched.noun, watched.table_name, watched.session_column);
    end loop;
end
$generate$;

-- Sends a synthetic TEST change over every channel, through the log, to every client; touches no row.
create function test_sse_triggers() returns text
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    perform public.postpone_change(0, channel, table_name, 'TEST', null, null, '{"test":true}', null)
    from (values ('session_changes', 'sessions'), ('movement_changes', 'people_movements'),
                 ('alert_changes', 'alert_logs'), ('metrics_changes', 'realtime_metrics')) as t (channel, table_name);
    return 'TEST sent on session_changes, movement_changes, alert_changes, metrics_changes';
end
$$;
revoke execute on function test_sse_triggers from public;
