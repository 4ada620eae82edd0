// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * Pull-through: what is asked for and not here is fetched from the registry upstream, once, stored
 * like anything that was pushed, and served from here from then on. Routes call the mirror before
 * they look; afterwards the catalog says what there is.
 *
 * - Content never changes: what is here under its digest is never asked for again.
 * - A tag is asked for again when the last answer is too old. One that was pushed here is ours.
 * - A manifest may be here long before what it is made of, which comes when it is asked for.
 * - Who may ask is decided before any of this: nobody reaches upstream for what they may not pull here.
 */
import type { Digest } from "../digest.ts";
import { createTransfers } from "./bring-blob.ts";
import { bringManifest } from "./bring-manifest.ts";
import { bringReferrers } from "./bring-referrers.ts";
import { createTagLists } from "./bring-tags.ts";
import { createFreshness } from "./freshness.ts";
import type { IncomingBlob } from "./incoming-blob.ts";
import type { MirrorCounts, Mirroring } from "./mirroring.ts";
import { createSingleFlight } from "./single-flight.ts";
import { createUpstream, type UpstreamConfig, type UpstreamDeps } from "./upstream.ts";

/** Repositories that upstream is not asked about are left as they are by all of it. */
export interface Mirror {
  /**
   * Has the manifest that a tag or digest names here, if there is one.
   * @throws {OciError} `UNAVAILABLE` when nothing is here and upstream cannot be asked;
   *   `STORAGE_FULL`. All the others do as well.
   */
  bringManifest(repository: string, reference: string): Promise<void>;
  bringReferrers(repository: string, subject: Digest): Promise<void>;
  /**
   * Has a blob here, or on its way.
   * @returns the blob on its way; undefined when it is here, or nowhere.
   */
  bringBlob(repository: string, digest: Digest): Promise<IncomingBlob | undefined>;
  /** Bytes of a blob that is not here, or undefined when it is not upstream either. */
  blobSize(repository: string, digest: Digest): Promise<number | undefined>;
  /** In the order of the spec; undefined when what is here is all. */
  tags(repository: string): Promise<readonly string[] | undefined>;
  readonly counts: MirrorCounts;
  /** Cuts transfers short, keeping what has come. */
  close(): Promise<void>;
}

/** @returns null without an upstream. */
export function openMirror(
  config: UpstreamConfig | undefined,
  deps: Omit<Mirroring, "upstream" | "fresh" | "flights" | "counts"> &
    Omit<UpstreamDeps, "isResting">,
): Mirror | null {
  if (config === undefined) return null;
  const fresh = createFreshness(config.ttl, deps.now);
  const upstream = createUpstream(config, { ...deps, isResting: fresh.isResting });
  const mirroring: Mirroring = {
    ...deps,
    upstream,
    fresh,
    flights: createSingleFlight(),
    counts: { requests: { hit: 0, miss: 0, stale: 0, error: 0 }, bytes: 0 },
  };
  const transfers = createTransfers(mirroring);
  const lists = createTagLists(mirroring);
  return {
    async bringManifest(repository, reference) {
      if (upstream.covers(repository)) await bringManifest(mirroring, repository, reference);
    },
    async bringReferrers(repository, subject) {
      if (upstream.covers(repository)) await bringReferrers(mirroring, repository, subject);
    },
    async bringBlob(repository, digest) {
      return upstream.covers(repository) ? await transfers.bring(repository, digest) : undefined;
    },
    async blobSize(repository, digest) {
      return upstream.covers(repository) ? await transfers.size(repository, digest) : undefined;
    },
    async tags(repository) {
      return upstream.covers(repository) ? await lists.of(repository) : undefined;
    },
    counts: mirroring.counts,
    close: () => transfers.close(),
  };
}
