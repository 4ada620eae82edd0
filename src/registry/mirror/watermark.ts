// SPDX-License-Identifier: AGPL-3.0-or-later

/** How far a blob has come, for those who wait for its bytes. */
export interface Watermark {
  /** So many bytes are there, not verified yet. */
  advance(bytes: number): void;
  /** All of it is there and is what it should be. */
  complete(): void;
  /** No more comes. */
  fail(error: unknown): void;
  /**
   * Waits for a byte at `position`.
   * @returns how many bytes from the beginning can be read, more than `position`.
   * @throws what it has failed with, once all that came before is read.
   */
  beyond(position: number): Promise<number>;
}

/**
 * The last byte is not given out before the whole is verified: nobody can take what is wrong for
 * complete.
 * @param size in bytes.
 */
export function createWatermark(size: number): Watermark {
  let readable = 0;
  let failure: { readonly error: unknown } | undefined;
  let change = Promise.withResolvers<void>();
  function wake() {
    const { resolve } = change;
    change = Promise.withResolvers();
    resolve();
  }
  return {
    advance(bytes) {
      readable = Math.max(0, Math.min(bytes, size - 1));
      wake();
    },
    complete() {
      readable = size;
      wake();
    },
    fail(error) {
      failure = { error };
      wake();
    },
    async beyond(position) {
      while (readable <= position) {
        if (failure !== undefined) throw failure.error;
        await change.promise;
      }
      return readable;
    },
  };
}
