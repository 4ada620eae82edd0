// SPDX-License-Identifier: AGPL-3.0-or-later

/** Runs one piece of work at a time per key; others wait in the order they came. */
export interface KeyedLock {
  run<T>(key: string, work: () => Promise<T>): Promise<T>;
}

/**
 * BMCs lose track of two callers that change things at once. Everything the controller asks of one goes
 * through here, keyed by its URL; over several controllers a job's lease does the same.
 */
export function createBmcLock(): KeyedLock {
  const tails = new Map<string, Promise<unknown>>();
  return {
    async run(key, work) {
      const before = tails.get(key) ?? Promise.resolve();
      const running = before.then(work, work);
      const tail = running.catch(() => undefined);
      tails.set(key, tail);
      try {
        return await running;
      } finally {
        if (tails.get(key) === tail) tails.delete(key);
      }
    },
  };
}
