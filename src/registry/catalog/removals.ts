// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * What the housekeeping removes. Each is looked at once more in the transaction that removes it: since
 * it was found, somebody may have come to need it.
 */
import type { Database } from "bun:sqlite";
import type { Digest } from "../digest.ts";
import type { TagLink } from "./pages.ts";
import { touch } from "./repositories.ts";

/** A manifest that nothing keeps, and what must still be so when it is removed. */
export interface Doomed {
  readonly digest: Digest;
  /** It was not pushed, untagged or asked for after this; Unix epoch, ms. */
  readonly before: number;
  /** Nothing that refers to it, by its subject or its tag, was pushed after this. */
  readonly referrersBefore: number;
  /** Tags that go with it: signatures under its digest's name. */
  readonly companions: readonly string[];
}

/** What is expired is gone for certain only after the catalog's `sync`: before a file is removed. */
export function removalQueries(db: Database) {
  return {
    /** @returns those that were still as they are given here, and are gone now. */
    expireTags: (repository: string, tags: readonly TagLink[], now: number): TagLink[] =>
      unsynced(db, () => expireTags(db, repository, tags, now)),
    /** Removes a manifest if still nothing keeps it. @returns whether it is gone. */
    expireManifest: (repository: string, doomed: Doomed): boolean =>
      unsynced(db, () => expireManifest(db, repository, doomed)),
    /** @returns those that nothing named and nobody had seen since `before`: they are gone now. */
    expireBlobs: (repository: string, digests: readonly Digest[], before: number): Digest[] =>
      unsynced(db, () => expireBlobs(db, repository, digests, before)),
    /** Forgets a repository that has nothing. */
    removeRepository: (name: string): boolean => removeRepository(db, name),
    /**
     * Forgets a content that is damaged, in one repository. What a damaged manifest named, and what
     * refers to it, counts as seen now, so that it is still there when the manifest is pushed again.
     * @returns the tags that are gone with it.
     */
    removeDamaged: (repository: string, digest: Digest, now: number): string[] =>
      db.transaction(() => removeDamaged(db, repository, digest, now)).immediate(),
  };
}

/** A transaction that does not wait for the disk, during which nobody would be served. */
function unsynced<T>(db: Database, work: () => T): T {
  db.run("pragma synchronous = normal");
  try {
    return db.transaction(work).immediate();
  } finally {
    db.run("pragma synchronous = full");
  }
}

function expireTags(
  db: Database,
  repository: string,
  tags: readonly TagLink[],
  now: number,
): TagLink[] {
  const remove = db.query(
    "delete from tags where repository = ? and tag = ? and digest = ? and updated_at = ?",
  );
  const gone = tags.filter(
    ({ tag, digest, updatedAt }) => remove.run(repository, tag, digest, updatedAt).changes > 0,
  );
  for (const { digest } of gone) noteUntagged(db, repository, digest, now);
  if (gone.length > 0) touch(db, repository);
  return gone;
}

/** Retention counts from when a manifest lost a tag: it may have been in use until then. */
export function noteUntagged(db: Database, repository: string, digest: Digest, now: number): void {
  db.query("update manifests set pushed_at = ? where repository = ? and digest = ?").run(
    now,
    repository,
    digest,
  );
}

function expireManifest(db: Database, repository: string, doomed: Doomed): boolean {
  if (isKept(db, repository, doomed)) return false;
  for (const tag of doomed.companions) {
    db.query("delete from tags where repository = ? and tag = ?").run(repository, tag);
  }
  for (const table of ["manifest_parts", "manifests"]) {
    db.query(`delete from ${table} where repository = ? and digest = ?`).run(
      repository,
      doomed.digest,
    );
  }
  touch(db, repository);
  return true;
}

function isKept(db: Database, repository: string, doomed: Doomed): boolean {
  const { digest, before, referrersBefore } = doomed;
  const row = db
    .query<{ subject: Digest | null; pushed_at: number }, [string, string]>(
      "select subject, pushed_at from manifests where repository = ? and digest = ?",
    )
    .get(repository, digest);
  if (row === null || row.pushed_at > before) return true;
  const kept = db
    .query(
      `select 1 where
         exists (select 1 from tags where repository = $repository and digest = $digest)
         or exists (select 1 from manifest_parts where repository = $repository and part = $digest)
         or exists (select 1 from manifests where repository = $repository and digest = $subject)
         or exists (select 1 from manifests where repository = $repository and subject = $digest
                    and pushed_at > $referrersBefore)
         or exists (select 1 from tags where repository = $repository
                    and tag >= $name and tag < $name || '/' and updated_at > $referrersBefore)`,
    )
    .get({
      ...{ repository, digest, subject: row.subject, referrersBefore },
      // With what may follow it: `.sig`, `.att`.
      name: digest.replace(":", "-"),
    });
  return kept !== null;
}

function expireBlobs(
  db: Database,
  repository: string,
  digests: readonly Digest[],
  before: number,
): Digest[] {
  const remove = db.query(
    `delete from blobs where repository = ? and digest = ? and seen_at <= ?
      and not exists (select 1 from manifest_parts p
        where p.repository = blobs.repository and p.part = blobs.digest)`,
  );
  return digests.filter((digest) => remove.run(repository, digest, before).changes > 0);
}

function removeRepository(db: Database, name: string): boolean {
  const tables = ["blobs", "manifests", "tags", "uploads"];
  const conditions = tables.map(
    (table) => `not exists (select 1 from ${table} where repository = $name)`,
  );
  const { changes } = db
    .query(`delete from repositories where name = $name and ${conditions.join(" and ")}`)
    .run({ name });
  return changes > 0;
}

function removeDamaged(db: Database, repository: string, digest: Digest, now: number): string[] {
  const where = { now, repository, digest };
  const parts =
    "select part from manifest_parts where repository = $repository and digest = $digest";
  db.query(
    `update blobs set seen_at = $now where repository = $repository and digest in (${parts})`,
  ).run(where);
  db.query(
    `update manifests set pushed_at = $now
      where repository = $repository and (digest in (${parts}) or subject = $digest)`,
  ).run(where);
  const tags = db
    .query<{ tag: string }, [string, string]>(
      "delete from tags where repository = ? and digest = ? returning tag",
    )
    .all(repository, digest);
  for (const table of ["manifest_parts", "manifests", "blobs"]) {
    db.query(`delete from ${table} where repository = ? and digest = ?`).run(repository, digest);
  }
  touch(db, repository);
  return tags.map(({ tag }) => tag);
}
