// SPDX-License-Identifier: AGPL-3.0-or-later
import { type Millis, millis, minutes } from "../../base/units.ts";
import type { Phase } from "../../jobs/lifecycle.ts";
import type { Budgets } from "../../workflows/workflow.ts";
import type { DeadlineOverrides } from "../config.ts";

/** How long each phase may take, counted from when it was entered. */
export interface Deadlines {
  readonly phase: Readonly<Record<Phase, Millis>>;
  /** Within `waiting`: until somebody has read the boot medium. */
  readonly mediaRead: Millis;
  /** Within `running`: until the agent has started its first step. */
  readonly firstStep: Millis;
}

/**
 * One conversation of a phase with a BMC. The slowest that are known need a minute per insert, five to
 * switch on or off, and are away for some minutes after they were reset (facts in redfish/quirks.ts).
 */
const BMC: Millis = minutes(20);
/** Firmware self-test of a large server takes up to five minutes; then its boot loader reads at once. */
const MEDIA_READ: Millis = minutes(8);
/** The first step starts within seconds of the check-in. */
const FIRST_STEP: Millis = minutes(10);
export const CLEANUP: Millis = minutes(10);

export function deadlinesFor(budgets: Budgets, set: DeadlineOverrides): Deadlines {
  const bmc = set.bmcMs ?? BMC;
  return {
    phase: {
      media: bmc,
      "power-off": bmc,
      insert: bmc,
      "boot-override": bmc,
      "power-on": bmc,
      waiting: set.checkInMs ?? budgets.checkInMs,
      running: set.installMs ?? budgets.installMs,
      reported: bmc,
      cleanup: set.cleanupMs ?? CLEANUP,
    },
    mediaRead: set.mediaReadMs ?? MEDIA_READ,
    firstStep: set.firstStepMs ?? FIRST_STEP,
  };
}

/** How long a job can take if every phase takes all of its time: as long as its media URLs have to live. */
export function longestJob({ phase }: Deadlines): Millis {
  return millis(Object.values(phase).reduce((sum, ms) => sum + ms, 0));
}
