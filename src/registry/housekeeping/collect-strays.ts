// SPDX-License-Identifier: AGPL-3.0-or-later

import { join } from "node:path";
import { isRepository } from "../reference.ts";
import { removeFile } from "../storage/durable.ts";
import { repositoryAt, repositoryPath } from "../storage/layout.ts";
import {
  directoriesBelow,
  forgottenFiles,
  type StrayBlob,
  strayBlobs,
  unusedContent,
} from "../storage/strays.ts";
import type { Run } from "./collect.ts";
import { batches, lockKey, runLocked } from "./locked.ts";

const BATCH = 64;
/** A file that is being made is touched more often than this, however slow the disk. */
const STILL_AT_WORK_MS = 3600 * 1000;

/** Files that a crash, or a failure on the way, has left. */
export async function collectStrays(run: Run): Promise<void> {
  const { root, layouts, catalog } = run.deps;
  for await (const directory of directoriesBelow(repositoryPath(root, ""))) {
    await run.pace();
    const repository = repositoryAt(directory);
    if (!isRepository(repository)) continue;
    await collectStrayBlobs(run, repository);
    if (!run.dryRun && !catalog.hasRepository(repository)) await layouts.remove(repository);
  }
  await collectUnused(run);
  await collectForgotten(run);
}

async function collectStrayBlobs(run: Run, repository: string): Promise<void> {
  const { root, catalog } = run.deps;
  const found: StrayBlob[] = [];
  for await (const stray of strayBlobs(root, repository, catalog, run.freshAfter)) {
    await run.pace();
    if (stray !== undefined) found.push(stray);
  }
  for (const batch of batches(found, BATCH)) {
    await run.pace();
    const gone = run.dryRun ? batch : await removeStrayBlobs(run, repository, batch);
    for (const { digest, size } of gone) {
      run.tally.add({ phase: "strays", repository, name: digest, bytes: size });
    }
  }
}

async function removeStrayBlobs(
  { deps }: Run,
  repository: string,
  batch: readonly StrayBlob[],
): Promise<readonly StrayBlob[]> {
  const { catalog, storage, locks } = deps;
  const keys = batch.map(({ digest }) => lockKey(repository, digest));
  return await runLocked(locks, keys, async () => {
    // Whoever was about to list it held the lock.
    const unlisted = batch.filter(({ digest }) => !catalog.isListed(repository, digest));
    await storage.deleteAll(
      repository,
      unlisted.map(({ digest }) => digest),
    );
    return unlisted;
  });
}

async function collectUnused(run: Run): Promise<void> {
  const { root, storage } = run.deps;
  for await (const found of unusedContent(root, run.freshAfter)) {
    await run.pace();
    if (found === undefined) continue;
    const { digest, size } = found;
    if (run.dryRun || (await storage.discard(digest, run.freshAfter))) {
      run.tally.add({ phase: "strays", repository: "", name: digest, bytes: size });
    }
  }
}

async function collectForgotten(run: Run): Promise<void> {
  const { root, catalog, storage } = run.deps;
  const isUpload = (id: string) => storage.isBegun(id) || catalog.upload(id) !== undefined;
  const before = Math.min(run.freshAfter, run.startedAt - STILL_AT_WORK_MS);
  for await (const found of forgottenFiles(root, isUpload, before)) {
    await run.pace();
    if (found === undefined) continue;
    const { path, size } = found;
    if (run.dryRun || (await removeFile(join(root, path)))) {
      run.tally.add({ phase: "strays", repository: "", name: path, bytes: size });
    }
  }
}
