// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Clock, Sleep } from "../base/deps.ts";
import type { Millis } from "../base/units.ts";

export interface WaitDeps {
  readonly now: Clock;
  readonly sleep: Sleep;
  readonly signal: AbortSignal;
}

/**
 * Reads again and again until `done` holds or `timeout` is over. At least one read is made.
 *
 * @returns the last value read, and whether it is the one waited for.
 */
export async function pollUntil<T>(
  deps: WaitDeps,
  times: { readonly timeout: Millis; readonly every: Millis },
  poll: { readonly read: () => Promise<T>; readonly done: (value: T) => boolean },
): Promise<{ readonly value: T; readonly reached: boolean }> {
  const end = deps.now() + times.timeout;
  for (;;) {
    const value = await poll.read();
    if (poll.done(value)) return { value, reached: true };
    if (deps.now() >= end) return { value, reached: false };
    await deps.sleep(times.every, deps.signal);
  }
}
