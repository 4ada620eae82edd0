// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * What to answer to a request for a medium, as data: status, headers and the spans of the body.
 * serve.ts and listen.ts put it on the wire.
 */
import { createHash } from "node:crypto";
import { ProvError } from "../base/errors.ts";
import { parseRange } from "./byte-range.ts";
import { type Overlay, overlaySpans, statBase } from "./overlay.ts";
import type { Span } from "./spans.ts";

export type MediaSource =
  | { readonly kind: "bytes"; readonly bytes: Uint8Array }
  | { readonly kind: "file"; readonly path: string }
  | { readonly kind: "overlay"; readonly overlay: Overlay };

/** The part of a request that decides the answer. */
export interface MediaRequest {
  readonly method: string;
  readonly headers: { get(name: string): string | null };
}

export interface MediaAnswer {
  readonly status: 200 | 206 | 304 | 405 | 416;
  readonly headers: Readonly<Record<string, string>>;
  /** Empty when the answer has no body, as for HEAD. */
  readonly spans: readonly Span[];
  /** Bytes of content that this answer carries; a GET of them proves that somebody reads the medium. */
  readonly contentBytes: number;
}

interface Representation {
  readonly size: number;
  /** Strong, in quotes. */
  readonly etag: string;
  /** IMF-fixdate; undefined for what has no date. */
  readonly lastModified: string | undefined;
  spans(start: number, end: number): Span[];
}

/** @throws {ProvError} MEDIA_INVALID when the file is gone, or is not the one that was laid over. */
export function answerMedia(request: MediaRequest, source: MediaSource): MediaAnswer {
  if (request.method !== "GET" && request.method !== "HEAD") {
    return withoutBody(405, { allow: "GET, HEAD", "content-length": "0" });
  }
  const medium = represent(source);
  const headers = {
    "content-type": "application/x-iso9660-image",
    // A server that sends a file would otherwise tell its name.
    "content-disposition": "inline",
    "accept-ranges": "bytes",
    "cache-control": "private, max-age=60, no-transform",
    etag: medium.etag,
    ...(medium.lastModified === undefined ? {} : { "last-modified": medium.lastModified }),
  };
  if (matchesAny(request.headers.get("if-none-match"), medium.etag)) {
    return withoutBody(304, headers);
  }
  const whole = { ...headers, "content-length": String(medium.size) };
  // Range is defined for GET alone (RFC 9110 14.2).
  if (request.method === "HEAD") return withoutBody(200, whole);
  const range = parseRange(rangeOf(request, medium), medium.size);
  if (range.kind === "unsatisfiable") {
    const size = `bytes */${medium.size}`;
    return withoutBody(416, { ...headers, "content-range": size, "content-length": "0" });
  }
  if (range.kind === "whole") {
    const spans = medium.spans(0, medium.size);
    return { status: 200, headers: whole, spans, contentBytes: medium.size };
  }
  const { start, end } = range;
  return {
    status: 206,
    headers: {
      ...headers,
      "content-range": `bytes ${start}-${end - 1}/${medium.size}`,
      "content-length": String(end - start),
    },
    spans: medium.spans(start, end),
    contentBytes: end - start,
  };
}

const withoutBody = (
  status: MediaAnswer["status"],
  headers: MediaAnswer["headers"],
): MediaAnswer => ({ status, headers, spans: [], contentBytes: 0 });

/** The Range header, unless If-Range says that the reader has another version (RFC 9110 13.1.5). */
function rangeOf(request: MediaRequest, medium: Representation): string | null {
  const ifRange = request.headers.get("if-range")?.trim();
  const isCurrent =
    ifRange === undefined || ifRange === medium.etag || ifRange === medium.lastModified;
  return isCurrent ? request.headers.get("range") : null;
}

/** Weak comparison, as If-None-Match wants it (RFC 9110 13.1.2). */
function matchesAny(header: string | null, etag: string): boolean {
  if (header === null) return false;
  const tags = header.split(",").map((tag) => tag.trim().replace(/^W\//, ""));
  return tags.includes("*") || tags.includes(etag);
}

function represent(source: MediaSource): Representation {
  switch (source.kind) {
    case "bytes":
      return representBytes(source.bytes);
    case "file":
      return representOverlay({ base: statBase(source.path), patches: [] });
    case "overlay":
      return representOverlay(source.overlay);
  }
}

function representBytes(bytes: Uint8Array): Representation {
  return {
    size: bytes.length,
    etag: `"sha256:${sha256Of(bytes)}"`,
    lastModified: undefined,
    spans: (start, end) => [{ kind: "bytes", bytes: bytes.subarray(start, end) }],
  };
}

function representOverlay(overlay: Overlay): Representation {
  const { base, patches } = overlay;
  const now = statBase(base.path);
  if (now.size !== base.size || now.mtimeMs !== base.mtimeMs) {
    throw new ProvError(`Cannot serve ${base.path}: it was changed after a job began to use it`, {
      code: "MEDIA_INVALID",
      hint: "Start the job again; it will use the image as it is now.",
    });
  }
  const version = createHash("sha256").update(`${base.size} ${base.mtimeMs}`);
  for (const { offset, bytes } of patches) version.update(` ${offset} ${sha256Of(bytes)}`);
  return {
    size: base.size,
    etag: `"${version.digest("hex").slice(0, 32)}"`,
    lastModified: new Date(base.mtimeMs).toUTCString(),
    spans: (start, end) => overlaySpans(overlay, start, end),
  };
}

/** A medium is asked for thousands of times while a server boots from it, and its bytes never change. */
const digests = new WeakMap<Uint8Array, string>();

function sha256Of(bytes: Uint8Array): string {
  const known = digests.get(bytes);
  if (known !== undefined) return known;
  const digest = createHash("sha256").update(bytes).digest("hex");
  digests.set(bytes, digest);
  return digest;
}
