// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Digest } from "../digest.ts";
import { unavailable, undefinedWhenSilent } from "../mirror/mirroring.ts";
import { tail } from "../mirror/tail.ts";
import type { Call } from "./call.ts";
import { BLOB_HEADERS, BLOB_TYPE, contentResponse } from "./content-response.ts";

/**
 * GET and HEAD of a blob that is not here, where upstream has it. HEAD brings nothing here. GET does,
 * and answers while it comes, in chunks: manifests, HEAD and Content-Range say how long it is. When
 * it does not come after all, the connection breaks.
 *
 * @returns undefined when it is here, or nowhere.
 */
export async function getMirroredBlob(call: Call, digest: Digest): Promise<Response | undefined> {
  const { request, repository, parts } = call;
  if (parts.mirror === null) return undefined;
  const content = { digest, mediaType: BLOB_TYPE };
  if (request.method === "HEAD") {
    if (parts.catalog.blobSize(repository, digest) !== undefined) return undefined;
    const size = await parts.mirror.blobSize(repository, digest).catch(undefinedWhenSilent);
    if (size === undefined) return undefined;
    return contentResponse(request, { ...content, size, read: () => new Blob() }, BLOB_HEADERS);
  }
  const blob = await parts.mirror.bringBlob(repository, digest);
  if (blob === undefined) return undefined;
  let start: number | undefined;
  const read = (range = { first: 0, last: blob.size - 1 }) => {
    start = range.first;
    return tail(blob, range);
  };
  const response = contentResponse(request, { ...content, size: blob.size, read }, BLOB_HEADERS);
  try {
    // What fails before the first byte can still be said honestly.
    if (start !== undefined) await blob.beyond(start);
  } catch (error) {
    throw unavailable(error);
  }
  return response;
}
