-- One word for one thing: what the log remembers is the identity of its database, not a place, and what a Listener asks
-- for when it connects is that the database be recognized. Nothing else changes.

alter table change_log_home rename column place to database_identity;
alter function change_log_place() rename to database_identity;
comment on function database_identity() is
    'Which database this is: cluster, timeline (a new one for each promotion and point-in-time recovery), database.';

drop function settle_change_log();

-- Restarts the log of a copied, restored or promoted database; true if it did. Listeners call it whenever they connect.
-- It fails rather than keep writers waiting behind a long reader of the log; Listeners then try again.
create function recognize_database() returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp set timezone = 'UTC' set lock_timeout = '2s' as $$
begin
    if exists (select from public.change_log_home where database_identity = public.database_identity()) then
        return false;
    end if;
    -- The same lock as for ids, taken first: a second caller finds the work done.
    perform pg_advisory_xact_lock(27980790367741299);
    update public.change_log_home set database_identity = public.database_identity()
    where database_identity <> public.database_identity();
    if not found then
        return false;
    end if;
    -- More changes than a backup can be behind; JavaScript counts exactly to nine million times that.
    truncate public.change_log;
    perform setval('public.change_log_id_seq', nextval('public.change_log_id_seq') + 1000000000);
    perform public.record_change(channel, table_name, 'RESET', null, null, null, null)
    from (values ('session_changes', 'sessions'), ('movement_changes', 'people_movements'),
                 ('alert_changes', 'alert_logs'), ('metrics_changes', 'realtime_metrics')) as t (channel, table_name);
    return true;
end
$$;
revoke execute on function recognize_database from public;
