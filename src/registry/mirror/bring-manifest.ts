// SPDX-License-Identifier: AGPL-3.0-or-later
import { newManifest } from "../catalog/manifests.ts";
import { type Digest, parseDigest } from "../digest.ts";
import { isImmutable } from "../policy/immutable.ts";
import { isTag } from "../reference.ts";
import { storeBytes } from "../storage/store-bytes.ts";
import { counted, type Mirroring, type MirrorResult, reserve, unavailable } from "./mirroring.ts";
import { isNotThere } from "./question.ts";

/**
 * Makes what a tag or digest names what upstream says, where upstream has a say: content never
 * changes, a tag that was pushed here is ours, one that the policy calls immutable stays as it came,
 * and an answer about any other is trusted for a while.
 *
 * A tag that is gone upstream is gone here; what it named stays, for those who know its digest.
 *
 * @throws {OciError} `UNAVAILABLE` when it is not here and upstream cannot be asked; `STORAGE_FULL`
 */
export async function bringManifest(
  mirroring: Mirroring,
  repository: string,
  reference: string,
): Promise<void> {
  const digest = parseDigest(reference);
  if (digest !== undefined) {
    await counted(mirroring, () => bringByDigest(mirroring, repository, digest));
  } else if (isTag(reference)) {
    await counted(mirroring, () => bringTagged(mirroring, repository, reference));
  }
}

export async function bringByDigest(
  mirroring: Mirroring,
  repository: string,
  digest: Digest,
): Promise<MirrorResult> {
  if (mirroring.catalog.manifest(repository, digest) !== undefined) return "hit";
  try {
    await mirroring.flights.run(`manifest ${repository} ${digest}`, () =>
      pull(mirroring, repository, digest),
    );
  } catch (error) {
    if (!isNotThere(error)) {
      mirroring.fresh.failed(error);
      throw unavailable(error);
    }
  }
  return "miss";
}

async function bringTagged(
  mirroring: Mirroring,
  repository: string,
  tag: string,
): Promise<MirrorResult> {
  const { catalog, fresh, flights, policy } = mirroring;
  const here = catalog.tagOrigin(repository, tag);
  const key = `tag ${repository} ${tag}`;
  const isSettled = here?.isMirrored === false || isImmutable(policy(), repository, tag);
  if (here !== null && (isSettled || fresh.isFresh(key))) return "hit";
  if (here !== null && fresh.isResting()) return "stale";
  return await flights.run(key, async () => {
    try {
      const result = await follow(mirroring, repository, tag, here?.digest);
      fresh.answered(key);
      return result;
    } catch (error) {
      return await giveUp(mirroring, repository, tag, error);
    }
  });
}

/** Sets the tag to what upstream has. @param here what it names now. */
async function follow(
  mirroring: Mirroring,
  repository: string,
  tag: string,
  here: Digest | undefined,
): Promise<MirrorResult> {
  const { upstream, catalog, now } = mirroring;
  const said = here === undefined ? undefined : await upstream.tagged(repository, tag);
  if (said !== undefined && said === here) return "hit";
  const isHere = said !== undefined && catalog.manifest(repository, said) !== undefined;
  const digest = isHere ? said : await pull(mirroring, repository, said ?? tag);
  catalog.setMirroredTag(repository, tag, digest, now());
  mirroring.layouts.schedule();
  return isHere ? "hit" : "miss";
}

/** @throws {OciError} when nothing is here that could be served in its place. */
async function giveUp(
  mirroring: Mirroring,
  repository: string,
  tag: string,
  said: unknown,
): Promise<MirrorResult> {
  const { catalog, fresh, layouts, log, now } = mirroring;
  const where = { repository, tag };
  const error = isNotThere(said) ? await doubtOf(mirroring, where) : said;
  if (error === null) {
    fresh.forget(`tag ${repository} ${tag}`);
    if (catalog.removeMirroredTag(repository, tag, now())) {
      layouts.schedule();
      log.info(where, "tag is gone upstream");
    }
    return "miss";
  }
  fresh.failed(error);
  if (catalog.tagOrigin(repository, tag) === null) throw unavailable(error);
  log.warn({ ...where, err: error }, "tag served as it was: upstream could not be asked");
  return "stale";
}

/**
 * Whether a tag that is here may go because of a 404: any proxy says that of what it does not know.
 * @returns why not; null when it may.
 */
async function doubtOf(
  { catalog, upstream }: Mirroring,
  { repository, tag }: { readonly repository: string; readonly tag: string },
): Promise<unknown> {
  if (catalog.tagOrigin(repository, tag)?.isMirrored !== true) return null;
  return await upstream.answers(repository).then(
    () => null,
    (error: unknown) => error,
  );
}

/** Stores upstream's manifest. What it is made of comes when somebody asks for it. */
async function pull(mirroring: Mirroring, repository: string, reference: string): Promise<Digest> {
  const { upstream, storage, catalog, locks, counts, log, now } = mirroring;
  const { bytes, digest, manifest } = await upstream.manifest(repository, reference);
  const size = bytes.byteLength;
  const added = newManifest(manifest, { digest, size, tags: [], blobs: [], now: now() });
  using _room = reserve(mirroring, repository, size);
  await locks.run(`${repository} ${digest}`, async () => {
    if ((await storage.stat(repository, digest)) !== size) {
      await storeBytes(storage, repository, bytes, digest);
    }
    catalog.putManifest(repository, added);
  });
  counts.bytes += size;
  mirroring.layouts.schedule();
  log.info({ repository, reference, digest, size }, "manifest mirrored");
  return digest;
}
