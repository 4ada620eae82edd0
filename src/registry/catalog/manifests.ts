// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Database } from "bun:sqlite";
import type { Digest } from "../digest.ts";
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
