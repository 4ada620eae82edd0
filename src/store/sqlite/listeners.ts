// SPDX-License-Identifier: AGPL-3.0-or-later

/**
 * Wakes those who wait for a key to change, inside this process. Waiting goes on in promises, so whoever
 * is woken inside a transaction runs after its commit; one that is rolled back wakes them for nothing.
 */
export class Listeners {
  readonly #waiting = new Map<string, Set<() => void>>();

  /** Resolves at the next {@link wake} of the key, or when the signal aborts. */
  wait(key: string, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const wakers = this.#waiting.get(key) ?? new Set();
      this.#waiting.set(key, wakers);
      const waker = () => {
        signal.removeEventListener("abort", waker);
        wakers.delete(waker);
        if (wakers.size === 0 && this.#waiting.get(key) === wakers) this.#waiting.delete(key);
        resolve();
      };
      wakers.add(waker);
      signal.addEventListener("abort", waker, { once: true });
    });
  }

  wake(key: string): void {
    for (const waker of this.#waiting.get(key) ?? []) waker();
  }

  wakeAll(): void {
    for (const key of [...this.#waiting.keys()]) this.wake(key);
  }
}
