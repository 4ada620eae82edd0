// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Database } from "bun:sqlite";
import type { Digest } from "../digest.ts";
import { touch } from "./repositories.ts";

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
