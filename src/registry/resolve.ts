// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Digest } from "./digest.ts";
import { type Manifest, parseManifest } from "./manifest.ts";
import { forJobs } from "./mirror/for-jobs.ts";
import type { Parts } from "./routes/call.ts";
import { findManifest } from "./routes/manifest-routes.ts";

export interface Resolved {
  readonly digest: Digest;
  readonly mediaType: string;
  /** Of the manifest, in bytes. */
  readonly size: number;
  /**
   * The config and layers of an image that are not to be had: a manifest may be pushed without them. Of an
   * index nobody can say which of its images are wanted.
   */
  readonly missing: readonly Digest[];
}

/**
 * The manifest that a tag or digest names now. A mirror has what is here or upstream.
 * @throws {ProvError} `REGISTRY_UNREACHABLE`, `STORAGE_FULL` of a mirror.
 */
export async function resolve(
  parts: Parts,
  repository: string,
  reference: string,
): Promise<Resolved | undefined> {
  const { mirror, storage } = parts;
  const what = `Cannot get ${repository} (${reference}) from upstream`;
  return await forJobs(what, async () => {
    await mirror?.bringManifest(repository, reference);
    const row = findManifest(parts, repository, reference);
    if (row === undefined) return undefined;
    const { digest, mediaType, size } = row;
    const bytes = await storage.read(repository, digest).bytes();
    const missing = await missingOf(parts, repository, parseManifest(bytes, mediaType));
    return { digest, mediaType, size, missing };
  });
}

async function missingOf(
  { catalog, mirror }: Parts,
  repository: string,
  { config, layers }: Manifest,
): Promise<readonly Digest[]> {
  const missing: Digest[] = [];
  for (const { digest, isForeign } of [...(config === undefined ? [] : [config]), ...layers]) {
    if (isForeign || catalog.blobSize(repository, digest) !== undefined) continue;
    if ((await mirror?.blobSize(repository, digest)) === undefined) missing.push(digest);
  }
  return missing;
}
