// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Digest } from "../digest.ts";
import type { BlobStorage } from "./blob-storage.ts";

/** Stores what is small enough to be in memory. @param bytes whose digest has been verified. */
export async function storeBytes(
  storage: BlobStorage,
  repository: string,
  bytes: Uint8Array,
  digest: Digest,
): Promise<void> {
  const id = `manifest-${crypto.randomUUID()}`;
  try {
    await storage.begin(id);
    const writer = await storage.append(id, 0);
    await writer.write([bytes]).finally(() => writer.close());
    await storage.commit(id, repository, digest);
  } catch (error) {
    await storage.cancel(id);
    throw error;
  }
}
