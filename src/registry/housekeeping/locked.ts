// SPDX-License-Identifier: AGPL-3.0-or-later
import type { KeyedLock } from "../../base/keyed-lock.ts";

/** The key of {@link KeyedLock} for a content of a repository. */
export const lockKey = (repository: string, digest: string): string => `${repository} ${digest}`;

/**
 * Runs work under many keys. They are taken in one order by everybody who takes more than one, so
 * that two of them never wait for each other.
 */
export async function runLocked<T>(
  locks: KeyedLock,
  keys: readonly string[],
  work: () => Promise<T>,
): Promise<T> {
  const [first, ...rest] = keys.toSorted();
  if (first === undefined) return await work();
  return await locks.run(first, () => runLocked(locks, rest, work));
}

/** Parts of at most `size`. */
export function batches<T>(items: readonly T[], size: number): T[][] {
  const parts: T[][] = [];
  for (let at = 0; at < items.length; at += size) parts.push(items.slice(at, at + size));
  return parts;
}
