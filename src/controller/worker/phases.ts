// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Phase } from "../../jobs/lifecycle.ts";
import { runBootOverride, runInsert, runPowerOff, runPowerOn } from "./boot-media.ts";
import { runCleanup, runReported } from "./cleanup.ts";
import { runMedia } from "./media.ts";
import type { PhaseRunner } from "./phase.ts";
import { runRunning, runWaiting } from "./waiting.ts";

export interface PhaseEntry {
  readonly run: PhaseRunner;
  /** `failed_step` of a failure that has no name of its own. */
  readonly failedStep: string;
  /** The phase ends itself in time, and knows better why; the others are cut off at their deadline. */
  readonly minds?: "its own deadline";
}

/** The life of a job under a worker, phase by phase. */
export const PHASES_OF_WORK: Readonly<Record<Phase, PhaseEntry>> = {
  media: { run: runMedia, failedStep: "media.build" },
  "power-off": { run: runPowerOff, failedStep: "redfish.power" },
  insert: { run: runInsert, failedStep: "redfish.insert" },
  "boot-override": { run: runBootOverride, failedStep: "redfish.boot-override" },
  "power-on": { run: runPowerOn, failedStep: "redfish.power" },
  waiting: { run: runWaiting, failedStep: "boot.no-check-in", minds: "its own deadline" },
  running: { run: runRunning, failedStep: "webhook.wait", minds: "its own deadline" },
  reported: { run: runReported, failedStep: "cleanup", minds: "its own deadline" },
  cleanup: { run: runCleanup, failedStep: "cleanup", minds: "its own deadline" },
};
