// SPDX-License-Identifier: AGPL-3.0-or-later
import type { ReadRange } from "./block-cache.ts";

const SECTOR = 2048;

export interface Extent {
  /** In bytes from the start of the image. */
  readonly offset: number;
  readonly size: number;
}

/**
 * Finds a file in the root directory of an ISO 9660 image (ECMA-119 §8.4, §9.1), by its plain name
 * without version: `TASK.IMG`. Undefined when it is no such image or has no such file.
 */
export async function findIsoFile(read: ReadRange, name: string): Promise<Extent | undefined> {
  const descriptor = await read(16 * SECTOR, 17 * SECTOR);
  if (new TextDecoder().decode(descriptor.subarray(1, 6)) !== "CD001") return undefined;
  const root = extentAt(descriptor, 156);
  const directory = await read(root.offset, root.offset + root.size);
  let at = 0;
  while (at < directory.length) {
    const length = directory[at] ?? 0;
    if (length === 0) {
      // Records do not cross sectors: the rest of this one is padding.
      at = (Math.floor(at / SECTOR) + 1) * SECTOR;
      continue;
    }
    const identifier = directory.subarray(at + 33, at + 33 + (directory[at + 32] ?? 0));
    if (new TextDecoder().decode(identifier).split(";")[0] === name) return extentAt(directory, at);
    at += length;
  }
  return undefined;
}

/** The extent of the directory record at `at`. */
function extentAt(bytes: Uint8Array, at: number): Extent {
  const view = new DataView(bytes.buffer, bytes.byteOffset + at, 34);
  return { offset: view.getUint32(2, true) * SECTOR, size: view.getUint32(10, true) };
}
