// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * The registry: an OCI distribution server (distribution-spec 1.1) over a directory, as one function
 * from Request to Response. `storage/layout.ts` says what lies where, `catalog/` what requests are
 * answered from, `uploads/` how content comes in, `routes/` which request is what. Who may do what is decided outside and handed in.
 */
import { type Clock, type Fetch, type Log, realSleep, type Sleep } from "../base/deps.ts";
import { createKeyedLock } from "../base/keyed-lock.ts";
import { type Millis, mib, millis } from "../base/units.ts";
import type { AuditEvent, AuditPage, AuditQuery } from "./audit/audit-event.ts";
import { openAuditLog } from "./audit/audit-log.ts";
import { type Catalog, openCatalog } from "./catalog/catalog.ts";
import type { TagRow } from "./catalog/tags.ts";
import type { Digest } from "./digest.ts";
import { createHousekeeping, type Housekeeping } from "./housekeeping/housekeeping.ts";
import { openMirror } from "./mirror/mirror.ts";
import type { MirrorCounts } from "./mirror/mirroring.ts";
import type { UpstreamConfig, Waits } from "./mirror/upstream.ts";
import { NO_OBSERVER, observeDownload, observeUploads, type RegistryObserver } from "./observer.ts";
import type { Policy } from "./policy/policy.ts";
import { openPolicyFile, type PolicyChange } from "./policy/policy-file.ts";
import { createQuota } from "./policy/quota.ts";
import { createRateLimiter } from "./policy/rate-limit.ts";
import { type Resolved, resolve } from "./resolve.ts";
import type { Access, Parts } from "./routes/call.ts";
import { answer } from "./routes/router.ts";
import type { Verdict } from "./signatures/verify.ts";
import { openBlobStorage } from "./storage/blob-storage.ts";
import type { Disk } from "./storage/disk.ts";
import { catalogPath } from "./storage/layout.ts";
import { createLayoutWriter } from "./storage/layout-writer.ts";
import { fillParts, rebuildCatalog } from "./storage/rebuild.ts";
import { lockRoot } from "./storage/root-lock.ts";
import { createUploads } from "./uploads/uploads.ts";
import { verifyOwn } from "./verify-own.ts";

/**
 * What `Bun.serve` must be given, or it cuts slow transfers after 10 s, refuses bodies above
 * 128 MiB, and answers a bug with a page of source code.
 */
export const REGISTRY_SERVER_OPTIONS = {
  idleTimeout: 0,
  maxRequestBodySize: Number.MAX_SAFE_INTEGER,
  development: false,
} as const;

export interface RegistryDeps {
  /** Made if missing; everything the registry has lies here. One process at a time. */
  readonly root: string;
  readonly log: Log;
  readonly now: Clock;
  readonly sleep?: Sleep;
  /** Bytes that uploads leave free on the disk. Default: 128 MiB. */
  readonly reserveBytes?: number;
  /** After twice as long an upload that brings little makes room for the next one. Default: 250 ms. */
  readonly slowAfter?: Millis;
  /** Default: the real one. */
  readonly disk?: Disk;
  /** How many months of the audit log are kept, the running one among them. Default: 12. */
  readonly auditMonths?: number;
  /** The registry that this one is a mirror of. Default: none. */
  readonly upstream?: UpstreamConfig;
  /** Asks upstream. Default: the global one. */
  readonly fetch?: Fetch;
  readonly upstreamWaits?: Waits;
}

export interface Registry {
  /** Answers any path under `/v2/`. Never rejects. */
  handle(request: Request, access: Access): Promise<Response>;
  /**
   * The manifest that a tag or digest names now; a mirror asks upstream.
   * @throws {ProvError} `REGISTRY_UNREACHABLE` when it is not here and upstream does not answer.
   */
  resolve(repository: string, reference: string): Promise<Resolved | undefined>;
  /**
   * Who signed the manifest with this digest, of these keys (PEM by name).
   * @throws {SyntaxError} for a key that cannot be read.
   * @throws {ProvError} `REGISTRY_UNREACHABLE` when none did, as far as can be seen without upstream.
   */
  verify(
    repository: string,
    digest: Digest,
    keys: Readonly<Record<string, string>>,
  ): Promise<Verdict>;
  repositories(): Promise<readonly string[]>;
  tags(repository: string): Promise<readonly TagRow[]>;
  policy(): Policy;
  /** Of the policy's content. */
  policyVersion(): string;
  /** @param expected the version that is to be replaced; null: any. */
  setPolicy(document: unknown, expected: string | null): Promise<PolicyChange>;
  /**
   * Counts a request that is answered outside, against the policy's rate limit.
   * @returns milliseconds until it may come; 0: now.
   */
  countRequest(limitedAs: string): number;
  /** Writes to the audit log; resolves when it is on the disk. Requests to `/v2/` are written by themselves. */
  audit(event: AuditEvent): Promise<void>;
  /** @throws {SyntaxError} for a cursor that is not ours. */
  auditPage(query: AuditQuery): Promise<AuditPage>;
  /** How a mirror's requests were answered; null when it is none. */
  mirrorCounts(): MirrorCounts | null;
  readonly housekeeping: Housekeeping;
  /** Tells this one, from now on, what happens. */
  watch(observer: RegistryObserver): void;
  /** Gives up abandoned uploads, and what is too old of the audit log. To be called now and then. */
  sweep(): Promise<void>;
  /**
   * Stops reading bodies, keeping what has come, and writes what is left to write. Requests must
   * have ended or be of no interest any more: stop the server first.
   */
  close(): Promise<void>;
}

