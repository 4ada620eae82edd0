// SPDX-License-Identifier: AGPL-3.0-or-later

import type { Digest } from "../digest.ts";
import { OciError } from "../oci-error.ts";
import { requireRemovable } from "../policy/immutable.ts";
import { type Call, nothing, requireDigest } from "./call.ts";
import { BLOB_HEADERS, BLOB_TYPE, contentResponse, partOf } from "./content-response.ts";
import { getMirroredBlob } from "./mirrored-blob.ts";
import type { ByteRange } from "./range.ts";
import { isStored, noteSighting } from "./stored.ts";

/** GET and HEAD of a blob: distribution-spec end-2. */
export async function getBlob(call: Call): Promise<Response> {
  const { request, repository, parts } = call;
  const digest = requireDigest(call.last);
  const mirrored = await getMirroredBlob(call, digest);
  if (mirrored !== undefined) return mirrored;
  const size = await requireBlob(call, digest);
  if (request.method === "HEAD") {
    noteSighting(() => parts.catalog.sightBlob(repository, digest, parts.now()));
  }
  const read = (range?: ByteRange) => partOf(parts.storage.read(repository, digest), range);
  return contentResponse(request, { digest, mediaType: BLOB_TYPE, size, read }, BLOB_HEADERS);
}

/** distribution-spec end-10. */
export async function deleteBlob({ repository, last, parts, access }: Call): Promise<Response> {
  const digest = requireDigest(last);
  await parts.locks.run(`${repository} ${digest}`, async () => {
    requireRemovable(parts, repository, digest);
    if (!parts.catalog.removeBlob(repository, digest)) throw unknownBlob(digest);
    if (parts.catalog.manifest(repository, digest) === undefined) {
      await parts.storage.delete(repository, digest);
    }
  });
  parts.log.info({ user: access.identity, repository, digest }, "blob deleted");
  return nothing(202);
}

async function requireBlob(call: Call, digest: Digest): Promise<number> {
  const size = call.parts.catalog.blobSize(call.repository, digest);
  if (size === undefined || !(await isStored(call, digest, size))) throw unknownBlob(digest);
  return size;
}

function unknownBlob(digest: Digest): OciError {
  return new OciError(`the repository has no blob ${digest}`, { code: "BLOB_UNKNOWN" });
}
