-- Who may see and do what: users, keys, logins (a browser that a user signed in with), and the audit log.
--
-- Every worker keeps all credentials in memory and reads what has changed. So each change of a user, a key or a login gets
-- the next version, under the lock of access_home that its transaction holds until it commits: what a reader sees up to a
-- version is all there is up to it. A row that ends stays for a while, so that its end can be read.
-- Passwords are hashed by the program; of keys and logins only a sha256 is stored, since they are 256 random bits.

create table access_home (
    is_home boolean primary key default true check (is_home),
    version bigint not null default 0,
    secret bytea not null default new_secret(),
    setup_sha256 bytea,
    audit_id bigint not null default 0,
    audit_hash bytea not null default sha256('')
);
comment on column access_home.secret is 'Signs tickets, unless SECRET_KEY_FILE does.';
comment on column access_home.setup_sha256 is 'The token that makes the first administrator, hashed; null once there is one.';
insert into access_home default values;

create table access_users (
    id uuid primary key default gen_random_uuid(),
    username text not null check (username ~ '^[A-Za-z0-9][A-Za-z0-9._@+-]{0,99}$'),
    role text not null check (role in ('viewer', 'operator', 'admin')),
    password_hash text,
    identity text,
    is_disabled boolean not null default false,
    is_first boolean,
    created_at timestamptz not null default now(),
    seen_at timestamptz,
    ended_at timestamptz,
    version bigint not null default 0
);
comment on column access_users.identity is 'Who they are at the login of the house: the issuer and the subject.';
create unique index access_users_username_key on access_users (lower(username)) where ended_at is null;
create unique index access_users_identity_key on access_users (identity) where ended_at is null;
-- The set-up makes one administrator, however many ask at once.
create unique index access_users_first_key on access_users (is_first) where is_first;
create index access_users_version_idx on access_users (version);

create table access_keys (
    id text primary key check (id ~ '^[a-z0-9]{8}$'),
    name text not null check (length(name) between 1 and 200),
    scope text not null check (scope in ('read', 'ingest', 'operate', 'metrics', 'admin')),
    is_restricted boolean not null,
    secret_sha256 bytea not null unique,
    created_at timestamptz not null default now(),
    created_by text,
    expires_at timestamptz,
    ended_at timestamptz,
    version bigint not null default 0
);
create index access_keys_version_idx on access_keys (version);

-- The counting sessions of a restricted key: those it was made for, and those that it made.
create table access_key_sessions (
    key_id text not null references access_keys on delete cascade,
    session_id uuid not null references sessions on delete cascade,
    primary key (key_id, session_id)
);
create index access_key_sessions_session_idx on access_key_sessions (session_id);

create table access_logins (
    id uuid primary key default gen_random_uuid(),
    token_sha256 bytea not null unique,
    user_id uuid references access_users on delete cascade,
    key_id text references access_keys on delete cascade,
    created_at timestamptz not null default now(),
    seen_at timestamptz not null default now(),
    expires_at timestamptz not null,
    ended_at timestamptz,
    address text not null,
    user_agent text not null check (length(user_agent) <= 500),
    version bigint not null default 0,
    check ((user_id is null) <> (key_id is null))
);
create index access_logins_version_idx on access_logins (version);
create index access_logins_user_idx on access_logins (user_id, address);
create index access_logins_key_idx on access_logins (key_id) where key_id is not null;
create index access_logins_expires_idx on access_logins (expires_at);

-- Who has guessed wrong lately: an account, an address. The next try may come at next_at.
create table access_failures (
    kind text not null check (kind in ('account', 'address', 'key')),
    subject text not null,
    failures integer not null,
    next_at timestamptz not null,
    primary key (kind, subject)
);
create index access_failures_next_idx on access_failures (next_at);

create table access_audit (
    id bigint primary key,
    at timestamptz not null,
    actor text not null,
    address text not null,
    action text not null,
    subject text not null,
    details jsonb not null,
    hash bytea not null
);
comment on table access_audit is 'Who did what to which row from where. Each entry''s hash covers the one before it.';

create function next_access_version() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    update public.access_home set version = version + 1 returning version into new.version;
    perform pg_notify('access_changes', '');
    return new;
