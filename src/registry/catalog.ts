// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * The catalog: which repository has which blobs, manifests and tags, and which uploads are open.
 * It is what requests are answered from. The layouts on disk are the content; the catalog can be
 * made again from them.
 */
import { Database } from "bun:sqlite";
import { ProvError } from "../base/errors.ts";
import { ALGORITHMS, type Algorithm, type Digest } from "./digest.ts";

const VERSION = 1;

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

export interface ManifestRow {
  readonly digest: Digest;
  readonly mediaType: string;
  readonly size: number;
  readonly subject: Digest | null;
  readonly artifactType: string | null;
  readonly annotations: Readonly<Record<string, string>>;
  /** Bytes of its config and layers; 0 for an index. */
  readonly contentSize: number;
}

export interface TagRow {
  readonly tag: string;
  readonly digest: Digest;
  readonly mediaType: string;
  readonly artifactType: string | null;
  /** Bytes of its config and layers; 0 for an index. */
  readonly size: number;
  /** When the tag was last set; Unix epoch, ms. */
  readonly updatedAt: number;
}

export interface UploadRow {
  readonly id: string;
  readonly repository: string;
  readonly algorithm: Algorithm;
  readonly received: number;
  readonly updatedAt: number;
}

export type Catalog = ReturnType<typeof openCatalog>;

/** @throws {ProvError} `STORE_TOO_NEW` when a newer prov has written the file. */
export function openCatalog(path: string) {
  // What a 201 has acknowledged is on the disk.
  const db = open(path, "full");
  const isNew = migrate(db, path);
  // An upload that a power cut makes unknown is begun again: no reason to make everybody wait for
  // the disk at each of its steps.
  const relaxed = open(path, "normal");
  return {
    /** True until {@link setFilled}: what is on disk is not in it yet. */
    isNew,
    setFilled: (): void => {
      db.run(`pragma user_version = ${VERSION}`);
    },
    ...repositoryQueries(db),
    ...blobQueries(db),
    ...manifestQueries(db),
    ...tagQueries(db),
    ...uploadQueries(relaxed),
    close: () => {
      relaxed.close();
      db.close();
    },
  };
}

function open(path: string, synchronous: "full" | "normal"): Database {
  const db = new Database(path, { create: true, strict: true });
  db.run("pragma busy_timeout = 5000");
  db.run("pragma journal_mode = wal");
  db.run(`pragma synchronous = ${synchronous}`);
  return db;
}

