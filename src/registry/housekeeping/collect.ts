// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * Garbage collection, while everybody goes on working: tags that a rule keeps no longer, manifests
 * that nothing keeps, blobs that no manifest names, files that the catalog does not know, and
 * repositories that have nothing left.
 *
 * What is to go is found in pages, and looked at once more in the transaction that removes it, under
 * the lock that pushes and deletes of the same content take. Rows go before files: a collection that
 * is killed leaves files nobody lists, and the next one finds them.
 */
import type { Clock, Log } from "../../base/deps.ts";
import { ProvError } from "../../base/errors.ts";
import type { KeyedLock } from "../../base/keyed-lock.ts";
import { type Millis, millis } from "../../base/units.ts";
import type { AuditLog } from "../audit/audit-log.ts";
import type { Catalog } from "../catalog/catalog.ts";
import type { Digest } from "../digest.ts";
import { createPace, type Pace } from "../pace.ts";
import type { Policy } from "../policy/policy.ts";
import type { BlobStorage } from "../storage/blob-storage.ts";
import type { LayoutWriter } from "../storage/layout-writer.ts";
import { collectBlobs } from "./collect-blobs.ts";
import { collectManifests } from "./collect-manifests.ts";
import { collectStrays } from "./collect-strays.ts";
import { createTally, type GcReport, type Removed, type Tally } from "./report.ts";

export interface HousekeepingDeps {
  readonly root: string;
  readonly catalog: Catalog;
  readonly storage: BlobStorage;
  readonly layouts: LayoutWriter;
  /** Per repository and digest; the same that pushes and deletes take. */
  readonly locks: KeyedLock;
  readonly log: Log;
  readonly now: Clock;
  readonly policy: () => Policy;
  readonly audit: Pick<AuditLog, "append">;
  /** Aborts when the registry closes: what runs ends at its next step. */
  readonly closing: AbortSignal;
}

/** Manifests that running jobs need, by repository. */
export type InUse = ReadonlyMap<string, ReadonlySet<Digest>>;

export interface CollectOptions {
  /** Nothing is removed; the report is the same. */
  readonly dryRun: boolean;
  /** What came, or was asked for, within this time stays. */
  readonly grace: Millis;
  readonly inUse: () => Promise<InUse>;
}

/** One collection, as its phases see it. */
export interface Run extends CollectOptions {
  readonly deps: HousekeepingDeps;
  readonly tally: Tally;
  readonly pace: Pace;
  /** Unix epoch, ms. */
  readonly startedAt: number;
  /** What came after this stays; Unix epoch, ms. */
  readonly freshAfter: number;
}

/** @throws {ProvError} `CONFLICT` when the registry is, or becomes, read-only, and this is no dry run. */
export async function collectGarbage(
  deps: HousekeepingDeps,
  options: CollectOptions,
): Promise<GcReport> {
  const { dryRun, grace } = options;
  const startedAt = deps.now();
  const tally = createTally(async (removed) => {
    if (dryRun) return;
    deps.layouts.schedule();
    await auditRemoval(removed, deps.audit);
  });
  const breathe = createPace(deps.closing);
  const pace: Pace = () => {
    if (!dryRun) requireWritable(deps.policy());
    return breathe();
  };
  const run: Run = { ...options, deps, tally, pace, startedAt, freshAfter: startedAt - grace };
  await pace();
  const inUse = await options.inUse();
  try {
    for (const repository of deps.catalog.repositories()) {
      await collectRepository(run, repository, inUse.get(repository) ?? new Set());
    }
    await collectStrays(run);
  } finally {
    await tally.recorded();
  }
  const took = millis(deps.now() - startedAt);
  return { dryRun, grace, took, phases: tally.phases(), removed: tally.removed() };
}

function requireWritable({ readOnly }: Policy): void {
  if (!readOnly) return;
  throw new ProvError("Cannot collect garbage: the registry is read-only", {
    code: "CONFLICT",
    hint: "Take read_only out of the registry's policy, or ask for a dry run.",
  });
}

/** Tags and manifests one by one; what nobody could see any more is only counted, in the end. */
async function auditRemoval(
  { phase, repository, name }: Removed,
  audit: HousekeepingDeps["audit"],
): Promise<void> {
  const common = { identity: "housekeeping", address: null, outcome: "done", repository } as const;
  if (phase === "tags") await audit.append({ ...common, action: "expire", reference: name });
  if (phase === "manifests") await audit.append({ ...common, action: "collect", digest: name });
}

async function collectRepository(
  run: Run,
  repository: string,
  inUse: ReadonlySet<Digest>,
): Promise<void> {
  const { catalog, layouts } = run.deps;
  const manifests = await collectManifests(run, repository, inUse);
  const blobsLeft = await collectBlobs(run, repository, manifests.gone);
  if (manifests.areSomeLeft || blobsLeft > 0) return;
  if (catalog.uploads().some((upload) => upload.repository === repository)) return;
  if (run.dryRun || (await layouts.remove(repository))) {
    run.tally.add({ phase: "repositories", repository, name: repository, bytes: 0 });
  }
}
