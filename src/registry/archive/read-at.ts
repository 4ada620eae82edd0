// SPDX-License-Identifier: AGPL-3.0-or-later
import type { FileHandle } from "node:fs/promises";
import type { ReadAt } from "./tar-reader.ts";

/** Reads an open file at any place. */
export function readAtOf(handle: FileHandle): ReadAt {
  return async (offset, length) => {
    const bytes = new Uint8Array(length);
    let filled = 0;
    while (filled < length) {
      const { bytesRead } = await handle.read(bytes, filled, length - filled, offset + filled);
      if (bytesRead === 0) break;
      filled += bytesRead;
    }
    return bytes.subarray(0, filled);
  };
}
