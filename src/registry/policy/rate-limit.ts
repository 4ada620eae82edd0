// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Clock } from "../../base/deps.ts";
import type { RateLimit } from "./policy.ts";

/** So many callers are remembered; a flood of addresses must not fill memory. */
const CALLERS_MAX = 10_000;

export interface RateLimiter {
  /** Takes one request of the caller's. @returns milliseconds until there is one; 0: it was taken. */
  take(caller: string, limit: RateLimit): number;
}

/** A token bucket for each caller: it holds a burst, and fills at the rate. */
export function createRateLimiter(now: Clock): RateLimiter {
  const buckets = new Map<string, { readonly tokens: number; readonly at: number }>();
  return {
    take(caller, { requestsPerSecond, burst }) {
      const at = now();
      const before = buckets.get(caller);
      const gained = before === undefined ? burst : ((at - before.at) / 1000) * requestsPerSecond;
      const tokens = Math.min(burst, (before?.tokens ?? 0) + Math.max(0, gained));
      const isTaken = tokens >= 1;
      buckets.delete(caller);
      buckets.set(caller, { tokens: isTaken ? tokens - 1 : tokens, at });
      // The one that has been quiet for longest is the fullest.
      const [quietest] = buckets.keys();
      if (buckets.size > CALLERS_MAX && quietest !== undefined) buckets.delete(quietest);
      return isTaken ? 0 : Math.ceil(((1 - tokens) / requestsPerSecond) * 1000);
    },
  };
}
