-- A reading keeps the camera's own time; beside it now stands the database's, as it does for movements. Readings that were
-- here before have none: nobody knows any more.
alter table realtime_metrics add column created_at timestamptz;
alter table realtime_metrics alter column created_at set default now();
