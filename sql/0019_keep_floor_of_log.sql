-- Where the log begins was searched for as min(id), which reads every row that pruning has deleted until VACUUM has
-- removed it: with a long transaction beside it, 0.7 seconds, and clients heard nothing meanwhile. Now the log keeps
-- its floor: the id up to which changes may be missing. Whoever deletes moves it, in the same transaction.

alter table change_log_home add column floor bigint not null default 0;
comment on column change_log_home.floor is 'The log holds every change after this id.';
update change_log_home set floor = coalesce((select min(id) - 1 from change_log), 0);

create function keep_floor() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    update public.change_log_home set floor = greatest(floor, (select max(id) from gone))
    where floor < (select max(id) from gone);
    return null;
end
$$;
revoke execute on function keep_floor from public;

create trigger keep_floor after delete on change_log
referencing old table as gone for each statement execute function keep_floor();

create or replace function recognize_database() returns boolean
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
