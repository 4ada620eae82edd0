// SPDX-License-Identifier: AGPL-3.0-or-later
import { Database } from "bun:sqlite";
import { ProvError } from "../../base/errors.ts";

export const VERSION = 2;

/** What a manifest names: its config and layers, or an index's manifests. */
const MANIFEST_PARTS = `
create table manifest_parts (
  repository text not null,
  digest text not null,
  part text not null,
  primary key (repository, digest, part)
) strict, without rowid;
create index manifest_parts_by_part on manifest_parts (repository, part);
`;

/** Begins anew where filling it was cut short. */
const SCHEMA = `
drop table if exists repositories;
drop table if exists blobs;
drop table if exists manifests;
drop table if exists manifest_parts;
drop table if exists tags;
drop table if exists uploads;
create table repositories (
  name text primary key,
  -- changes that index.json does not say yet
  stale integer not null
) strict;
create table blobs (
  repository text not null,
  digest text not null,
  size integer not null,
  -- when it was last pushed, mounted or asked for by one who may be about to push
  seen_at integer not null,
  primary key (repository, digest)
) strict, without rowid;
create index blobs_by_digest on blobs (digest);
create table manifests (
  repository text not null,
  digest text not null,
  media_type text not null,
  size integer not null,
  subject text,
  artifact_type text,
  annotations text not null,
  -- bytes of config and layers
  content_size integer not null,
  -- when it was last pushed, lost a tag, or was asked for by one who may be about to push
  pushed_at integer not null,
  primary key (repository, digest)
) strict, without rowid;
create index manifests_by_subject on manifests (repository, subject) where subject is not null;
${MANIFEST_PARTS}create table tags (
  repository text not null,
  tag text not null,
  digest text not null,
  updated_at integer not null,
  -- 1: upstream says what it names; 0: it was pushed here
  mirrored integer not null default 0,
  primary key (repository, tag)
) strict, without rowid;
create index tags_by_digest on tags (repository, digest);
create table uploads (
  id text primary key,
  repository text not null,
  algorithm text not null,
  -- bytes that are known to be on the disk
  received integer not null,
  updated_at integer not null
) strict;
`;

/** Those that came later, and change nothing for an older prov. */
const INDEXES = `
create index if not exists manifests_by_digest on manifests (digest);
`;

/** From version 1, which did not know what its manifests are made of, nor since when. */
const SINCE_1 = `
alter table blobs add column seen_at integer not null default 0;
alter table manifests add column pushed_at integer not null default 0;
${MANIFEST_PARTS}`;

/** An older prov does without it, and is right with its default: no reason for a new version. */
const MIRRORED = "alter table tags add column mirrored integer not null default 0";

/** What must be read from the layouts on disk before the catalog can be used. */
export type Missing = "everything" | "parts" | "nothing";

export function open(path: string, synchronous: "full" | "normal"): Database {
  const db = new Database(path, { create: true, strict: true });
  db.run("pragma busy_timeout = 5000");
  db.run("pragma journal_mode = wal");
  db.run(`pragma synchronous = ${synchronous}`);
  return db;
}

/** @throws {ProvError} `STORE_TOO_NEW` */
export function migrate(db: Database, path: string): Missing {
  const row = db.query<{ user_version: number }, []>("pragma user_version").get();
  const found = row?.user_version ?? 0;
  if (found > VERSION) {
    db.close();
    throw new ProvError(
      `Cannot open ${path}: it has version ${found}, this prov knows ${VERSION}`,
      {
        code: "STORE_TOO_NEW",
        hint: "Run the prov that wrote it, or a newer one.",
      },
    );
  }
  if (found > 0 && !hasColumn(db, "tags", "mirrored")) db.run(MIRRORED);
  if (found === VERSION) {
    db.run(INDEXES);
    return "nothing";
  }
  if (found === 1) {
    if (!hasColumn(db, "blobs", "seen_at")) db.transaction(() => db.run(SINCE_1)).immediate();
    db.run(INDEXES);
    return "parts";
  }
  db.transaction(() => db.run(SCHEMA + INDEXES)).immediate();
  return "everything";
}

/** A migration that was cut short before its parts were filled in is there already. */
function hasColumn(db: Database, table: string, column: string): boolean {
  return db.query("select 1 from pragma_table_info(?) where name = ?").get(table, column) !== null;
}
