// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Millis } from "../../base/units.ts";

/** What is collected, in this order. */
const GC_PHASES = ["tags", "manifests", "blobs", "strays", "repositories"] as const;
export type GcPhase = (typeof GC_PHASES)[number];

interface Removed {
  readonly phase: GcPhase;
  /** `""` for what belongs to none. */
  readonly repository: string;
  /** Tag, digest, or a file's path below the registry's root. */
  readonly name: string;
  readonly bytes: number;
}

export interface GcReport {
  /** Nothing was removed: the report says what would be. */
  readonly dryRun: boolean;
  readonly grace: Millis;
  readonly took: Millis;
  /** Bytes of content that another repository has too are free on the disk when its last copy goes. */
  readonly phases: Readonly<Record<GcPhase, { readonly count: number; readonly bytes: number }>>;
  /** The first thousand. */
  readonly removed: readonly Removed[];
}

const LISTED_MAX = 1000;

export interface Tally {
  add(removed: Removed): void;
  phases(): GcReport["phases"];
  removed(): readonly Removed[];
}

export function createTally(): Tally {
  const counts = new Map<GcPhase, { count: number; bytes: number }>();
  const listed: Removed[] = [];
  const of = (phase: GcPhase) => counts.get(phase) ?? { count: 0, bytes: 0 };
  return {
    add(removed) {
      const { count, bytes } = of(removed.phase);
      counts.set(removed.phase, { count: count + 1, bytes: bytes + removed.bytes });
      if (listed.length < LISTED_MAX) listed.push(removed);
    },
    phases: () => ({
      tags: of("tags"),
      manifests: of("manifests"),
      blobs: of("blobs"),
      strays: of("strays"),
      repositories: of("repositories"),
    }),
    removed: () => listed,
  };
}
