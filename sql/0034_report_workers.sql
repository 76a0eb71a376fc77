-- What each worker of each host says of itself, every ten seconds, so that any worker can answer for all of them, and for
-- the last hours. The pruner removes what is older than two hours.

-- A worker is known by its host, the arbiter that started it, and its slot: one that takes another's place has its slot.
-- Totals are those since started_at, so rates are differences.
create table worker_reports (
    host text not null,
    arbiter integer not null,
    slot integer not null,
    reported_at timestamptz not null default clock_timestamp(),
    process integer not null,
    version text not null,
    started_at timestamptz not null,
    listener text not null,
    streams integer not null,
    changes bigint not null,
    deliveries bigint not null,
    sent_bytes bigint not null,
    log_reads bigint not null,
    overflows bigint not null,
    reconnects bigint not null,
    unannounced bigint not null,
    failures bigint not null,
    commit_to_publish_p50_ms double precision,
    commit_to_publish_p99_ms double precision,
    cpu_seconds double precision not null,
    resident_bytes bigint,
    sequencer_lag_seconds double precision not null,
    notify_queue_usage double precision not null,
    constraint worker_reports_pkey primary key (reported_at, host, arbiter, slot)
);
comment on table worker_reports is 'What workers say of themselves, every ten seconds.';
comment on column worker_reports.arbiter is 'Its process.';
comment on column worker_reports.changes is 'Each worker publishes all.';
comment on column worker_reports.commit_to_publish_p50_ms is 'Of the newest changes since the report before; null without any.';
comment on column worker_reports.resident_bytes is 'Null where the system does not tell.';
comment on column worker_reports.sequencer_lag_seconds is 'Age of the oldest change that has no id, at the time of the report.';
