// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Sleep } from "../../src/base/deps.ts";

interface Timer {
  readonly at: number;
  readonly ring: () => void;
}

/** A clock that stands still until it is told how much time passes. */
export class FakeClock {
  #now: number;
  readonly #timers = new Set<Timer>();

  constructor(start = Date.UTC(2026, 0, 1)) {
    this.#now = start;
  }

  readonly now = (): number => this.#now;

  readonly sleep: Sleep = (ms, signal) =>
    new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(signal.reason);
        return;
      }
      const timer = {
        at: this.#now + Math.max(0, ms),
        ring: () => {
          signal?.removeEventListener("abort", abort);
          this.#timers.delete(timer);
          resolve();
        },
      };
      const abort = () => {
        this.#timers.delete(timer);
        reject(signal?.reason);
      };
      signal?.addEventListener("abort", abort, { once: true });
      this.#timers.add(timer);
    });

  /** Lets time pass, with everything that happens on the way. */
  async advance(ms: number): Promise<void> {
    const until = this.#now + ms;
    await settle();
    for (;;) {
      const next = [...this.#timers].toSorted((a, b) => a.at - b.at)[0];
      if (next === undefined || next.at > until) break;
      this.#now = Math.max(this.#now, next.at);
      next.ring();
      await settle();
    }
    this.#now = until;
    await settle();
  }
}

/** Lets everything run that does not wait for time. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 6; i++) await new Promise((resolve) => setImmediate(resolve));
}
