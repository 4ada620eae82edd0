// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Clock } from "../../base/deps.ts";
import { formatDuration, type Millis } from "../../base/units.ts";

export interface StallWatch {
  /** Aborts when a connection has been silent for too long. */
  readonly signal: AbortSignal;
  /** Counts the time until `something` is there; what lies between two of them does not count. */
  wait<T>(something: Promise<T>): Promise<T>;
  /** Bytes moved: the time starts again. */
  moved(): void;
  stop(): void;
}

/** Gives up a connection on which nothing moves; a slow one is left alone for as long as it moves. */
export function watchStall(after: Millis, now: Clock): StallWatch {
  const stalled = new AbortController();
  let since: number | undefined;
  const timer = setInterval(() => {
    if (since !== undefined && now() - since >= after) {
      stalled.abort(new Error(`nothing moved for ${formatDuration(after)}`));
    }
  }, after / 4);
  return {
    signal: stalled.signal,
    async wait(something) {
      since = now();
      try {
        return await something;
      } finally {
        since = undefined;
      }
    },
    moved() {
      if (since !== undefined) since = now();
    },
    stop: () => clearInterval(timer),
  };
}
