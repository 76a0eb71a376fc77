-- The change log: every INSERT, UPDATE and DELETE of the four watched tables, in commit order.
--
-- Its invariant: id order = commit order = visibility order = NOTIFY order. An id is given out only under an advisory
-- transaction lock inside a deferred constraint trigger, that is, during COMMIT. So whoever sees id n sees every id
-- below n that will ever exist, and max(id) of a snapshot is an exact cursor. NOTIFY takes a database-wide lock for
-- the same stretch of COMMIT anyway, so ours costs writers no concurrency that they still had.

-- One row per change. payload is what goes out on the channel and on the wire, to the letter.
create table change_log (
    id             bigint primary key,
    table_name     text not null,
    action         text not null,
    session_id     uuid,
    old_session_id uuid,
    payload        text not null,
    recorded_at    timestamptz not null,
    constraint change_log_action_check check (action in ('INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'TEST'))
);
comment on table change_log is 'Changes in commit order; read by "id > cursor". Written by triggers only.';
comment on column change_log.old_session_id is 'The session before, where an UPDATE moved the row to another one.';

create sequence change_log_id_seq owned by change_log.id;

-- Changes that have to wait for COMMIT outside a row's own deferred trigger: TRUNCATE, test_sse_triggers(), and rows
-- written after SET CONSTRAINTS ALL IMMEDIATE. Always empty to everyone but the transaction that fills it.
create unlogged table change_log_pending (
    pending_id     bigint generated always as identity primary key,
    channel        text not null,
    table_name     text not null,
    action         text not null,
    session_id     uuid,
    old_session_id uuid,
    new_row        text,
    old_row        text
);

-- Gives out the id, writes the log and notifies. Runs during COMMIT only, as the owner of the log.
--
-- NOTIFY refuses payloads of 8000 bytes and more, and a full notification queue, by failing the writer. So a payload
-- that does not fit goes out as a reference; so does the 1000th change of a transaction, as one doorbell for all that
-- follow it (a listener that meets a reference, or misses an id, reads the log to its end); and with the queue half
-- full nothing is sent at all (listeners read the log at intervals, too). The counter in the setting is only a hint:
-- a writer that tampers with it delays nothing but the news of its own changes.
create function record_change(
    channel text, table_name text, action text, session_id uuid, old_session_id uuid, new_row text, old_row text
) returns void
language plpgsql as $$
declare
    change_id bigint;
    recorded_at timestamptz;
    head text;
    payload text;
    hint text := current_setting('change_log.announced', true);
    announced integer := case when hint ~ '^[0-9]{1,4}$' then hint::integer else 0 end;
begin
    -- The key is the project's own: the bytes of "changes" as a number.
    perform pg_advisory_xact_lock(27980790367741299);
    change_id := nextval('public.change_log_id_seq');
    recorded_at := clock_timestamp();
    head := '{"id":' || change_id || ',"table":"' || table_name || '","action":"' || action || '"';
    payload := head || ',"data":' || coalesce(new_row, old_row, 'null') || ',"old_data":' || coalesce(old_row, 'null')
        || ',"timestamp":' || extract(epoch from recorded_at) || '}';
    insert into public.change_log values
        (change_id, table_name, action, session_id, old_session_id, payload, recorded_at);

    if announced >= 1000 or (announced % 100 = 0 and pg_notification_queue_usage() > 0.5) then
        return;
    end if;
    perform set_config('change_log.announced', (announced + 1)::text, true);
    if announced = 999 or octet_length(payload) >= 8000 then
        payload := head || ',"session_id":' || coalesce('"' || session_id || '"', 'null') || '}';
    end if;
    perform pg_notify(channel, payload);
end
$$;
revoke execute on function record_change from public;

-- Puts a change off until COMMIT, also where the writer has made all constraints immediate.
create function postpone_change(
    channel text, table_name text, action text, session_id uuid, old_session_id uuid, new_row text, old_row text
) returns void
language plpgsql as $$
begin
    set constraints public.change_log_pending_commit deferred;
    insert into public.change_log_pending (channel, table_name, action, session_id, old_session_id, new_row, old_row)
    values (channel, table_name, action, session_id, old_session_id, new_row, old_row);
end
$$;
revoke execute on function postpone_change from public;

-- Records a row's change if this is the COMMIT, else postpones it.
--
-- A deferred trigger runs early when the writer has said SET CONSTRAINTS ALL IMMEDIATE; recording then would hold the
-- lock until the writer's COMMIT. PostgreSQL does not tell a trigger which of the two it is, so we look at the query:
-- it is COMMIT, or the transaction began with this very statement. A wrong guess costs time and nothing else: the
-- order is kept either way, because the lock is.
create function record_row_change(
    channel text, table_name text, action text, session_id uuid, old_session_id uuid, new_row text, old_row text
) returns void
language plpgsql as $$
begin
    if new_row = old_row then
        return;  -- an UPDATE that changed nothing is not a change
    elsif statement_timestamp() = transaction_timestamp() or current_query() ~* '^\s*(commit|end)\M' then
        perform public.record_change(channel, table_name, action, session_id, old_session_id, new_row, old_row);
    else
        perform public.postpone_change(channel, table_name, action, session_id, old_session_id, new_row, old_row);
    end if;
end
$$;
revoke execute on function record_row_change from public;

-- Records what was postponed, and leaves nothing behind.
create function record_pending_change() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp set timezone = 'UTC' as $$
begin
    perform public.record_change(new.channel, new.table_name, new.action, new.session_id, new.old_session_id,
                                 new.new_row, new.old_row);
    delete from public.change_log_pending where pending_id = new.pending_id;
    return null;
end
$$;

create constraint trigger change_log_pending_commit after insert on change_log_pending
deferrable initially deferred for each row execute function record_pending_change();

-- sessions: changes go out on session_changes.
create function notify_session_change() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp set timezone = 'UTC' as $$
begin
    if tg_op = 'INSERT' then
        perform public.record_row_change('session_changes', 'sessions', tg_op, new.id, null,
                                         row_to_json(new)::text, null);
    elsif tg_op = 'UPDATE' then
        perform public.record_row_change('session_changes', 'sessions', tg_op, new.id, old.id,
                                         row_to_json(new)::text, row_to_json(old)::text);
    elsif tg_op = 'DELETE' then
        perform public.record_row_change('session_changes', 'sessions', tg_op, old.id, null,
                                         null, row_to_json(old)::text);
    else
        perform public.postpone_change('session_changes', 'sessions', tg_op, null, null, null, null);
    end if;
    return null;
end
$$;

create constraint trigger session_change_trigger after insert or update or delete on sessions
deferrable initially deferred for each row execute function notify_session_change();

create trigger session_truncate after truncate on sessions
for each statement execute function notify_session_change();

-- people_movements: changes go out on movement_changes.
create function notify_movement_change() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp set timezone = 'UTC' as $$
begin
    if tg_op = 'INSERT' then
        perform public.record_row_change('movement_changes', 'people_movements', tg_op, new.session_id, null,
                                         row_to_json(new)::text, null);
    elsif tg_op = 'UPDATE' then
        perform public.record_row_change('movement_changes', 'people_movements', tg_op, new.session_id, old.session_id,
                                         row_to_json(new)::text, row_to_json(old)::text);
    elsif tg_op = 'DELETE' then
        perform public.record_row_change('movement_changes', 'people_movements', tg_op, old.session_id, null,
                                         null, row_to_json(old)::text);
    else
        perform public.postpone_change('movement_changes', 'people_movements', tg_op, null, null, null, null);
    end if;
    return null;
end
$$;

create constraint trigger movement_change_trigger after insert or update or delete on people_movements
deferrable initially deferred for each row execute function notify_movement_change();

create trigger movement_truncate after truncate on people_movements
for each statement execute function notify_movement_change();

-- alert_logs: changes go out on alert_changes.
create function notify_alert_change() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp set timezone = 'UTC' as $$
begin
    if tg_op = 'INSERT' then
        perform public.record_row_change('alert_changes', 'alert_logs', tg_op, new.session_id, null,
                                         row_to_json(new)::text, null);
    elsif tg_op = 'UPDATE' then
        perform public.record_row_change('alert_changes', 'alert_logs', tg_op, new.session_id, old.session_id,
                                         row_to_json(new)::text, row_to_json(old)::text);
    elsif tg_op = 'DELETE' then
        perform public.record_row_change('alert_changes', 'alert_logs', tg_op, old.session_id, null,
                                         null, row_to_json(old)::text);
    else
        perform public.postpone_change('alert_changes', 'alert_logs', tg_op, null, null, null, null);
    end if;
    return null;
end
$$;

create constraint trigger alert_change_trigger after insert or update or delete on alert_logs
deferrable initially deferred for each row execute function notify_alert_change();

create trigger alert_truncate after truncate on alert_logs
for each statement execute function notify_alert_change();

-- realtime_metrics: changes go out on metrics_changes.
create function notify_metrics_change() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp set timezone = 'UTC' as $$
begin
    if tg_op = 'INSERT' then
        perform public.record_row_change('metrics_changes', 'realtime_metrics', tg_op, new.session_id, null,
                                         row_to_json(new)::text, null);
    elsif tg_op = 'UPDATE' then
        perform public.record_row_change('metrics_changes', 'realtime_metrics', tg_op, new.session_id, old.session_id,
                                         row_to_json(new)::text, row_to_json(old)::text);
    elsif tg_op = 'DELETE' then
        perform public.record_row_change('metrics_changes', 'realtime_metrics', tg_op, old.session_id, null,
                                         null, row_to_json(old)::text);
    else
        perform public.postpone_change('metrics_changes', 'realtime_metrics', tg_op, null, null, null, null);
    end if;
    return null;
end
$$;

create constraint trigger metrics_change_trigger after insert or update or delete on realtime_metrics
deferrable initially deferred for each row execute function notify_metrics_change();

create trigger metrics_truncate after truncate on realtime_metrics
for each statement execute function notify_metrics_change();

-- Sends a synthetic TEST change over every channel, through the log, to every client; touches no row.
create function test_sse_triggers() returns text
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    perform public.postpone_change(channel, table_name, 'TEST', null, null, '{"test":true}', null)
    from (values ('session_changes', 'sessions'), ('movement_changes', 'people_movements'),
                 ('alert_changes', 'alert_logs'), ('metrics_changes', 'realtime_metrics')) as t (channel, table_name);
    return 'TEST sent on session_changes, movement_changes, alert_changes, metrics_changes';
end
$$;
revoke execute on function test_sse_triggers from public;
