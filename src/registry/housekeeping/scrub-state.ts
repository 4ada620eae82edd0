// SPDX-License-Identifier: AGPL-3.0-or-later
import { join } from "node:path";
import type { Digest } from "../digest.ts";
import { writeWhole } from "../storage/durable.ts";

/** What was wrong with a content, and what became of it. */
export interface Damage {
  readonly digest: Digest;
  /** Unix epoch, ms. */
  readonly foundAt: number;
  /**
   * `quarantined`: its bytes were not its digest's, nor is there another copy. `missing`: there was no
   * file. Both are unknown to the registry now, until they are pushed again. `repaired`: another copy
   * was whole and has taken its place.
   */
  readonly outcome: "quarantined" | "missing" | "repaired";
  readonly places: readonly DamagedPlace[];
  /** Where the damaged file lies now. */
  readonly file: string | null;
}

export interface DamagedPlace {
  readonly repository: string;
  /** It is one itself, or these need it. */
  readonly manifests: readonly Digest[];
  /** Of those manifests. A damaged manifest has lost them. */
  readonly tags: readonly string[];
}

/** How far a scrub is, or the last one came. Written down, so that it goes on after a restart. */
export interface ScrubState {
  /** Unix epoch, ms; null: there was none yet. */
  readonly startedAt: number | null;
  /** Null until it is through. */
  readonly finishedAt: number | null;
  /** The last digest that was looked at; `""` before the first. */
  readonly position: string;
  readonly contents: number;
  readonly bytes: number;
  /** What there was to read when it began. */
  readonly totalBytes: number;
  /** The first thousand. */
  readonly damages: readonly Damage[];
}

export const NO_SCRUB: ScrubState = {
  startedAt: null,
  finishedAt: null,
  position: "",
  contents: 0,
  bytes: 0,
  totalBytes: 0,
  damages: [],
};

const pathIn = (root: string): string => join(root, "scrub.json");

/** What cannot be read is begun anew. */
export async function readScrubState(root: string): Promise<ScrubState> {
  try {
    return { ...NO_SCRUB, ...(await Bun.file(pathIn(root)).json()) };
  } catch {
    return NO_SCRUB;
  }
}

export async function writeScrubState(root: string, state: ScrubState): Promise<void> {
  await writeWhole(pathIn(root), JSON.stringify(state, null, 2));
}