/** @returns true when the catalog must be filled. */
function migrate(db: Database, path: string): boolean {
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

function touch(db: Database, repository: string): void {
  db.query(
    "insert into repositories (name, stale) values (?, 1) on conflict (name) do update set stale = stale + 1",
  ).run(repository);
}

function repositoryQueries(db: Database) {
  return {
    hasRepository: (name: string): boolean =>
      db.query("select 1 from repositories where name = ?").get(name) !== null,
    repositories: (): string[] =>
      db
        .query<{ name: string }, []>("select name from repositories order by name")
        .all()
        .map((row) => row.name),
    staleRepositories: (): { name: string; stale: number }[] =>
      db
        .query<{ name: string; stale: number }, []>(
          "select name, stale from repositories where stale > 0",
        )
        .all(),
    /** index.json says what the catalog said at `stale`; changes since then still count. */
    markWritten: (name: string, stale: number): void => {
      db.query("update repositories set stale = 0 where name = ? and stale = ?").run(name, stale);
    },
  };
}

function blobQueries(db: Database) {
  return {
    blobSize: (repository: string, digest: Digest): number | undefined =>
      db
        .query<{ size: number }, [string, string]>(
          "select size from blobs where repository = ? and digest = ?",
        )
        .get(repository, digest)?.size,
    /** Repositories that have this blob. */
    holders: (digest: Digest): string[] =>
      db
        .query<{ repository: string }, [string]>("select repository from blobs where digest = ?")
        .all(digest)
        .map((row) => row.repository),
    addBlob: (repository: string, digest: Digest, size: number): void => {
      db.transaction(() => {
        touch(db, repository);
        db.query("insert or replace into blobs (repository, digest, size) values (?, ?, ?)").run(
          repository,
          digest,
          size,
        );
      }).immediate();
    },
    removeBlob: (repository: string, digest: Digest): boolean =>
      db.query("delete from blobs where repository = ? and digest = ?").run(repository, digest)
        .changes > 0,
  };
}

interface RawManifest {
  readonly digest: Digest;
  readonly media_type: string;
  readonly size: number;
  readonly subject: Digest | null;
  readonly artifact_type: string | null;
  readonly annotations: string;
  readonly content_size: number;
}

const MANIFEST_COLUMNS =
  "digest, media_type, size, subject, artifact_type, annotations, content_size";

function manifestFromRow(row: RawManifest): ManifestRow {
  return {
    digest: row.digest,
    mediaType: row.media_type,
    size: row.size,
    subject: row.subject,
    artifactType: row.artifact_type,
    annotations: JSON.parse(row.annotations),
    contentSize: row.content_size,
  };
}

function manifestQueries(db: Database) {
  return {
    manifest: (repository: string, digest: Digest): ManifestRow | undefined => {
      const row = db
        .query<RawManifest, [string, string]>(
          `select ${MANIFEST_COLUMNS} from manifests where repository = ? and digest = ?`,
        )
        .get(repository, digest);
      return row === null ? undefined : manifestFromRow(row);
    },
    manifests: (repository: string): ManifestRow[] =>
      db
        .query<RawManifest, [string]>(
          `select ${MANIFEST_COLUMNS} from manifests where repository = ?`,
        )
        .all(repository)
        .map(manifestFromRow),
    referrers: (repository: string, subject: Digest): ManifestRow[] =>
      db
        .query<RawManifest, [string, string]>(
          `select ${MANIFEST_COLUMNS} from manifests where repository = ? and subject = ?`,
        )
        .all(repository, subject)
        .map(manifestFromRow),
    /** Writes the manifest and its tags together. */
    putManifest: (
      repository: string,
      row: ManifestRow,
      tags: readonly string[],
      now: number,
    ): void => {
      db.transaction(() => {
        touch(db, repository);
        db.query(
          `insert or replace into manifests (repository, ${MANIFEST_COLUMNS}) values (?, ?, ?, ?, ?, ?, ?, ?)`,
        ).run(
          repository,
          row.digest,
          row.mediaType,
          row.size,
          row.subject,
          row.artifactType,
          JSON.stringify(row.annotations),
          row.contentSize,
        );
        for (const tag of tags) {
          db.query(
            "insert or replace into tags (repository, tag, digest, updated_at) values (?, ?, ?, ?)",
          ).run(repository, tag, row.digest, now);
        }
      }).immediate();
    },
    /** Removes the manifest and every tag of it. */
    removeManifest: (repository: string, digest: Digest): boolean =>
      db
        .transaction(() => {
          db.query("delete from tags where repository = ? and digest = ?").run(repository, digest);
          const { changes } = db
            .query("delete from manifests where repository = ? and digest = ?")
            .run(repository, digest);
          touch(db, repository);
          return changes > 0;
        })
        .immediate(),
  };
}

function tagQueries(db: Database) {
  return {
    tagged: (repository: string, tag: string): Digest | undefined =>
      db
        .query<{ digest: Digest }, [string, string]>(
          "select digest from tags where repository = ? and tag = ?",
        )
        .get(repository, tag)?.digest,
    /** All tags with the manifests they name. */
    tagRows: (repository: string): TagRow[] =>
      db
        .query<TagRow, [string]>(
          `select tag, t.digest as digest, media_type as mediaType, artifact_type as artifactType,
                  content_size as size, updated_at as updatedAt
             from tags t join manifests m on m.repository = t.repository and m.digest = t.digest
            where t.repository = ?
            order by tag collate nocase, tag`,
        )
        .all(repository),
    /** At most `limit` tags after `last`, in the case-insensitive order that the spec asks for. */
    tagPage: (repository: string, last: string, limit: number): string[] =>
      db
        .query<{ tag: string }, [string, string, string, string, number]>(
          `select tag from tags
            where repository = ?
              and (tag collate nocase > ? or (tag = ? collate nocase and tag > ?))
            order by tag collate nocase, tag
            limit ?`,
        )
        .all(repository, last, last, last, limit)
        .map((row) => row.tag),
    removeTag: (repository: string, tag: string): boolean =>
      db
        .transaction(() => {
          const { changes } = db
            .query("delete from tags where repository = ? and tag = ?")
            .run(repository, tag);
          if (changes > 0) touch(db, repository);
          return changes > 0;
        })
        .immediate(),
  };
}

interface RawUpload {
  readonly id: string;
  readonly repository: string;
  readonly algorithm: string;
  readonly received: number;
  readonly updated_at: number;
}

function uploadFromRow(row: RawUpload): UploadRow {
  return {
    id: row.id,
    repository: row.repository,
    algorithm: ALGORITHMS.find((a) => a === row.algorithm) ?? "sha256",
    received: row.received,
    updatedAt: row.updated_at,
  };
}

function uploadQueries(db: Database) {
  return {
    upload: (id: string): UploadRow | undefined => {
      const row = db.query<RawUpload, [string]>("select * from uploads where id = ?").get(id);
      return row === null ? undefined : uploadFromRow(row);
    },
    uploads: (): UploadRow[] =>
      db.query<RawUpload, []>("select * from uploads").all().map(uploadFromRow),
    addUpload: (row: UploadRow): void => {
      db.query(
        "insert into uploads (id, repository, algorithm, received, updated_at) values (?, ?, ?, ?, ?)",
      ).run(row.id, row.repository, row.algorithm, row.received, row.updatedAt);
    },
    setReceived: (id: string, received: number, now: number): void => {
      db.query("update uploads set received = ?, updated_at = ? where id = ?").run(
        received,
        now,
        id,
      );
    },
    removeUpload: (id: string): boolean =>
      db.query("delete from uploads where id = ?").run(id).changes > 0,
  };
}
