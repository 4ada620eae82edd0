// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Digest } from "../digest.ts";
import { nothing } from "./call.ts";
import { etagOf, isKnownToClient, isRangeWanted } from "./conditional.ts";
import { type ByteRange, parseRange } from "./range.ts";

export interface Content {
  readonly digest: Digest;
  readonly mediaType: string;
  /** Bytes. */
  readonly size: number;
  /**
   * The bytes, lazily: all of them or a part. The kernel sends those of a file; a stream goes out in
   * chunks, without a Content-Length.
   */
  readonly read: (range?: ByteRange) => Blob | ReadableStream<Uint8Array>;
}

/** Whatever a blob is, its manifest says it. */
export const BLOB_TYPE = "application/octet-stream";
/** Content of a digest never changes; whether one may see it does. */
export const BLOB_HEADERS = { "cache-control": "private, max-age=31536000, immutable" };

export function partOf(file: Blob, range: ByteRange | undefined): Blob {
  return range === undefined ? file : file.slice(range.first, range.last + 1);
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
  return new Response(read(range), {
    status: 206,
    headers: {
      ...headers,
      "content-length": `${range.last - range.first + 1}`,
      "content-range": `bytes ${range.first}-${range.last}/${size}`,
    },
  });
}
