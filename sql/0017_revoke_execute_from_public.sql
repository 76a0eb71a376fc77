-- PostgreSQL lets every role execute every function. With a table of its own, even a temporary one, a role that may only
-- connect could so attach our trigger functions and forge changes and alerts. Triggers run all the same for every writer:
-- whether a role may execute their function is asked when they are created, not when they fire.

revoke execute on function
    database_identity(), end_silent_sessions(interval), evaluate_metrics(), evaluate_silence(), fold_movements(integer),
    keep_resolved_at(), movement_deltas(bigint, bigint),
    movement_spans(timestamptz, timestamptz, uuid, text, boolean),
    notify_alert_change(), notify_metrics_change(), notify_movement_change(), notify_session_change(),
    quarter_of(timestamptz), record_pending_change(), recount_movements(), resolve_alerts_of_threshold(),
    sum_quarters(uuid[], timestamptz[]), touch_updated_at()
from public;

-- One session with a time that has no distance from now must not keep all others from being ended: the length of such a
-- session stays unknown.
create or replace function end_silent_sessions(silence interval) returns bigint
language plpgsql as $$
declare
    ended bigint;
begin
    update sessions s
    set status = 'error', end_time = r.reported_at,
        duration_seconds = case when isfinite(s.start_time) and isfinite(r.reported_at)
                                then greatest(0, extract(epoch from r.reported_at - s.start_time)) end
    from session_reports r
    where r.session_id = s.id and s.status = 'active' and greatest(r.reported_at, s.updated_at) < now() - silence;
    get diagnostics ended = row_count;
    delete from session_reports r
    where not exists (select from sessions s where s.id = r.session_id and s.status = 'active');
    return ended;
end
$$;
