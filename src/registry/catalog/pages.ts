// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * What the housekeeping asks. It reads in pages, because nobody else is served while SQLite answers.
 */
import type { Database } from "bun:sqlite";
import type { Digest } from "../digest.ts";

/** A manifest as far as it matters what keeps it. Times are Unix epoch, ms. */
export interface ManifestLinks {
  readonly digest: Digest;
  readonly size: number;
  readonly subject: Digest | null;
  readonly pushedAt: number;
}

export interface TagLink {
  readonly tag: string;
  readonly digest: Digest;
  readonly updatedAt: number;
}

export interface BlobLink {
  readonly digest: Digest;
  readonly size: number;
  readonly seenAt: number;
}

export interface CatalogCounts {
  readonly repositories: number;
  readonly blobs: number;
  readonly manifests: number;
  readonly tags: number;
  readonly uploads: number;
}

function count(db: Database, table: keyof CatalogCounts): number {
  return db.query<{ n: number }, []>(`select count(*) as n from ${table}`).get()?.n ?? 0;
}

export function pageQueries(db: Database) {
  return {
    /** In the order of digests; the first page is after `""`. */
    manifestPage: (repository: string, after: string, limit: number): ManifestLinks[] =>
      db
        .query<ManifestLinks, [string, string, number]>(
          `select digest, size, subject, pushed_at as pushedAt from manifests
            where repository = ? and digest > ? order by digest limit ?`,
        )
        .all(repository, after, limit),
    tagLinks: (repository: string, after: string, limit: number): TagLink[] =>
      db
        .query<TagLink, [string, string, number]>(
          `select tag, digest, updated_at as updatedAt from tags
            where repository = ? and tag > ? order by tag limit ?`,
        )
        .all(repository, after, limit),
    blobPage: (repository: string, after: string, limit: number): BlobLink[] =>
      db
        .query<BlobLink, [string, string, number]>(
          `select digest, size, seen_at as seenAt from blobs
            where repository = ? and digest > ? order by digest limit ?`,
        )
        .all(repository, after, limit),
    /** Manifests of the repository that this one names. */
    children: (repository: string, digest: Digest): Digest[] =>
      db
        .query<{ part: Digest }, [string, string]>(
          `select part from manifest_parts p
            where repository = ? and digest = ? and exists
              (select 1 from manifests m where m.repository = p.repository and m.digest = p.part)`,
        )
        .all(repository, digest)
        .map((row) => row.part),
    /** Manifests that name this content. */
    namers: (repository: string, part: Digest): Digest[] =>
      db
        .query<{ digest: Digest }, [string, string]>(
          "select digest from manifest_parts where repository = ? and part = ?",
        )
        .all(repository, part)
        .map((row) => row.digest),
  };
}

export function contentQueries(db: Database) {
  return {
    /** Digests of everything that some repository should have, each once and in order. */
    contentPage: (after: string, limit: number): Digest[] =>
      db
        .query<{ digest: Digest }, [string, string, number]>(
          `select digest from blobs where digest > ?
            union select digest from manifests where digest > ? order by digest limit ?`,
        )
        .all(after, after, limit)
        .map((row) => row.digest),
    counts: (): CatalogCounts => ({
      repositories: count(db, "repositories"),
      blobs: count(db, "blobs"),
      manifests: count(db, "manifests"),
      tags: count(db, "tags"),
      uploads: count(db, "uploads"),
    }),
    tagCounts: (): { repository: string; tags: number }[] =>
      db
        .query<{ repository: string; tags: number }, []>(
          "select repository, count(*) as tags from tags group by repository",
        )
        .all(),
    /** Where a content should be, and how long it is. */
    placesOf: (digest: Digest): { repository: string; size: number; isManifest: boolean }[] =>
      db
        .query<{ repository: string; size: number; kind: number }, [string, string]>(
          `select repository, size, max(kind) as kind from (
             select repository, size, 0 as kind from blobs where digest = ?
             union all select repository, size, 1 as kind from manifests where digest = ?)
            group by repository order by repository`,
        )
        .all(digest, digest)
        .map(({ repository, size, kind }) => ({ repository, size, isManifest: kind === 1 })),
    isListed: (repository: string, digest: Digest): boolean =>
      db
        .query<unknown, [string, string, string, string]>(
          `select 1 where exists (select 1 from blobs where repository = ? and digest = ?)
                       or exists (select 1 from manifests where repository = ? and digest = ?)`,
        )
        .get(repository, digest, repository, digest) !== null,
  };
}
