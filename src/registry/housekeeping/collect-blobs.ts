// SPDX-License-Identifier: AGPL-3.0-or-later

import type { BlobLink } from "../catalog/pages.ts";
import type { Digest } from "../digest.ts";
import type { Run } from "./collect.ts";
import { batches, lockKey, runLocked } from "./locked.ts";

const PAGE = 256;
const BATCH = 64;

/**
 * Blobs that no manifest of the repository names.
 * @param goneManifests do not count, also where a dry run has left them.
 * @returns how many are left.
 */
export async function collectBlobs(
  run: Run,
  repository: string,
  goneManifests: ReadonlySet<Digest>,
): Promise<number> {
  const { catalog } = run.deps;
  let left = 0;
  let after = "";
  for (;;) {
    const page = catalog.blobPage(repository, after, PAGE);
    const unused: BlobLink[] = [];
    for (const blob of page) {
      await run.pace();
      const isFresh = blob.seenAt > run.freshAfter;
      if (isFresh || isNamed(run, repository, blob.digest, goneManifests)) left++;
      else unused.push(blob);
    }
    left += unused.length - (await expireBlobs(run, repository, unused));
    if (page.length < PAGE) return left;
    after = page.at(-1)?.digest ?? "";
  }
}

function isNamed(
  { deps }: Run,
  repository: string,
  digest: Digest,
  goneManifests: ReadonlySet<Digest>,
): boolean {
  return deps.catalog.namers(repository, digest).some((namer) => !goneManifests.has(namer));
}

/** @returns how many are gone. */
async function expireBlobs(
  run: Run,
  repository: string,
  unused: readonly BlobLink[],
): Promise<number> {
  let count = 0;
  for (const batch of batches(unused, BATCH)) {
    await run.pace();
    const digests = batch.map(({ digest }) => digest);
    const gone = new Set(run.dryRun ? digests : await removeBlobs(run, repository, digests));
    for (const { digest, size } of batch) {
      if (!gone.has(digest)) continue;
      count++;
      run.tally.add({ phase: "blobs", repository, name: digest, bytes: size });
    }
  }
  return count;
}

async function removeBlobs(
  { deps, freshAfter }: Run,
  repository: string,
  digests: readonly Digest[],
): Promise<readonly Digest[]> {
  const { catalog, storage, locks } = deps;
  const keys = digests.map((digest) => lockKey(repository, digest));
  return await runLocked(locks, keys, async () => {
    const gone = catalog.expireBlobs(repository, digests, freshAfter);
    await catalog.sync();
    await storage.deleteAll(
      repository,
      gone.filter((digest) => catalog.manifest(repository, digest) === undefined),
    );
    return gone;
  });
}
