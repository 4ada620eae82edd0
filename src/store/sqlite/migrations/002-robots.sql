-- SPDX-License-Identifier: AGPL-3.0-or-later

-- Accounts of programs that use the registry.
create table robots (
  name text primary key check (name <> ''),
  token_hash blob not null unique,
  grants text not null check (json_valid(grants)),
  created_at integer not null,
  -- when its token was made: tokens that were given out for an older one are void
  changed_at integer not null,
  -- null: never
  expires_at integer,
  last_used_at integer
) strict;
