-- An alert goes with what its threshold watches: once that is deleted, switched off, or made to watch something else,
-- no metrics would resolve it. Where there is still reason for an alert, the next metrics open a new one.

create function resolve_alerts_of_threshold() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    with ended as (
        delete from public.alert_states where threshold_id = old.id returning alert_id
    )
    update public.alert_logs set is_resolved = true where id in (select alert_id from ended) and not is_resolved;
    return coalesce(new, old);
end
$$;

-- Before, because deleting the threshold takes alert_states along.
create trigger threshold_delete before delete on alert_thresholds
for each row execute function resolve_alerts_of_threshold();

create trigger threshold_change after update on alert_thresholds
for each row when (row(old.session_id, old.alert_type, old.is_active)
                   is distinct from row(new.session_id, new.alert_type, new.is_active))
execute function resolve_alerts_of_threshold();
