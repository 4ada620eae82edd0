// SPDX-License-Identifier: AGPL-3.0-or-later
import { open } from "node:fs/promises";

const BUFFER_BYTES = 256 * 1024;

/**
 * The bytes of a file, in order. Each piece is gone when the next one is asked for: all of them lie in
 * one buffer, because fresh ones would pile up faster than they are collected.
 *
 * @param onRead called with the bytes that have been read so far.
 */
export async function* readFile(
  path: string,
  onRead: (done: number) => void,
): AsyncGenerator<Uint8Array, undefined> {
  const file = await open(path);
  try {
    const buffer = new Uint8Array(BUFFER_BYTES);
    let done = 0;
    for (;;) {
      const { bytesRead } = await file.read(buffer, 0, BUFFER_BYTES, done);
      if (bytesRead === 0) return undefined;
      done += bytesRead;
      onRead(done);
      yield buffer.subarray(0, bytesRead);
    }
  } finally {
    await file.close();
  }
}