end
$$;
create trigger access_users_version before insert or update of role, password_hash, is_disabled, ended_at, username, version
on access_users for each row execute function next_access_version();
create trigger access_keys_version before insert or update of scope, is_restricted, expires_at, ended_at, name, version
on access_keys for each row execute function next_access_version();
create trigger access_logins_version before insert or update of expires_at, ended_at, version
on access_logins for each row execute function next_access_version();

-- What changes for a credential changes its own row.
create function pass_on_access() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    if tg_table_name = 'access_key_sessions' then
        update public.access_keys set version = 0 where id = coalesce(new.key_id, old.key_id);
    elsif tg_table_name = 'access_keys' then
        update public.access_logins set ended_at = new.ended_at, version = 0 where key_id = new.id and ended_at is null;
    elsif new.is_disabled or new.ended_at is not null or new.password_hash is distinct from old.password_hash then
        -- The login that has just given the old password stays.
        update public.access_logins set ended_at = now()
        where user_id = new.id and ended_at is null
          and id::text is distinct from current_setting('people_feed.login', true);
    elsif new.role <> old.role or new.username <> old.username then
        update public.access_logins set version = 0 where user_id = new.id and ended_at is null;
    end if;
    return null;
end
$$;
create trigger access_users_pass_on after update on access_users for each row execute function pass_on_access();
create trigger access_keys_pass_on after update on access_keys for each row execute function pass_on_access();
create trigger access_key_sessions_pass_on after insert or delete on access_key_sessions
for each row execute function pass_on_access();

-- Somebody must be able to let others in.
create function keep_an_administrator() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    -- Two administrators who remove each other at once take turns here.
    perform from public.access_home for update;
    if not exists (select from public.access_users where role = 'admin' and not is_disabled and ended_at is null) then
        raise exception 'There would be no administrator left.' using errcode = '23514', column = 'role', table = 'access_users';
    end if;
    return null;
end
$$;
create constraint trigger access_users_admin after update or delete on access_users
for each row when (old.role = 'admin') execute function keep_an_administrator();

create function audit_hash(before bytea, entry access_audit) returns bytea
language sql immutable set search_path = pg_catalog, pg_temp as $$
    select sha256(before || convert_to(jsonb_build_array(
        entry.id, extract(epoch from entry.at), entry.actor, entry.address, entry.action, entry.subject, entry.details)::text,
        'UTF8'))
$$;

create function audit(actor text, address text, action text, subject text, details jsonb) returns bigint
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    entry public.access_audit;
begin
    select home.audit_id + 1, clock_timestamp(), audit.actor, audit.address, audit.action, audit.subject, audit.details, home.audit_hash
    into entry.id, entry.at, entry.actor, entry.address, entry.action, entry.subject, entry.details, entry.hash
    from public.access_home as home for update;
    entry.hash := public.audit_hash(entry.hash, entry);
    insert into public.access_audit select entry.*;
    update public.access_home set audit_id = entry.id, audit_hash = entry.hash;
    return entry.id;
end
$$;

create function refuse_to_rewrite() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    raise exception 'The audit log is only ever added to.' using errcode = '55000';
end
$$;
create trigger access_audit_keep before update or delete or truncate on access_audit
for each statement execute function refuse_to_rewrite();

-- A wrong guess: the wait doubles from the fourth on, up to what the caller allows. Returns the seconds until the next try.
create function count_failure(of_kind text, of_subject text, most_seconds double precision) returns double precision
language sql set search_path = pg_catalog, pg_temp as $$
    insert into public.access_failures as f values (of_kind, of_subject, 1, now())
    on conflict (kind, subject) do update set
        -- What lies an hour back is forgotten.
        failures = case when f.next_at < now() - interval '1 hour' then 1 else f.failures + 1 end,
        next_at = now() + make_interval(secs => case
            when f.next_at < now() - interval '1 hour' or f.failures < 3 then 0
            else least(most_seconds, 0.25 * 2 ^ least(f.failures - 2, 20)) end)
    returning greatest(0, extract(epoch from next_at - now()))::double precision
$$;

revoke execute on function next_access_version(), pass_on_access(), keep_an_administrator(), audit_hash(bytea, access_audit),
    audit(text, text, text, text, jsonb), refuse_to_rewrite(), count_failure(text, text, double precision) from public;
