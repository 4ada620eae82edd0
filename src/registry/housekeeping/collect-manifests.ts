// SPDX-License-Identifier: AGPL-3.0-or-later

import type { TagLink } from "../catalog/pages.ts";
import type { Digest } from "../digest.ts";
import { ruleFor } from "../policy/policy.ts";
import type { Run } from "./collect.ts";
import { batches, lockKey, runLocked } from "./locked.ts";
import { type DoomedManifest, type ManifestNode, planManifests } from "./reachable.ts";
import { DAY_MS, globs, planTags } from "./retention.ts";

const PAGE = 256;
const BATCH = 32;

export interface CollectedManifests {
  /** Removed, or in a dry run to be removed. */
  readonly gone: ReadonlySet<Digest>;
  readonly areSomeLeft: boolean;
}

/** Tags by the repository's rule, then the manifests that nothing keeps any more. */
export async function collectManifests(
  run: Run,
  repository: string,
  inUse: ReadonlySet<Digest>,
): Promise<CollectedManifests> {
  const { catalog, policy } = run.deps;
  const rule = ruleFor(policy(), repository);
  const { keep } = rule;
  // A digest may be pinned by somebody we know nothing of: no rule, no removal.
  if (keep === null) {
    const areSomeLeft = catalog.manifestPage(repository, "", 1).length > 0;
    return { gone: new Set(), areSomeLeft };
  }
  const { startedAt: now, freshAfter } = run;
  const tags = await readTags(run, repository);
  const going = await expireTags(run, repository, planTags({ tags, rule, now, freshAfter, inUse }));
  const manifests = await readManifests(run, repository, new Set(going.map((t) => t.digest)));
  if (keep.untaggedDays === null) return { gone: new Set(), areSomeLeft: manifests.size > 0 };
  const isGoing = new Set(going.map(({ tag }) => tag));
  const question = {
    manifests,
    tags: tags.filter(({ tag }) => !isGoing.has(tag)),
    isImmutable: globs(rule.immutableTags),
    inUse,
    freshAfter,
    untaggedAfter: Math.min(freshAfter, now - keep.untaggedDays * DAY_MS),
  };
  const doomed = await planManifests(question, run.pace);
  const gone = await expireManifests(run, repository, doomed);
  return { gone, areSomeLeft: manifests.size > gone.size };
}

async function readTags(run: Run, repository: string): Promise<TagLink[]> {
  const all: TagLink[] = [];
  for (;;) {
    await run.pace();
    const page = run.deps.catalog.tagLinks(repository, all.at(-1)?.tag ?? "", PAGE);
    all.push(...page);
    if (page.length < PAGE) return all;
  }
}

/** @param untagged manifests that lose a tag in this run: they are fresh, also in a dry run. */
async function readManifests(
  run: Run,
  repository: string,
  untagged: ReadonlySet<Digest>,
): Promise<ReadonlyMap<Digest, ManifestNode>> {
  const { catalog } = run.deps;
  const found = new Map<Digest, ManifestNode>();
  let after = "";
  for (;;) {
    const page = catalog.manifestPage(repository, after, PAGE);
    for (const row of page) {
      await run.pace();
      const pushedAt = untagged.has(row.digest) ? run.startedAt : row.pushedAt;
      const children = catalog.children(repository, row.digest);
      found.set(row.digest, { ...row, pushedAt, children });
    }
    if (page.length < PAGE) return found;
    after = page.at(-1)?.digest ?? "";
  }
}

async function expireTags(
  run: Run,
  repository: string,
  planned: readonly TagLink[],
): Promise<TagLink[]> {
  const gone: TagLink[] = [];
  for (const batch of batches(planned, BATCH)) {
    await run.pace();
    const { catalog } = run.deps;
    const expired = run.dryRun ? batch : catalog.expireTags(repository, batch, run.startedAt);
    for (const { tag } of expired) {
      run.tally.add({ phase: "tags", repository, name: tag, bytes: 0 });
    }
    gone.push(...expired);
  }
  return gone;
}

/** Each goes after what keeps it: round after round, until nothing more can go. */
async function expireManifests(
  run: Run,
  repository: string,
  planned: readonly DoomedManifest[],
): Promise<ReadonlySet<Digest>> {
  const gone = new Set<Digest>();
  let left = planned;
  try {
    for (let before = -1; before !== left.length && left.length > 0; ) {
      before = left.length;
      for (const batch of batches(left, BATCH)) {
        await run.pace();
        await removeManifests(run, repository, batch, gone);
      }
      left = left.filter(({ digest }) => !gone.has(digest));
    }
  } finally {
    for (const each of planned) {
      if (gone.has(each.digest)) noteManifest(run, repository, each);
    }
  }
  return gone;
}

function noteManifest({ tally }: Run, repository: string, doomed: DoomedManifest): void {
  for (const tag of doomed.companions)
    tally.add({ phase: "tags", repository, name: tag, bytes: 0 });
  const { digest, size } = doomed;
  tally.add({ phase: "manifests", repository, name: digest, bytes: size });
}

/** @param gone gets those that are, or in a dry run would be. */
async function removeManifests(
  run: Run,
  repository: string,
  batch: readonly DoomedManifest[],
  gone: Set<Digest>,
): Promise<void> {
  if (run.dryRun) {
    for (const { digest } of batch) gone.add(digest);
    return;
  }
  const { catalog, storage, locks } = run.deps;
  const keys = batch.map(({ digest }) => lockKey(repository, digest));
  await runLocked(locks, keys, async () => {
    const removed: Digest[] = [];
    for (const each of batch) {
      await run.pace();
      if (!catalog.expireManifest(repository, each)) continue;
      gone.add(each.digest);
      removed.push(each.digest);
    }
    await catalog.sync();
    await storage.deleteAll(
      repository,
      removed.filter((digest) => catalog.blobSize(repository, digest) === undefined),
    );
  });
}
