// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * Overlay images: a base file in which a few ranges of bytes are replaced when it is served. The base
 * is never copied.
 */
import { closeSync, openSync, statSync } from "node:fs";
import { ProvError } from "../base/errors.ts";
import { formatBytes } from "../base/units.ts";
import { type ByteExtent, findExtent } from "./iso-reader.ts";
import { readFd, readSpans, type Span } from "./spans.ts";

/** The file where the maintenance ISO keeps room for a task ISO. */
const RESERVED = "/task.img";

export interface Patch {
  /** Bytes from the start of the base. */
  readonly offset: number;
  readonly bytes: Uint8Array;
}

export interface Overlay {
  readonly base: BaseFile;
  /** In order of their offsets, none empty, none over another, all within the base. */
  readonly patches: readonly Patch[];
}

export interface BaseFile {
  readonly path: string;
  readonly size: number;
  /** Milliseconds. With the size it tells whether the file is still the one that was laid over. */
  readonly mtimeMs: number;
}

/** @throws {ProvError} MEDIA_INVALID when there is no such file. */
export function statBase(path: string): BaseFile {
  try {
    const { size, mtimeMs } = statSync(path);
    return { path, size, mtimeMs };
  } catch (error) {
    throw new ProvError(`Cannot read the image ${path}`, { code: "MEDIA_INVALID", cause: error });
  }
}

/** @throws {ProvError} MEDIA_INVALID when patches overlap, or reach past the end of the base. */
export function overlay(base: BaseFile, patches: readonly Patch[]): Overlay {
  const sorted = patches
    .filter((patch) => patch.bytes.length > 0)
    .toSorted((a, b) => a.offset - b.offset);
  let end = 0;
  for (const patch of sorted) {
    if (patch.offset < end) {
      throw invalid(`Cannot lay patches over ${base.path}: overlap at byte ${patch.offset}`);
    }
    end = patch.offset + patch.bytes.length;
  }
  if (end > base.size) {
    throw invalid(`Cannot lay patches over ${base.path}: byte ${end} is past its end`);
  }
  return { base, patches: sorted };
}

const invalid = (message: string, hint?: string) =>
  new ProvError(message, { code: "MEDIA_INVALID", ...(hint === undefined ? {} : { hint }) });

/**
 * The maintenance ISO with a task ISO in its reserved file. Bytes of the reserved file after the
 * task ISO stay as they are.
 *
 * @throws {ProvError} MEDIA_INVALID when the file is no ISO, or has too little room reserved.
 */
export function combinedIso(maintenanceIsoPath: string, taskIso: Uint8Array): Overlay {
  const base = statBase(maintenanceIsoPath);
  const extent = reservedExtent(base);
  if (extent.size < taskIso.length) {
    throw invalid(
      `Cannot lay a task ISO of ${formatBytes(taskIso.length)} over ${base.path}: ${RESERVED} has ${formatBytes(extent.size)}`,
      `Rebuild the maintenance ISO with a larger ${RESERVED}, or make the recipe smaller.`,
    );
  }
  return overlay(base, [{ offset: extent.offset, bytes: taskIso }]);
}

/** One look-up for each version of each file; a changed file replaces its old entry. */
const extents = new Map<string, { readonly base: BaseFile; readonly extent: ByteExtent }>();

function reservedExtent(base: BaseFile): ByteExtent {
  const known = extents.get(base.path);
  if (known?.base.size === base.size && known.base.mtimeMs === base.mtimeMs) return known.extent;
  const extent = lookUp(base);
  extents.set(base.path, { base, extent });
  return extent;
}

function lookUp(base: BaseFile): ByteExtent {
  const fd = openSync(base.path, "r");
  try {
    const extent = findExtent((offset, length) => readFd(fd, offset, length), RESERVED);
    if (extent.offset + extent.size > base.size) throw invalid(`${RESERVED} reaches past the end`);
    return extent;
  } catch (error) {
    throw new ProvError(`Cannot use ${base.path} as a combined ISO`, {
      code: "MEDIA_INVALID",
      cause: error,
      hint: `Use a maintenance ISO of this version of prov, which reserves ${RESERVED}.`,
    });
  } finally {
    closeSync(fd);
  }
}

/** The parts that make up bytes [start, end) of the served image, in order. */
export function overlaySpans({ base, patches }: Overlay, start: number, end: number): Span[] {
  const spans: Span[] = [];
  let at = start;
  const fileUpTo = (stop: number) => {
    if (stop > at) spans.push({ kind: "file", path: base.path, start: at, end: stop });
    at = Math.max(at, stop);
  };
  for (const { offset, bytes } of patches) {
    const patchEnd = offset + bytes.length;
    if (patchEnd <= at || offset >= end) continue;
    fileUpTo(offset);
    const stop = Math.min(patchEnd, end);
    spans.push({ kind: "bytes", bytes: bytes.subarray(at - offset, stop - offset) });
    at = stop;
  }
  fileUpTo(end);
  return spans;
}

/**
 * Bytes of the served image in memory, for short ranges.
 *
 * @returns fewer bytes than asked for only where the image ends
 */
export function readOverlay(image: Overlay, offset: number, length: number): Uint8Array {
  const end = Math.min(offset + length, image.base.size);
  return readSpans(overlaySpans(image, Math.min(offset, end), end));
}
