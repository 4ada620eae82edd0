// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * What a body is made of: bytes in memory and ranges of files, read whole or in chunks.
 */
import { closeSync, openSync, readSync } from "node:fs";
import { open } from "node:fs/promises";
import { ProvError } from "../base/errors.ts";

/** Bytes in memory, or the range [start, end) of a file. */
export type Span = { readonly kind: "bytes"; readonly bytes: Uint8Array } | FileSpan;

interface FileSpan {
  readonly kind: "file";
  readonly path: string;
  readonly start: number;
  readonly end: number;
}

/** Large enough that reading is cheap, small enough for hundreds of slow readers. */
const CHUNK_BYTES = 262_144;

/**
 * All bytes at once, for short bodies.
 *
 * @throws {ProvError} MEDIA_INVALID when a file ends before its range does.
 */
export function readSpans(spans: readonly Span[]): Uint8Array<ArrayBuffer> {
  return Buffer.concat(spans.map((span) => (span.kind === "bytes" ? span.bytes : readWhole(span))));
}

function readWhole(span: FileSpan): Uint8Array {
  const fd = openSync(span.path, "r");
  try {
    const bytes = readFd(fd, span.start, span.end - span.start);
    if (bytes.length < span.end - span.start) throw endsEarly(span, span.start + bytes.length);
    return bytes;
  } finally {
    closeSync(fd);
  }
}

/** @returns fewer bytes than asked for only where the file ends */
export function readFd(fd: number, offset: number, length: number): Uint8Array {
  const bytes = Buffer.alloc(length);
  let done = 0;
  while (done < length) {
    const n = readSync(fd, bytes, done, length - done, offset + done);
    if (n === 0) break;
    done += n;
  }
  return bytes.subarray(0, done);
}

/**
 * The same bytes in chunks of at most 256 KiB of a file; reads the next one only when it is asked for.
 *
 * @throws {ProvError} MEDIA_INVALID when a file ends before its range does.
 */
export async function* spanChunks(spans: readonly Span[]): AsyncGenerator<Uint8Array> {
  for (const span of spans) {
    if (span.kind === "bytes") yield span.bytes;
    else yield* fileChunks(span);
  }
}

async function* fileChunks(span: FileSpan): AsyncGenerator<Uint8Array> {
  const file = await open(span.path, "r");
  try {
    for (let at = span.start; at < span.end; ) {
      const chunk = Buffer.allocUnsafe(Math.min(CHUNK_BYTES, span.end - at));
      const { bytesRead } = await file.read(chunk, 0, chunk.length, at);
      if (bytesRead === 0) throw endsEarly(span, at);
      yield chunk.subarray(0, bytesRead);
      at += bytesRead;
    }
  } finally {
    await file.close();
  }
}

const endsEarly = (span: FileSpan, at: number) =>
  new ProvError(
    `Cannot serve bytes ${span.start} to ${span.end} of ${span.path}: it ends at ${at}`,
    {
      code: "MEDIA_INVALID",
    },
  );
