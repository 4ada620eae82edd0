// SPDX-License-Identifier: AGPL-3.0-or-later
import { setImmediate } from "node:timers/promises";

/** To be awaited at each turn of a long loop: gives way to requests when it is time to. */
export type Pace = () => Promise<void> | undefined;

const SLICE_MS = 3;

/** @param signal makes it throw the signal's reason: whatever runs at this pace ends. */
export function createPace(signal?: AbortSignal): Pace {
  let since = performance.now();
  return () => {
    signal?.throwIfAborted();
    if (performance.now() - since < SLICE_MS) return undefined;
    return setImmediate().then(() => {
      since = performance.now();
    });
  };
}
