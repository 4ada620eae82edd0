// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Database } from "bun:sqlite";
import type { Digest } from "../digest.ts";
import type { Manifest } from "../manifest.ts";
import { noteUntagged } from "./removals.ts";
import { touch } from "./repositories.ts";

export interface ManifestRow {
  readonly digest: Digest;
  readonly mediaType: string;
  readonly size: number;
  readonly subject: Digest | null;
  readonly artifactType: string | null;
  readonly annotations: Readonly<Record<string, string>>;
  /** Bytes of its config and layers; 0 for an index. */
  readonly contentSize: number;
  /** Unix epoch, ms. */
  readonly pushedAt: number;
}

/** A manifest as it is put into the catalog. */
export interface NewManifest {
  readonly row: ManifestRow;
  /** Everything it names, here or elsewhere: config and layers, or an index's manifests. */
  readonly parts: readonly Digest[];
  /** The blobs among them that must still be there when it is written. */
  readonly blobs: readonly Digest[];
  /** With the time at which each was set; Unix epoch, ms. */
  readonly tags: readonly { readonly tag: string; readonly updatedAt: number }[];
}

/** @param size in bytes. */
export function newManifest(
  manifest: Manifest,
  {
    digest,
    size,
    tags,
    blobs,
    now,
  }: Pick<ManifestRow, "digest" | "size"> & Pick<NewManifest, "tags" | "blobs"> & { now: number },
): NewManifest {
  const content = [...(manifest.config === undefined ? [] : [manifest.config]), ...manifest.layers];
  return {
    row: {
      digest,
      mediaType: manifest.mediaType,
      size,
      subject: manifest.subject?.digest ?? null,
      artifactType: manifest.artifactType ?? null,
      annotations: manifest.annotations,
      contentSize: content.reduce((sum, part) => sum + part.size, 0),
      pushedAt: now,
    },
    parts: [...content, ...manifest.manifests].map((part) => part.digest),
    blobs,
    tags,
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
  readonly pushed_at: number;
}

const MANIFEST_COLUMNS =
  "digest, media_type, size, subject, artifact_type, annotations, content_size, pushed_at";

function manifestFromRow(row: RawManifest): ManifestRow {
  return {
    digest: row.digest,
    mediaType: row.media_type,
    size: row.size,
    subject: row.subject,
    artifactType: row.artifact_type,
    annotations: JSON.parse(row.annotations),
    contentSize: row.content_size,
    pushedAt: row.pushed_at,
  };
}

function hasBlob(db: Database, repository: string, digest: Digest): boolean {
  return (
    db.query("select 1 from blobs where repository = ? and digest = ?").get(repository, digest) !==
    null
  );
}

function writeManifest(db: Database, repository: string, manifest: NewManifest): void {
  const { row, tags } = manifest;
  db.query(
    `insert or replace into manifests (repository, ${MANIFEST_COLUMNS}) values (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  ).run(
    repository,
    row.digest,
    row.mediaType,
    row.size,
    row.subject,
    row.artifactType,
    JSON.stringify(row.annotations),
    row.contentSize,
    row.pushedAt,
  );
  writeParts(db, repository, manifest);
  for (const { tag, updatedAt } of tags) {
    const before = digestOfTag(db, repository, tag);
    if (before !== undefined && before !== row.digest) {
      noteUntagged(db, repository, before, updatedAt);
    }
    db.query(
      "insert or replace into tags (repository, tag, digest, updated_at) values (?, ?, ?, ?)",
    ).run(repository, tag, row.digest, updatedAt);
  }
}

function digestOfTag(db: Database, repository: string, tag: string): Digest | undefined {
  return db
    .query<{ digest: Digest }, [string, string]>(
      "select digest from tags where repository = ? and tag = ?",
    )
    .get(repository, tag)?.digest;
}

function writeParts(db: Database, repository: string, { row, parts }: NewManifest): void {
  const insert = db.query(
    "insert or ignore into manifest_parts (repository, digest, part) values (?, ?, ?)",
  );
  for (const part of parts) insert.run(repository, row.digest, part);
}

export function manifestQueries(db: Database) {
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
    /**
     * Manifests with this subject whose digest comes after `last`, in the order of digests. Read as
     * they are asked for: their annotations may be more than fits into memory.
     */
    *referrers(repository: string, subject: Digest, last: string): Generator<ManifestRow> {
      const rows = db
        .query<RawManifest, [string, string, string]>(
          `select ${MANIFEST_COLUMNS} from manifests
            where repository = ? and subject = ? and digest > ? order by digest`,
        )
        .iterate(repository, subject, last);
      for (const row of rows) yield manifestFromRow(row);
    },
    /**
     * Writes the manifest and its tags together.
     * @returns the blobs that it needs and the repository does not have: nothing was written then.
     */
    putManifest: (repository: string, manifest: NewManifest): readonly Digest[] =>
      db
        .transaction(() => {
          const missing = manifest.blobs.filter((digest) => !hasBlob(db, repository, digest));
          if (missing.length > 0) return missing;
          touch(db, repository);
          writeManifest(db, repository, manifest);
          return [];
        })
        .immediate(),
    /** Fills in what an older version of the catalog did not know. */
    addParts: (repository: string, manifest: NewManifest): void => {
      db.transaction(() => writeParts(db, repository, manifest)).immediate();
    },
    /** Removes the manifest and every tag of it. */
    removeManifest: (repository: string, digest: Digest): boolean =>
      db
        .transaction(() => {
          for (const table of ["tags", "manifest_parts"]) {
            db.query(`delete from ${table} where repository = ? and digest = ?`).run(
              repository,
              digest,
            );
          }
          const { changes } = db
            .query("delete from manifests where repository = ? and digest = ?")
            .run(repository, digest);
          if (changes > 0) touch(db, repository);
          return changes > 0;
        })
        .immediate(),
  };
}
