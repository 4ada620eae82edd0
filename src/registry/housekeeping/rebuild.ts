// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * Makes the catalog again from what lies on the disk, while no registry runs on it: after `index.db`
 * was damaged, or after a directory was restored that does not fit to it.
 */
import { open as openFile, rename, stat } from "node:fs/promises";
import type { Clock } from "../../base/deps.ts";
import { type Catalog, openCatalog } from "../catalog/catalog.ts";
import { open } from "../catalog/database.ts";
import type { CatalogCounts } from "../catalog/pages.ts";
import type { UploadRow } from "../catalog/uploads.ts";
import { errnoOf, syncPath } from "../storage/durable.ts";
import { catalogPath, rootLockPath } from "../storage/layout.ts";
import { writeLayout } from "../storage/layout-writer.ts";
import { rebuildCatalog } from "../storage/rebuild.ts";
import { lockRoot } from "../storage/root-lock.ts";

export interface RebuildReport extends CatalogCounts {
  /** Where the old catalog lies now; null: there was none. */
  readonly before: string | null;
  /** For people, one sentence each. */
  readonly problems: readonly string[];
}

/** @throws {ProvError} `CONFLICT` when a registry runs on this root; `STORE_TOO_NEW` */
export async function rebuildRegistry(root: string, now: Clock): Promise<RebuildReport> {
  const lock = await lockRoot(root);
  try {
    const path = catalogPath(root);
    const old = await leaveOld(root, path);
    const before = await putAside(path, now());
    // SQLite's other files belong to whom this one belongs.
    for (const each of [path, rootLockPath(root)]) await makeOwned(each, root);
    const catalog = openCatalog(path);
    try {
      const { problems } = await rebuildCatalog(root, catalog, now());
      for (const upload of old.uploads) catalog.addUpload(upload);
      catalog.setFilled();
      return { ...catalog.counts(), before, problems: [...old.problems, ...problems] };
    } finally {
      catalog.close();
    }
  } finally {
    lock.release();
  }
}

/** Root may have been asked to do this: the registry's own user must be able to go on with the file. */
async function makeOwned(path: string, root: string): Promise<void> {
  await using file = await openFile(path, "a");
  const [wanted, found] = [await stat(root), await file.stat()];
  if (wanted.uid === found.uid && wanted.gid === found.gid) return;
  try {
    await file.chown(wanted.uid, wanted.gid);
  } catch (error) {
    // Only root can give it away.
    if (errnoOf(error) !== "EPERM") throw error;
  }
}

interface Old {
  readonly uploads: readonly UploadRow[];
  readonly problems: readonly string[];
}

/** What only the old catalog knows: changes that no `index.json` says yet, and open uploads. */
async function leaveOld(root: string, path: string): Promise<Old> {
  if (!(await Bun.file(path).exists())) return { uploads: [], problems: [] };
  if (!isReadable(path)) {
    const problem =
      "the old index.db cannot be read: changes of its last second and open uploads are lost";
    return { uploads: [], problems: [problem] };
  }
  const catalog = openCatalog(path);
  try {
    await writeStale(root, catalog);
    return { uploads: catalog.uploads(), problems: [] };
  } finally {
    catalog.close();
  }
}

async function writeStale(root: string, catalog: Catalog): Promise<void> {
  for (const { name, stale } of catalog.staleRepositories()) {
    await writeLayout(root, name, catalog);
    catalog.markWritten(name, stale);
  }
}

/** Whole, and filled to its end. What a damaged one says must not be written over a good index.json. */
function isReadable(path: string): boolean {
  try {
    const db = open(path, "normal");
    try {
      const version = db.query<{ user_version: number }, []>("pragma user_version").get();
      const check = db.query<{ integrity_check: string }, []>("pragma integrity_check(1)").get();
      return (version?.user_version ?? 0) > 0 && check?.integrity_check === "ok";
    } finally {
      db.close();
    }
  } catch {
    return false;
  }
}

/** With its journal: together they are what was there. */
async function putAside(path: string, now: number): Promise<string | null> {
  const time = new Date(now).toISOString().replace(/[-:]|\.\d+/g, "");
  const aside = `${path}.before-rebuild-${time}`;
  let found: string | null = null;
  for (const end of ["-shm", "-wal", ""]) {
    try {
      await rename(`${path}${end}`, `${aside}${end}`);
      found = aside;
    } catch (error) {
      if (errnoOf(error) !== "ENOENT") throw error;
    }
  }
  await syncPath(path.slice(0, path.lastIndexOf("/")));
  return found;
}
