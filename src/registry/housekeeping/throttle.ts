// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Clock, Sleep } from "../../base/deps.ts";
import { type Millis, millis } from "../../base/units.ts";

/** To be awaited after so many bytes: resolves when it is time for more. */
export type Throttle = (bytes: number) => Promise<void>;

/** Shorter waits are saved up. */
const SHORTEST = millis(50);

export function createThrottle(
  bytesPerSecond: number,
  { now, sleep, signal }: { now: Clock; sleep: Sleep; signal: AbortSignal },
): Throttle {
  /** When what has been read so far may be over. */
  let due = now();
  return async (bytes) => {
    signal.throwIfAborted();
    // Time that went by unused is not caught up with.
    due = Math.max(due, now()) + (bytes * 1000) / bytesPerSecond;
    const ahead: Millis = millis(due - now());
    if (ahead >= SHORTEST) await sleep(ahead, signal);
  };
}