/**
 * @throws {ProvError} `CONFLICT` when another process has it open; `STORE_TOO_NEW`; `CONFIG_INVALID`
 *   when its policy cannot be read.
 */
export async function createRegistry(deps: RegistryDeps): Promise<Registry> {
  await using opening = new AsyncDisposableStack();
  const { parts, policyFile, mirror, watched } = await openParts(deps, opening);
  const { catalog, uploads, layouts, audit, policy } = parts;
  const ending = new AbortController();
  const housekeeping = createHousekeeping({
    ...parts,
    root: deps.root,
    sleep: deps.sleep ?? realSleep,
    observer: () => watched.observer,
    closing: ending.signal,
  });
  await uploads.recover();
  await uploads.sweep();
  if (catalog.staleRepositories().length > 0) layouts.schedule();
  const open = opening.move();
  let closed: Promise<void> | undefined;
  async function close(): Promise<void> {
    await mirror?.close();
    ending.abort(new DOMException("The registry closes", "AbortError"));
    await housekeeping.settled();
    await uploads.close();
    await layouts.close();
    await open.disposeAsync();
  }
  return {
    async handle(request, access) {
      const response = await answer(request, access, parts);
      observeDownload(request, response, watched.observer);
      return response;
    },
    resolve: (repository, reference) => resolve(parts, repository, reference),
    verify: (repository, digest, keys) => verifyOwn(parts, repository, { digest, keys }),
    repositories: () => Promise.resolve(catalog.repositories()),
    tags: (repository) => Promise.resolve(catalog.tagRows(repository)),
    policy,
    policyVersion: policyFile.version,
    setPolicy: policyFile.set,
    countRequest(limitedAs) {
      const { rateLimit } = policy();
      return rateLimit === null ? 0 : parts.rateLimiter.take(limitedAs, rateLimit);
    },
    audit: audit.append,
    auditPage: audit.page,
    mirrorCounts: () => mirror?.counts ?? null,
    housekeeping,
    watch(observer) {
      watched.observer = observer;
    },
    async sweep() {
      await uploads.sweep();
      await audit.prune();
    },
    close() {
      closed ??= close();
      return closed;
    },
  };
}

/** What of it must be let go of again goes onto the stack, in order. */
async function openParts(deps: RegistryDeps, opening: AsyncDisposableStack) {
  const { root, log, now, sleep = realSleep } = deps;
  const { reserveBytes = mib(128), slowAfter = millis(250), auditMonths = 12 } = deps;
  const lock = await lockRoot(root);
  opening.defer(() => lock.release());
  const storage = await openBlobStorage(root, deps.disk);
  const policyFile = await openPolicyFile(root);
  const audit = await openAuditLog(root, auditMonths, now);
  opening.defer(() => audit.close());
  const catalog = openCatalog(catalogPath(root));
  opening.defer(() => catalog.close());
  await fill(root, catalog, log, now());
  const watched = { observer: NO_OBSERVER };
  const receiving = createUploads({ storage, catalog, now, reserveBytes, slowAfter });
  const uploads = observeUploads(receiving, () => watched.observer, now);
  const layouts = createLayoutWriter({
    ...{ root, catalog, log, sleep },
    ...(deps.disk && { disk: deps.disk }),
  });
  const { policy } = policyFile;
  const quota = createQuota(catalog, policy);
  const common = { storage, catalog, layouts, locks: createKeyedLock(), policy, quota, log, now };
  const asking = { fetch: deps.fetch ?? fetch, sleep, waits: deps.upstreamWaits ?? {} };
  const mirror = openMirror(deps.upstream, { ...common, ...asking, reserveBytes });
  const parts: Parts = {
    ...common,
    ...{ uploads, rateLimiter: createRateLimiter(now), audit, mirror },
  };
  return { parts, policyFile, mirror, watched };
}

/** Reads from the layouts on disk what the catalog does not know. */
async function fill(root: string, catalog: Catalog, log: Log, now: number): Promise<void> {
  if (catalog.missing === "nothing") return;
  if (catalog.missing === "parts") await fillParts(root, catalog);
  else {
    const { repositories, problems } = await rebuildCatalog(root, catalog, now);
    if (repositories > 0)
      log.warn({ repositories }, "registry catalog made again from the layouts");
    for (const problem of problems) log.error({ problem }, "registry content not understood");
  }
  catalog.setFilled();
}
