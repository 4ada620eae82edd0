// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Millis } from "../../base/units.ts";

/** What is collected, in this order. */
const GC_PHASES = ["tags", "manifests", "blobs", "strays", "repositories"] as const;
export type GcPhase = (typeof GC_PHASES)[number];

export interface Removed {
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
  /** Resolves when everything that was added is recorded; rejects when something could not be. */
  recorded(): Promise<void>;
  phases(): GcReport["phases"];
  removed(): readonly Removed[];
}

/** @param record is told of each at once: what is gone is known also when the collection comes to no end. */
export function createTally(record: (removed: Removed) => Promise<void>): Tally {
  const counts = new Map<GcPhase, { count: number; bytes: number }>();
  const listed: Removed[] = [];
  let recording: Promise<unknown> = Promise.resolve();
  const of = (phase: GcPhase) => counts.get(phase) ?? { count: 0, bytes: 0 };
  return {
    add(removed) {
      const { count, bytes } = of(removed.phase);
      counts.set(removed.phase, { count: count + 1, bytes: bytes + removed.bytes });
      if (listed.length < LISTED_MAX) listed.push(removed);
      recording = Promise.all([recording, record(removed)]);
      // Seen by `recorded`; until then it must not count as unhandled.
      recording.catch(() => undefined);
    },
    recorded: async () => void (await recording),
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
