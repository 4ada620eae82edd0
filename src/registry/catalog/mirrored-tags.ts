// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Database } from "bun:sqlite";
import type { Digest } from "../digest.ts";
import { noteUntagged } from "./removals.ts";
import { touch } from "./repositories.ts";

interface TagOrigin {
  readonly digest: Digest;
  readonly isMirrored: boolean;
}

function originOf(db: Database, repository: string, tag: string): TagOrigin | null {
  const row = db
    .query<{ digest: Digest; mirrored: number }, [string, string]>(
      "select digest, mirrored from tags where repository = ? and tag = ?",
    )
    .get(repository, tag);
  return row && { digest: row.digest, isMirrored: row.mirrored === 1 };
}

/** Tags whose manifest upstream decides. A push of such a tag makes it ours: it is written anew then. */
export function mirroredTagQueries(db: Database) {
  return {
    /** What a tag names, and whether upstream decides that. */
    tagOrigin: (repository: string, tag: string): TagOrigin | null => originOf(db, repository, tag),
    mirroredTags: (repository: string): string[] =>
      db
        .query<{ tag: string }, [string]>(
          "select tag from tags where repository = ? and mirrored = 1",
        )
        .all(repository)
        .map((row) => row.tag),
    /** Points a tag to what upstream says. One that was pushed here stays as it is. */
    setMirroredTag: (repository: string, tag: string, digest: Digest, now: number): void => {
      db.transaction(() => {
        const before = originOf(db, repository, tag);
        const { changes } = db
          .query(
            `insert into tags (repository, tag, digest, updated_at, mirrored)
             values ($repository, $tag, $digest, $now, 1)
             on conflict (repository, tag) do update set digest = $digest, updated_at = $now
              where mirrored = 1`,
          )
          .run({ repository, tag, digest, now });
        if (changes === 0) return;
        if (before !== null && before.digest !== digest) {
          noteUntagged(db, repository, before.digest, now);
        }
        touch(db, repository);
      }).immediate();
    },
    /** @returns false when there is no such tag that upstream decides. */
    removeMirroredTag: (repository: string, tag: string, now: number): boolean =>
      db
        .transaction(() => {
          const row = db
            .query<{ digest: Digest }, [string, string]>(
              "delete from tags where repository = ? and tag = ? and mirrored = 1 returning digest",
            )
            .get(repository, tag);
          if (row === null) return false;
          noteUntagged(db, repository, row.digest, now);
          touch(db, repository);
          return true;
        })
        .immediate(),
  };
}
