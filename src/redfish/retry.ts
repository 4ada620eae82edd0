// SPDX-License-Identifier: AGPL-3.0-or-later
import { type Millis, millis, seconds } from "../base/units.ts";

/** Longest wait a BMC may ask for: some name an hour while they are back in a minute. */
const LONGEST_WAIT = seconds(120);

const FIRST_WAIT = millis(500);
const LONGEST_BACKOFF = seconds(8);

/**
 * How long to wait before try number `attempt + 1`: 0.5 s doubling to 8 s, plus up to 20 % so that
 * many BMCs that went away together are not asked together.
 *
 * @param attempt number of tries made so far, from 0.
 * @param random uniform in [0, 1).
 */
export function backoff(attempt: number, random: () => number): Millis {
  const base = Math.min(LONGEST_BACKOFF, FIRST_WAIT * 2 ** attempt);
  return millis(Math.round(base * (1 + 0.2 * random())));
}

/**
 * Reads `Retry-After` in both its forms, a number of seconds or an HTTP date (RFC 9110, 10.2.3).
 *
 * @param now Unix epoch, ms.
 * @returns at most two minutes; undefined when there is no header or it is neither form.
 */
export function retryAfter(header: string | null, now: number): Millis | undefined {
  if (header === null) return undefined;
  const wait = /^\d+$/.test(header.trim()) ? Number(header) * 1000 : Date.parse(header) - now;
  if (Number.isNaN(wait)) return undefined;
  return millis(Math.min(LONGEST_WAIT, Math.max(0, wait)));
}
