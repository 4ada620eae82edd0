// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Clock } from "../../base/deps.ts";
import { type Millis, minutes } from "../../base/units.ts";

const WINDOW: Millis = minutes(1);
const FAILURES_PER_WINDOW = 10;
/** Forgotten from the oldest on, so that a flood of addresses cannot fill memory. */
const ADDRESSES_MAX = 10_000;

export interface LoginLimit {
  /** Milliseconds until the address may try again; 0: now. */
  blockedFor(address: string): number;
  failed(address: string): void;
}

/** Counts failed logins by address: guessing gets ten tries a minute. */
export function createLoginLimit(now: Clock): LoginLimit {
  const failures = new Map<string, { count: number; readonly since: number }>();

  function current(address: string) {
    const entry = failures.get(address);
    return entry !== undefined && entry.since + WINDOW > now() ? entry : undefined;
  }

  return {
    blockedFor(address) {
      const entry = current(address);
      if (entry === undefined || entry.count < FAILURES_PER_WINDOW) return 0;
      return entry.since + WINDOW - now();
    },
    failed(address) {
      const entry = current(address);
      if (entry !== undefined) {
        entry.count++;
        return;
      }
      failures.delete(address);
      failures.set(address, { count: 1, since: now() });
      if (failures.size <= ADDRESSES_MAX) return;
      for (const oldest of failures.keys()) {
        failures.delete(oldest);
        return;
      }
    },
  };
}
