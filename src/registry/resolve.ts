// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Digest } from "./digest.ts";
import { parseManifest } from "./manifest.ts";
import type { Parts } from "./routes/call.ts";
import { findManifest } from "./routes/manifest-routes.ts";

export interface Resolved {
  readonly digest: Digest;
  readonly mediaType: string;
  /** Of the manifest, in bytes. */
  readonly size: number;
  /**
   * The config and layers of an image that are not here: a manifest may be pushed without them. Of an
   * index nobody can say which of its images are wanted.
   */
  readonly missing: readonly Digest[];
}

/** The manifest that a tag or digest names now. */
export async function resolve(
  parts: Parts,
  repository: string,
  reference: string,
): Promise<Resolved | undefined> {
  const row = findManifest(parts, repository, reference);
  if (row === undefined) return undefined;
  const { digest, mediaType, size } = row;
  const bytes = await parts.storage.read(repository, digest).bytes();
  const { config, layers } = parseManifest(bytes, mediaType);
  const missing = [...(config === undefined ? [] : [config]), ...layers]
    .filter((part) => !part.isForeign)
    .map((part) => part.digest)
    .filter((part) => parts.catalog.blobSize(repository, part) === undefined);
  return { digest, mediaType, size, missing };
}
