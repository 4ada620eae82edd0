// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Database } from "bun:sqlite";
import type { Digest } from "../digest.ts";
import { noteUntagged } from "./removals.ts";
import { touch } from "./repositories.ts";

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

/** The order of {@link tagQueries}' lists: case-insensitive, as the spec asks, and settled where that is not enough. */
export function compareTags(a: string, b: string): number {
  const [x, y] = [a.toLowerCase(), b.toLowerCase()];
  if (x !== y) return x < y ? -1 : 1;
  return a < b ? -1 : Number(a > b);
}

export function tagQueries(db: Database) {
  return {
    tagged: (repository: string, tag: string): Digest | undefined =>
      db
        .query<{ digest: Digest }, [string, string]>(
          "select digest from tags where repository = ? and tag = ?",
        )
        .get(repository, tag)?.digest,
    /** The tags of which this content is a part: they name it, or what is made of it. */
    tagsAbove: (repository: string, digest: Digest): string[] =>
      db
        .query<{ tag: string }, { repository: string; digest: string }>(
          `with recursive above (digest) as (
             select $digest
              union
             select p.digest from manifest_parts p join above a on p.part = a.digest
              where p.repository = $repository
           )
           select tag from tags t join above a on t.digest = a.digest
            where t.repository = $repository`,
        )
        .all({ repository, digest })
        .map((row) => row.tag),
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
    removeTag: (repository: string, tag: string, now: number): boolean =>
      db
        .transaction(() => {
          const row = db
            .query<{ digest: Digest }, [string, string]>(
              "delete from tags where repository = ? and tag = ? returning digest",
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
