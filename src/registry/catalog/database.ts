// SPDX-License-Identifier: AGPL-3.0-or-later
import { Database } from "bun:sqlite";
import { ProvError } from "../../base/errors.ts";

export const VERSION = 1;

/** Begins anew where filling it was cut short. */
const SCHEMA = `
drop table if exists repositories;
drop table if exists blobs;
drop table if exists manifests;
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
  primary key (repository, digest)
) strict, without rowid;
create index manifests_by_subject on manifests (repository, subject) where subject is not null;
create table tags (
  repository text not null,
  tag text not null,
  digest text not null,
  updated_at integer not null,
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

export function open(path: string, synchronous: "full" | "normal"): Database {
  const db = new Database(path, { create: true, strict: true });
  db.run("pragma busy_timeout = 5000");
  db.run("pragma journal_mode = wal");
  db.run(`pragma synchronous = ${synchronous}`);
  return db;
}

/** @returns true when the catalog must be filled. */
export function migrate(db: Database, path: string): boolean {
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
  if (found === VERSION) return false;
  db.transaction(() => db.run(SCHEMA)).immediate();
  return true;
}
