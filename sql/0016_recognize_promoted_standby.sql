-- A promoted standby writes its new timeline into the control file with the first checkpoint, minutes later; the name of
-- the WAL file being written says it at once. And a dump restored into the same database brings another log under the
-- same name: its table has another oid. Both used to go unnoticed, and clients kept rows that never were.

-- Whether the log was at home by the old definition; then it is by the new one, and no stream is reset by this file.
create temporary table was_recognized on commit drop as
select exists (select from change_log_home where database_identity = database_identity()) as yes;

create or replace function database_identity() returns text
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select concat_ws('/', s.system_identifier,
                     case when pg_is_in_recovery() then lpad(to_hex(c.timeline_id), 8, '0')
                          else left(pg_walfile_name(pg_current_wal_insert_lsn()), 8) end,
                     d.oid, 'public.change_log'::regclass::oid)
    from pg_control_system() s, pg_control_checkpoint() c, pg_database d
    where d.datname = current_database()
$$;
comment on function database_identity() is
    'Which database and log this is: cluster, timeline (a new one for each promotion and recovery), database, table.';

update change_log_home set database_identity = database_identity() where (select yes from was_recognized);
