// SPDX-License-Identifier: AGPL-3.0-or-later

/** Bytes `[start, end)` of something large. */
export type ReadRange = (start: number, end: number) => Promise<Uint8Array>;

export interface BlockCacheOptions {
  /** Of the whole source, in bytes. */
  readonly size: number;
  /** In bytes; every read of the source is one whole block, or the rest at the end. */
  readonly block: number;
  /** How many blocks are kept, the least recently used leaving first. */
  readonly keep: number;
}

/**
 * Turns many small reads into few large ones. Readers who want the same block at the same time
 * share one read; a sequential reader finds the next block already on its way; a failed read is
 * forgotten, so that the next reader tries again.
 */
export function cacheBlocks(read: ReadRange, options: BlockCacheOptions): ReadRange {
  const { size, block, keep } = options;
  const blocks = new Map<number, Promise<Uint8Array>>();

  function fetchBlock(index: number): Promise<Uint8Array> {
    const cached = blocks.get(index);
    const bytes = cached ?? read(index * block, Math.min(size, (index + 1) * block));
    if (cached === undefined) bytes.catch(() => blocks.delete(index));
    blocks.delete(index);
    blocks.set(index, bytes);
    for (const oldest of blocks.keys()) {
      if (blocks.size <= keep) break;
      blocks.delete(oldest);
    }
    return bytes;
  }

  return async (start, end) => {
    const stop = Math.min(end, size);
    const result = new Uint8Array(Math.max(0, stop - start));
    const last = Math.floor((stop - 1) / block);
    for (let index = Math.floor(start / block); index <= last; index++) {
      const sequential = blocks.has(index - 1) && (index + 1) * block < size;
      const bytes = fetchBlock(index);
      if (sequential && !blocks.has(index + 1)) void fetchBlock(index + 1).catch(() => undefined);
      const from = Math.max(start, index * block);
      const to = Math.min(stop, (index + 1) * block);
      result.set((await bytes).subarray(from - index * block, to - index * block), from - start);
    }
    return result;
  };
}
