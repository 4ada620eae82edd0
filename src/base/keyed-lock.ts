// SPDX-License-Identifier: AGPL-3.0-or-later

/** Runs work of the same key one after the other, in the order it came. */
export interface KeyedLock {
  /** @param signal whoever still waits when it aborts waits no longer, and their work is not begun. */
  run<T>(key: string, work: () => Promise<T>, signal?: AbortSignal): Promise<T>;
}

export function createKeyedLock(): KeyedLock {
  const tails = new Map<string, Promise<unknown>>();
  return {
    async run(key, work, signal) {
      const before = tails.get(key) ?? Promise.resolve();
      const running = before.then(() => {
        signal?.throwIfAborted();
        return work();
      });
      const tail = running
        .catch(() => undefined)
        .finally(() => {
          if (tails.get(key) === tail) tails.delete(key);
        });
      tails.set(key, tail);
      if (signal !== undefined) await settledOrAborted(before, signal);
      return await running;
    },
  };
}

async function settledOrAborted(before: Promise<unknown>, signal: AbortSignal): Promise<void> {
  const { promise, reject } = Promise.withResolvers<never>();
  const abort = () => reject(signal.reason);
  if (signal.aborted) abort();
  signal.addEventListener("abort", abort, { once: true });
  try {
    await Promise.race([before, promise]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}
