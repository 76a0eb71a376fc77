-- A restored backup, a promoted standby or a copied database goes on counting ids from where the copy was made, so the
-- same id can come to mean two changes. Nobody can see that from a cursor. So the log remembers which database it is
-- in, and where it finds itself in another one it begins anew, ahead of every id that may have been given out
-- meanwhile, with a RESET for each table: whoever comes with an older cursor is told that it has no continuation.

-- One row: the database that the log was last used in.
create table change_log_home (
    is_only boolean primary key default true constraint change_log_home_is_only_check check (is_only),
    place   text not null
);

-- Which database this is: cluster, timeline (a new one for each promotion and point-in-time recovery), database.
create function change_log_place() returns text
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select s.system_identifier::text || '/' || c.timeline_id::text || '/' || d.oid::text
    from pg_control_system() s, pg_control_checkpoint() c, pg_database d
    where d.datname = current_database()
$$;

insert into change_log_home (place) values (change_log_place());

-- Makes sure that the log is at home; true if it began anew. Listeners call it whenever they connect; rather than keep
-- writers waiting behind a long reader of the log, it fails, and they come again.
create function settle_change_log() returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp set timezone = 'UTC' set lock_timeout = '2s' as $$
begin
    if exists (select from public.change_log_home where place = public.change_log_place()) then
        return false;
    end if;
    -- The same lock as for ids, taken first: whoever comes second finds the work done.
    perform pg_advisory_xact_lock(27980790367741299);
    update public.change_log_home set place = public.change_log_place() where place <> public.change_log_place();
    if not found then
        return false;
    end if;
    -- More changes than anybody loses with a backup; JavaScript counts exactly to nine million times that.
    truncate public.change_log;
    perform setval('public.change_log_id_seq', nextval('public.change_log_id_seq') + 1000000000);
    perform public.record_change(channel, table_name, 'RESET', null, null, null, null)
    from (values ('session_changes', 'sessions'), ('movement_changes', 'people_movements'),
                 ('alert_changes', 'alert_logs'), ('metrics_changes', 'realtime_metrics')) as t (channel, table_name);
    return true;
end
$$;
revoke execute on function settle_change_log from public;
