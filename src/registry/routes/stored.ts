// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Digest } from "../digest.ts";
import { OciError } from "../oci-error.ts";
import { isStorageFull } from "../uploads/feed.ts";
import type { Call } from "./call.ts";

/**
 * Whether listed content can be served: its file is as long as the catalog says.
 * @returns false when it was removed while the disk was asked.
 * @throws {OciError} `UNKNOWN` when it is damaged.
 */
export async function isStored(
  { repository, parts }: Call,
  digest: Digest,
  size: number,
): Promise<boolean> {
  const found = await parts.storage.stat(repository, digest);
  // Rows go before files, so that what is listed now can still be opened in this turn.
  if (!parts.catalog.isListed(repository, digest)) return false;
  if (found === size) return true;
  parts.log.error({ repository, digest, size, found }, "content is damaged on disk");
  throw new OciError("it is damaged on disk: see the registry's log", { code: "UNKNOWN" });
}

/**
 * Writes down that somebody asked for content: a manifest may be about to name it, and it is spared for a
 * while. A full disk keeps nobody from reading; it will keep the manifest from coming.
 */
export function noteSighting(write: () => void): void {
  try {
    write();
  } catch (error) {
    if (!isStorageFull(error)) throw error;
  }
}
