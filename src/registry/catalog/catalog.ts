// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * The catalog: which repository has which blobs, manifests and tags, and which uploads are open.
 * It is what requests are answered from. The layouts on disk are the content; the catalog can be
 * made again from them.
 */
import { syncPath } from "../storage/durable.ts";
import { blobQueries, sightQueries } from "./blobs.ts";
import { migrate, open, VERSION } from "./database.ts";
import { manifestQueries } from "./manifests.ts";
import { mirroredTagQueries } from "./mirrored-tags.ts";
import { contentQueries, pageQueries } from "./pages.ts";
import { removalQueries } from "./removals.ts";
import { repositoryQueries } from "./repositories.ts";
import { tagQueries } from "./tags.ts";
import { uploadQueries } from "./uploads.ts";
import { usageQueries } from "./usage.ts";

export type Catalog = ReturnType<typeof openCatalog>;

/** @throws {ProvError} `STORE_TOO_NEW` when a newer prov has written the file. */
export function openCatalog(path: string) {
  // What a 201 has acknowledged is on the disk.
  const db = open(path, "full");
  const missing = migrate(db, path);
  // An upload that a power cut makes unknown is begun again: no reason to make everybody wait for
  // the disk at each of its steps.
  const relaxed = open(path, "normal");
  return {
    /** Until {@link setFilled}: what of the layouts on disk is not in it yet. */
    missing,
    setFilled: (): void => {
      db.run(`pragma user_version = ${VERSION}`);
    },
    ...repositoryQueries(db),
    ...blobQueries(db),
    ...manifestQueries(db),
    ...tagQueries(db),
    ...usageQueries(db),
    ...mirroredTagQueries(db),
    ...pageQueries(db),
    ...contentQueries(db),
    ...removalQueries(db),
    ...uploadQueries(relaxed),
    ...sightQueries(relaxed),
    /** Resolves when everything that was written before survives a power cut. */
    sync: () => syncPath(`${path}-wal`),
    close: () => {
      relaxed.close();
      db.close();
    },
  };
}
