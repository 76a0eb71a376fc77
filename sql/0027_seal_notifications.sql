-- What a NOTIFY says can be believed again, where it is sealed. Since any role that may connect can send one, the Listener took
-- it for a doorbell and read the log at each wake-up: 0.2 ms of its worker's time for each change. Now the payload that the
-- triggers send carries a seal over a secret that only the owner of the log can read. The Listener believes a sealed
-- payload if it is the very next change, and reads the log for anything else.
--
-- The seal is 96 spaces and tabs behind the payload, so that programs of others read the same JSON as ever.
--
-- The hash is taken twice: sha256 once would let a stranger append to a payload whose seal it has heard. A sealed payload
-- that is sent again is no harm: only the next id is believed, and for that id there is one payload. A copied database gets
-- a secret of its own.

create function new_secret() returns bytea
language sql volatile set search_path = pg_catalog, pg_temp as $$
    select decode(replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 'hex')
$$;
revoke execute on function new_secret from public;

alter table change_log_home add column secret bytea not null default new_secret();
comment on column change_log_home.secret is 'Seals the payloads of NOTIFY; known to the owner of the log alone.';

create or replace function record_change(
    channel text, table_name text, action text, session_id uuid, old_session_id uuid, new_row text, old_row text)
returns bigint
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
    elsif octet_length(payload) < 7900 then
        -- No function of its own: calling one doubled the cost, which is 6 us.
        payload := (
            select payload || translate(('x' || left(encode(sha256(
                       home.secret || sha256(home.secret || convert_to(payload, 'UTF8'))), 'hex'), 24))::bit(96)::text,
                       '01', E' \t')
            from public.change_log_home as home);
    end if;
    return case when pg_notify(channel, payload) is not null then change_id end;
end
$$;

create or replace function recognize_database() returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp set timezone = 'UTC' set lock_timeout = '2s' as $$
begin
    if exists (select from public.change_log_home where database_identity = public.database_identity()) then
        return false;
    end if;
    -- The same lock as for ids, taken first: a second caller finds the work done.
    perform pg_advisory_xact_lock(27980790367741299);
    update public.change_log_home set database_identity = public.database_identity(), secret = public.new_secret()
    where database_identity <> public.database_identity();
    if not found then
        return false;
    end if;
    truncate public.change_log;
    -- More changes than a backup can be behind; JavaScript counts exactly to nine million times that.
    update public.change_log_home
    set floor = setval('public.change_log_id_seq', nextval('public.change_log_id_seq') + 1000000000);
    perform public.record_change(channel, table_name, 'RESET', null, null, null, null)
    from (values ('session_changes', 'sessions'), ('movement_changes', 'people_movements'),
                 ('alert_changes', 'alert_logs'), ('metrics_changes', 'realtime_metrics')) as t (channel, table_name);
    return true;
end
$$;
