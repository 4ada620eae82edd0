// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Digest } from "../digest.ts";
import { nothing } from "./call.ts";
import { etagOf, isKnownToClient, isRangeWanted } from "./conditional.ts";
import { parseRange } from "./range.ts";

export interface Content {
  readonly digest: Digest;
  readonly mediaType: string;
  /** Bytes. */
  readonly size: number;
  /** The bytes, lazily: the kernel sends them. */
  readonly read: () => Blob;
}

/** Answers GET and HEAD of content: whole, a Range of it, or that the client has it already. */
export function contentResponse(
  request: Request,
  { digest, mediaType, size, read }: Content,
  extra: Record<string, string> = {},
): Response {
  const headers = {
    ...extra,
    "content-type": mediaType,
    "docker-content-digest": digest,
    etag: etagOf(digest),
    "accept-ranges": "bytes",
    "x-content-type-options": "nosniff",
  };
  if (isKnownToClient(request.headers, digest)) return nothing(304, headers);
  // Said by hand: without a body the length would be 0.
  if (request.method === "HEAD") return nothing(200, { ...headers, "content-length": `${size}` });
  const asked = isRangeWanted(request.headers, digest) ? request.headers.get("range") : null;
  const range = parseRange(asked, size);
  if (range === "unsatisfiable") {
    return nothing(416, { ...headers, "content-range": `bytes */${size}` });
  }
  if (range === "all") {
    return new Response(read(), { headers: { ...headers, "content-length": `${size}` } });
  }
  return new Response(read().slice(range.first, range.last + 1), {
    status: 206,
    headers: {
      ...headers,
      "content-length": `${range.last - range.first + 1}`,
      "content-range": `bytes ${range.first}-${range.last}/${size}`,
    },
  });
}
