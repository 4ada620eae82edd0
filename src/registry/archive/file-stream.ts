// SPDX-License-Identifier: AGPL-3.0-or-later
import type { FileHandle } from "node:fs/promises";

/** Chunks come in 16 to 64 KiB: written one by one they cost a fifth more time. */
const BATCH_BYTES = 1024 * 1024;

/** Chunks behind one another into a file, in batches: one is written while the next comes in. */
export interface FileStream {
  write(chunk: Uint8Array): Promise<void>;
  /** Resolves when all is written; also to be called after a failure, before the file is closed. */
  finish(): Promise<void>;
}

/** @param position of the first byte. */
export function writeStream(handle: FileHandle, position: number): FileStream {
  let batch: Uint8Array[] = [];
  let size = 0;
  let at = position;
  let writing: Promise<void> = Promise.resolve();

  async function flush(): Promise<void> {
    await writing;
    const [bytes, to] = [batch, at];
    at += size;
    batch = [];
    size = 0;
    writing = writeAll(handle, bytes, to);
    // Who waits for it next hears of its failure; until then it is not an unhandled one.
    writing.catch(() => undefined);
  }
  return {
    async write(chunk) {
      batch.push(chunk);
      size += chunk.byteLength;
      if (size >= BATCH_BYTES) await flush();
    },
    async finish() {
      await flush();
      await writing;
    },
  };
}

/** Every byte, however few the system takes at once. */
export async function writeAll(
  handle: FileHandle,
  parts: readonly Uint8Array[],
  position: number,
): Promise<void> {
  let left = parts.filter((part) => part.byteLength > 0);
  for (let at = position; left.length > 0; ) {
    const { bytesWritten } = await handle.writev([...left], at);
    at += bytesWritten;
    left = without(left, bytesWritten);
  }
}

function without(parts: readonly Uint8Array[], bytes: number): Uint8Array[] {
  let skip = bytes;
  return parts.flatMap((part) => {
    const taken = Math.min(skip, part.byteLength);
    skip -= taken;
    return taken === part.byteLength ? [] : [part.subarray(taken)];
  });
}
