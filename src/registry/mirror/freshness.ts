// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Clock } from "../../base/deps.ts";
import { ProvError } from "../../base/errors.ts";
import { type Millis, seconds } from "../../base/units.ts";

/** Tags and lists that are remembered; the oldest is forgotten first, and then simply asked for again. */
const REMEMBERED = 50_000;
/** How long an upstream that did not answer is spared. */
const REST = seconds(30);

/** When upstream was last asked for what, and whether it answers at all. Lost with the process. */
export interface Freshness {
  /** Whether upstream was asked for it within the time that an answer is trusted. */
  isFresh(key: string): boolean;
  /** Upstream has just answered for it. */
  answered(key: string): void;
  forget(key: string): void;
  /** Only an upstream that does not answer needs a rest; one that refuses answers at once. */
  failed(error: unknown): void;
  /** It did not answer a moment ago: who can do without it should, and who cannot should not wait long. */
  isResting(): boolean;
}

export function createFreshness(ttl: Millis, now: Clock): Freshness {
  const asked = new Map<string, number>();
  let restUntil = Number.NEGATIVE_INFINITY;
  return {
    isFresh: (key) => now() - (asked.get(key) ?? Number.NEGATIVE_INFINITY) < ttl,
    answered(key) {
      restUntil = Number.NEGATIVE_INFINITY;
      asked.delete(key);
      asked.set(key, now());
      if (asked.size <= REMEMBERED) return;
      for (const [oldest] of asked) {
        asked.delete(oldest);
        break;
      }
    },
    forget: (key) => void asked.delete(key),
    failed(error) {
      const isSilent = error instanceof ProvError && error.code === "REGISTRY_UNREACHABLE";
      if (isSilent) restUntil = now() + REST;
    },
    isResting: () => now() < restUntil,
  };
}
