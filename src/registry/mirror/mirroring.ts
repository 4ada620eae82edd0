// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Clock, Log } from "../../base/deps.ts";
import { isDistrust } from "../../base/distrust.ts";
import { ProvError } from "../../base/errors.ts";
import type { KeyedLock } from "../../base/keyed-lock.ts";
import type { Catalog } from "../catalog/catalog.ts";
import { OciError, toOciError } from "../oci-error.ts";
import type { Policy } from "../policy/policy.ts";
import type { Quota } from "../policy/quota.ts";
import type { BlobStorage } from "../storage/blob-storage.ts";
import type { LayoutWriter } from "../storage/layout-writer.ts";
import type { Freshness } from "./freshness.ts";
import type { SingleFlight } from "./single-flight.ts";
import type { Upstream } from "./upstream.ts";

/**
 * How a request for a manifest or a blob was answered: from what is here (`hit`), with upstream's
 * answer (`miss`), from what is here because upstream could not be asked (`stale`), or not at all
 * because of that (`error`).
 */
export type MirrorResult = "hit" | "miss" | "stale" | "error";

export interface MirrorCounts {
  readonly requests: Record<MirrorResult, number>;
  /** Of blobs and manifests, received from upstream. */
  bytes: number;
}

/** The mirror's parts, as its own modules use them. */
export interface Mirroring {
  readonly upstream: Upstream;
  readonly storage: BlobStorage;
  readonly catalog: Catalog;
  readonly layouts: LayoutWriter;
  /** Per repository and digest: the catalog and the disk change together. */
  readonly locks: KeyedLock;
  readonly policy: () => Policy;
  readonly quota: Quota;
  readonly log: Log;
  readonly now: Clock;
  /** Bytes that are left free on the disk. */
  readonly reserveBytes: number;
  readonly fresh: Freshness;
  readonly flights: SingleFlight;
  readonly counts: MirrorCounts;
}

/** Counts how a request was answered. */
export async function counted(
  { counts }: Mirroring,
  work: () => Promise<MirrorResult>,
): Promise<void> {
  let result: MirrorResult = "error";
  try {
    result = await work();
  } finally {
    counts.requests[result]++;
  }
}

/** What a client is told when upstream was needed and could not be had. */
export function unavailable(error: unknown): OciError {
  if (!(error instanceof ProvError)) return toOciError(error);
  const why = {
    UNAUTHENTICATED: "does not accept the mirror's credentials",
    FORBIDDEN: "does not let the mirror read this",
    ARTIFACT_INVALID: "has nothing usable here",
  }[error.code as string];
  const silent = isDistrust(error.cause)
    ? "has a certificate that the mirror does not trust"
    : "does not answer";
  return new OciError(`the upstream registry ${why ?? silent}`, {
    code: "UNAVAILABLE",
    cause: error,
  });
}

/**
 * For HEAD of a digest, by which those who push look what they need not send: they must while upstream
 * cannot be asked.
 * @throws whatever else it is.
 */
export function undefinedWhenSilent(error: unknown): undefined {
  if (!(error instanceof OciError && error.code === "UNAVAILABLE")) throw error;
}

/**
 * Room for what upstream sends, under the quota of its repository.
 * @throws {OciError} `STORAGE_FULL`: whoever pulls has been denied nothing.
 */
export function reserve({ quota }: Mirroring, repository: string, bytes: number): Disposable {
  try {
    return quota.reserve(repository, bytes);
  } catch (error) {
    if (!(error instanceof OciError)) throw error;
    throw new OciError(error.message, { code: "STORAGE_FULL", cause: error });
  }
}
