// SPDX-License-Identifier: AGPL-3.0-or-later

import type { Digest } from "../digest.ts";
import { OciError } from "../oci-error.ts";
import { type Call, nothing, requireDigest } from "./call.ts";
import { parseRange } from "./range.ts";

/** GET and HEAD of a blob: distribution-spec end-2, with Range (RFC 9110). */
export async function getBlob(call: Call): Promise<Response> {
  const { request, repository, parts } = call;
  const digest = requireDigest(call.last);
  const size = await requireBlob(call, digest);
  const etag = `"${digest}"`;
  const headers = {
    "content-type": "application/octet-stream",
    "docker-content-digest": digest,
    etag,
    // Content of a digest never changes; whether one may see it does.
    "cache-control": "private, max-age=31536000, immutable",
    "x-content-type-options": "nosniff",
  };
  if (request.headers.get("if-none-match") === etag) return nothing(304, headers);
  // A HEAD response that is given a body would be sent with its length all the same, but read.
  if (request.method === "HEAD") {
    parts.catalog.sightBlob(repository, digest, parts.now());
    return nothing(200, { ...headers, "accept-ranges": "bytes", "content-length": `${size}` });
  }
  const range = parseRange(request.headers.get("range"), size);
  if (range === "unsatisfiable") {
    return nothing(416, { ...headers, "content-range": `bytes */${size}` });
  }
  const content = parts.storage.read(repository, digest);
  if (range === "all") {
    return new Response(content, {
      headers: { ...headers, "accept-ranges": "bytes", "content-length": `${size}` },
    });
  }
  return new Response(content.slice(range.first, range.last + 1), {
    status: 206,
    headers: {
      ...headers,
      "accept-ranges": "bytes",
      "content-length": `${range.last - range.first + 1}`,
      "content-range": `bytes ${range.first}-${range.last}/${size}`,
    },
  });
}

/** distribution-spec end-10. */
export async function deleteBlob({ repository, last, parts, access }: Call): Promise<Response> {
  const digest = requireDigest(last);
  await parts.locks.run(`${repository} ${digest}`, async () => {
    if (!parts.catalog.removeBlob(repository, digest)) throw unknownBlob(digest);
    if (parts.catalog.manifest(repository, digest) === undefined) {
      await parts.storage.delete(repository, digest);
    }
  });
  parts.log.info({ user: access.identity, repository, digest }, "blob deleted");
  return nothing(202);
}

async function requireBlob({ repository, parts }: Call, digest: Digest): Promise<number> {
  const size = parts.catalog.blobSize(repository, digest);
  if (size === undefined) throw unknownBlob(digest);
  const found = await parts.storage.stat(repository, digest);
  if (found !== size) {
    parts.log.error({ repository, digest, size, found }, "blob is damaged on disk");
    throw new OciError("the blob is damaged on disk: see the registry's log", { code: "UNKNOWN" });
  }
  return size;
}

function unknownBlob(digest: Digest): OciError {
  return new OciError(`the repository has no blob ${digest}`, { code: "BLOB_UNKNOWN" });
}
