// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * What a `task_target` stands for: the steps that turn a recipe into an installed server, and how long
 * they may take. A workflow is one folder beside this file and one line in all.ts.
 *
 * A step runs in three moves, and only the last may change what the machine boots:
 *   1. `reach(input)` mounts, read-only, what the planner has to see; `look(input)` says what that is;
 *      what was reached is unmounted again (`leave`).
 *   2. `plan(input, found)` decides everything.
 *   3. The plan is executed as it stands.
 */
import type { Millis } from "../base/units.ts";
import type { Plan } from "../plan/action.ts";
import type { MachineFacts } from "../plan/facts.ts";
import type { Found, Look } from "../plan/look.ts";
import type { Recipe } from "../recipe/recipe.ts";

export interface StepInput {
  readonly recipe: Recipe;
  readonly machine: MachineFacts;
  readonly job: JobContext;
}

/** What a planner has to know of the job besides its recipe. */
export interface JobContext {
  /** The DMI product serial of the one server that the job is for. */
  readonly serverSerial: string;
  /** Device the maintenance OS was started from; null when it is gone or not known. */
  readonly bootMedium: string | null;
  /** null: the workflow needs none. */
  readonly artifact: ArtifactName | null;
  /** Directory of the files the dispatcher wrote: `/run/provision`. */
  readonly files: string;
}

export interface ArtifactName {
  /** `repository:tag`, for people. */
  readonly name: string;
  /** Digest of the manifest; null when it is not known before the pull. */
  readonly digest: string | null;
}

export interface Step {
  /** `partition`: what `prov step` is called with. */
  readonly name: string;
  /** The systemd unit that a failure is reported as: `partition.service`. */
  readonly unit: string;
  /** How long the step may take; its unit's TimeoutStartSec is the same. */
  readonly budgetMs: Millis;
  /** Whether the planner needs `machine.uefi.boot`. */
  readonly needsBootEntries: boolean;
  /** No actions: there is nothing to look at, and `found` is NOTHING_FOUND. */
  readonly reach: (input: StepInput) => Plan;
  readonly look: (input: StepInput) => Look;
  readonly leave: (input: StepInput) => Plan;
  /** Whether the planner copes with UNREADABLE_TREE: a file system that cannot be mounted is no obstacle to it. */
  readonly plansUnseen?: true;
  /** The machine once the step has been carried out, where that changes its facts: what offline plans go on with. */
  readonly after?: (input: StepInput) => MachineFacts;
  /** What an offline plan takes for granted in place of a look, and how it says so. Nothing found, if left out. */
  readonly assumed?: { readonly says: string; readonly found: Found };
  /** @throws {ProvError} DISK_MISMATCH, SERVER_MISMATCH, PLAN_IMPOSSIBLE, ARTIFACT_INVALID: before anything was changed. */
  readonly plan: (input: StepInput, found: Found) => Plan;
}

export interface Workflow {
  /** `install-linux.target` */
  readonly target: string;
  /** What the server boots for it. */
  readonly bootIso: "maintenance" | "installer";
  /** Unit that reports success, after the last step. */
  readonly reportUnit: string;
  readonly steps: readonly Step[];
  readonly budgets: Budgets;
}

/** How long the controller waits before it calls a job failed. */
export interface Budgets {
  /** From power-on to the agent's check-in: firmware self-test, media at a few MB/s, boot. */
  readonly checkInMs: Millis;
  /** From check-in to the final report. */
  readonly installMs: Millis;
}
