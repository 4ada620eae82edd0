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
  /** @returns takes it back: it was no failure. */
  failed(address: string): () => void;
}

/** Counts failed logins by address: guessing gets ten tries a minute. */
export function createLoginLimit(now: Clock): LoginLimit {
  const failures = new Map<string, { count: number; readonly since: number }>();

  function current(address: string) {
    const entry = failures.get(address);
    return entry !== undefined && entry.since + WINDOW > now() ? entry : undefined;
  }

  function start(address: string) {
    const entry = { count: 0, since: now() };
    failures.delete(address);
    failures.set(address, entry);
    const [oldest] = failures.keys();
    if (failures.size > ADDRESSES_MAX && oldest !== undefined) failures.delete(oldest);
    return entry;
  }

  return {
    blockedFor(address) {
      const entry = current(address);
      if (entry === undefined || entry.count < FAILURES_PER_WINDOW) return 0;
      return entry.since + WINDOW - now();
    },
    failed(address) {
      const entry = current(address) ?? start(address);
      entry.count++;
      return () => {
        entry.count--;
      };
    },
  };
}
