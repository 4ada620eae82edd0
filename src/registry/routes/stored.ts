// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Digest } from "../digest.ts";
import { OciError } from "../oci-error.ts";
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
