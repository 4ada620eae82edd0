// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * The outside world as arguments: what rooms with effects are handed instead of reaching for it.
 */
import type { Millis } from "./units.ts";

/** The part of the global `fetch` that prov uses. `tls` and `proxy` are Bun's extensions of it. */
export type Fetch = (url: string, init?: BunFetchRequestInit) => Promise<Response>;

/** Unix epoch, ms. */
export type Clock = () => number;

/** Resolves after `ms`; rejects with the signal's reason when it aborts first. */
export type Sleep = (ms: Millis, signal?: AbortSignal) => Promise<void>;

/** Structured logging: fields first, then one constant message. Never given a secret. */
export interface Log {
  debug(fields: LogFields, message: string): void;
  info(fields: LogFields, message: string): void;
  warn(fields: LogFields, message: string): void;
  error(fields: LogFields, message: string): void;
}
export type LogFields = Readonly<Record<string, unknown>>;

export const silentLog: Log = { debug() {}, info() {}, warn() {}, error() {} };

/** A timer for longer than this rings at once. */
const LONGEST_TIMER = 2 ** 31 - 1;

export const realSleep: Sleep = async (ms, signal) => {
  let left: number = ms;
  for (; left > LONGEST_TIMER; left -= LONGEST_TIMER) await sleepOnce(LONGEST_TIMER, signal);
  await sleepOnce(left, signal);
};

function sleepOnce(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason);
      return;
    }
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", abort);
      resolve();
    }, ms);
    function abort() {
      clearTimeout(timer);
      reject(signal?.reason);
    }
    signal?.addEventListener("abort", abort, { once: true });
  });
}
