-- Alerts as work: somebody takes one in hand and says what is being done about it, or has a kind of alert of a session be
-- quiet for a while.

alter table alert_logs
    add column acknowledged_at timestamptz,
    add column acknowledged_by text,
    add column note text,
    add column muted_until timestamptz;
comment on column alert_logs.acknowledged_at is 'Since when somebody has it in hand; null: nobody yet.';
comment on column alert_logs.acknowledged_by is 'The user or key that said so; null where nobody has to say who they are.';
comment on column alert_logs.note is 'What is being done about it.';
comment on column alert_logs.muted_until is 'Until when it asks for nobody''s attention; alerts of its kind inherit it.';

create index alert_logs_muted_idx on alert_logs (alert_type) where muted_until is not null;

-- An alert that opens while its kind is muted is muted, too: one that comes and goes would be heard each time otherwise.
create function inherit_mute() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    new.muted_until := (
        select max(muted_until) from public.alert_logs
        where muted_until > now() and alert_type = new.alert_type and session_id is not distinct from new.session_id);
    return new;
end
$$;
create trigger alert_logs_inherit_mute before insert on alert_logs
for each row when (new.muted_until is null) execute function inherit_mute();

revoke execute on function inherit_mute from public;
