-- SPDX-License-Identifier: AGPL-3.0-or-later
-- Times are Unix epoch, ms. Columns named *_sealed hold AES-256-GCM boxes (seal.ts), *_hash SHA-256.

-- One row: proves that a key is the one this database was sealed with.
create table key_check (
  id integer primary key check (id = 1),
  proof_sealed blob not null
) strict;

create table servers (
  serial text primary key check (serial <> ''),
  bmc_url text not null,
  bmc_username text not null,
  bmc_password_sealed blob not null,
  bmc_tls_mode text not null check (bmc_tls_mode in ('verify', 'pinned', 'insecure')),
  bmc_tls_fingerprint text,
  delivery text check (delivery in ('dual', 'usb', 'combined')),
  network text check (json_valid(network)),
  capabilities text check (json_valid(capabilities)),
  created_at integer not null,
  updated_at integer not null,
  check ((bmc_tls_mode = 'pinned') = (bmc_tls_fingerprint is not null))
) strict;

create table users (
  name text primary key check (name <> ''),
  role text not null check (role in ('admin', 'operator', 'reader')),
  password_hash text not null check (password_hash like '$argon2id$%'),
  created_at integer not null,
  updated_at integer not null
) strict;

-- The phases of jobs/lifecycle.ts, in order.
create table phases (
  name text primary key,
  position integer not null unique
) strict;
insert into phases (name, position) values
  ('media', 1), ('power-off', 2), ('insert', 3), ('boot-override', 4), ('power-on', 5),
  ('waiting', 6), ('running', 7), ('reported', 8), ('cleanup', 9);

create table jobs (
  -- Order of creation; a number is never used again, so that it can serve as a cursor.
  number integer primary key autoincrement,
  id text not null unique check (id <> ''),
  server_serial text not null,
  task_target text not null,
  status text not null default 'queued'
    check (status in ('queued', 'provisioning', 'succeeded', 'failed', 'complete')),
  phase text references phases (name),
  outcome text check (outcome in ('succeeded', 'failed', 'canceled')),
  failed_step text,
  error text,
  bmc_touched integer not null default 0 check (bmc_touched in (0, 1)),
  checked_in_at integer,

  progress_step text,
  progress_bytes_done integer,
  progress_bytes_total integer,
  progress_updated_at integer,

  lease_owner text,
  lease_expires_at integer,
  fence integer not null default 0,

  idempotency_key text unique,
  idempotency_hash text,

  token_hash blob not null unique,
  -- Null once the secrets' retention is over.
  token_sealed blob,
  recipe_sealed blob,
  envelope_sealed blob,

  created_at integer not null,
  updated_at integer not null,
  phase_since integer not null,

  check ((idempotency_key is null) = (idempotency_hash is null)),
  check ((lease_owner is null) = (lease_expires_at is null)),
  check ((progress_step is null) = (progress_updated_at is null)),
  -- `is true`, because a check that comes out null would pass.
  check ((
    (status = 'queued' and phase is null and outcome is null and lease_owner is null)
    or (status = 'provisioning' and phase not in ('reported', 'cleanup') and outcome is null)
    or (status = 'succeeded' and phase in ('reported', 'cleanup') and outcome = 'succeeded')
    or (status = 'failed' and phase in ('reported', 'cleanup') and outcome in ('failed', 'canceled'))
    or (status = 'complete' and phase is null and outcome is not null and lease_owner is null)
  ) is true)
) strict;

-- Two jobs must never drive one BMC, whatever the code above does.
create unique index jobs_active on jobs (server_serial) where status <> 'complete';
create index jobs_by_server on jobs (server_serial, number);
create index jobs_by_status on jobs (status, number);

create trigger jobs_begin_queued before insert on jobs
when new.status <> 'queued'
begin
  select raise(abort, 'a job begins queued');
end;

-- The transition table of jobs/lifecycle.ts; the checks above keep each state whole.
create trigger jobs_transitions before update of status, phase, outcome on jobs
when (old.status, old.phase, old.outcome) is not (new.status, new.phase, new.outcome)
begin
  select raise(abort, 'a job does not change like this')
  where not (
    case old.status
      when 'queued' then
        (new.status = 'provisioning' and new.phase = 'media')
        or (new.status = 'complete' and new.outcome in ('failed', 'canceled'))
      when 'provisioning' then
        (new.status = 'provisioning'
          and (select position from phases where name = new.phase)
            > (select position from phases where name = old.phase))
        or (new.status in ('succeeded', 'failed') and new.phase = 'reported')
      when 'complete' then false
      else
        new.outcome = old.outcome
        and ((new.status = old.status and old.phase = 'reported' and new.phase = 'cleanup')
          or new.status = 'complete')
    end
  ) is true;
end;

create trigger jobs_keep_while_active before delete on jobs
when old.status <> 'complete'
begin
  select raise(abort, 'a job that is not complete stays');
end;

create table job_events (
  job_id text not null references jobs (id) on delete cascade,
  seq integer not null check (seq > 0),
  time integer not null,
  level text not null check (level in ('info', 'warn', 'error')),
  message text not null,
  step text,
  primary key (job_id, seq)
) strict, without rowid;

create trigger job_events_append_only before update on job_events
begin
  select raise(abort, 'history does not change');
end;

-- Ids of reports that were delivered.
create table deliveries (
  job_id text not null references jobs (id) on delete cascade,
  delivery_id text not null,
  received_at integer not null,
  primary key (job_id, delivery_id)
) strict, without rowid;

create table media (
  token_hash blob primary key,
  token_sealed blob not null,
  job_id text not null references jobs (id) on delete cascade,
  kind text not null check (kind in ('boot', 'task', 'combined')),
  created_at integer not null,
  expires_at integer not null,
  revoked_at integer,
  gets integer not null default 0,
  first_get_at integer,
  last_get_at integer
) strict;
create index media_by_job on media (job_id);
