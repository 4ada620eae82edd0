// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Database } from "bun:sqlite";
import type { Digest } from "../digest.ts";
import { touch } from "./repositories.ts";

/** Sightings closer together than this count as one: every HEAD would else be a write. */
const SIGHT_EVERY_MS = 10 * 60 * 1000;

export function sightQueries(db: Database) {
  return {
    /** Somebody asks whether it is here, and may be about to push what refers to it. */
    sightBlob: (repository: string, digest: Digest, now: number): void => {
      db.query(
        "update blobs set seen_at = $now where repository = $repository and digest = $digest and seen_at < $before",
      ).run({ repository, digest, now, before: now - SIGHT_EVERY_MS });
    },
    /** The same of a manifest, which is left out of a push with all that it names. */
    sightManifest: (repository: string, digest: Digest, now: number): void => {
      db.query(
        "update manifests set pushed_at = $now where repository = $repository and digest = $digest and pushed_at < $before",
      ).run({ repository, digest, now, before: now - SIGHT_EVERY_MS });
    },
  };
}

export function blobQueries(db: Database) {
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
    addBlob: (repository: string, digest: Digest, size: number, now: number): void => {
      db.transaction(() => {
        touch(db, repository);
        db.query(
          "insert or replace into blobs (repository, digest, size, seen_at) values (?, ?, ?, ?)",
        ).run(repository, digest, size, now);
      }).immediate();
    },
    removeBlob: (repository: string, digest: Digest): boolean =>
      db.query("delete from blobs where repository = ? and digest = ?").run(repository, digest)
        .changes > 0,
  };
}
