// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Digest } from "../digest.ts";
import { bringByDigest } from "./bring-manifest.ts";
import { type Mirroring, unavailable } from "./mirroring.ts";
import { isNotThere } from "./question.ts";

/** So many of one manifest are mirrored; nobody signs a thing that often. */
const REFERRERS_MAX = 1000;
const AT_ONCE = 4;

/**
 * Brings the manifests that refer to `subject` upstream, so that the list of those that are here is
 * whole, and still is when upstream cannot be asked.
 * @throws {OciError} `UNAVAILABLE` when none is here and upstream cannot be asked.
 */
export async function bringReferrers(
  mirroring: Mirroring,
  repository: string,
  subject: Digest,
): Promise<void> {
  const { upstream, catalog, fresh, flights, log } = mirroring;
  const key = `referrers ${repository} ${subject}`;
  const hasSome = () => catalog.referrers(repository, subject, "").next().done === false;
  if (fresh.isFresh(key) || (fresh.isResting() && hasSome())) return;
  await flights.run(key, async () => {
    try {
      const found = await upstream.referrers(repository, subject);
      if (found.length > REFERRERS_MAX) {
        log.warn({ repository, subject, found: found.length }, "not all referrers are mirrored");
      }
      await bringAll(mirroring, repository, found.slice(0, REFERRERS_MAX));
    } catch (error) {
      if (!isNotThere(error)) {
        fresh.failed(error);
        if (!hasSome()) throw unavailable(error);
        log.warn({ repository, subject, err: error }, "referrers as they were: upstream silent");
        return;
      }
    }
    fresh.answered(key);
  });
}

async function bringAll(
  mirroring: Mirroring,
  repository: string,
  digests: readonly Digest[],
): Promise<void> {
  const waiting = [...digests];
  const work = async () => {
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
      await bringByDigest(mirroring, repository, next);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
}
