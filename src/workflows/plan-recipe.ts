// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * The plans of all steps of a recipe at once, made offline: what `prov plan` prints.
 */
import type { Plan } from "../plan/action.ts";
import type { MachineFacts } from "../plan/facts.ts";
import { type Found, NOTHING_FOUND } from "../plan/look.ts";
import { tableOf } from "../plan/match-layout.ts";
import { renderPlan } from "../plan/render.ts";
import type { Recipe } from "../recipe/recipe.ts";
import { ASSUMED_DEBIAN, assumedMachine } from "./assumed.ts";
import { linuxTarget } from "./install-linux/target.ts";
import type { JobContext, Step, Workflow } from "./workflow.ts";

export interface PlanRequest {
  readonly workflow: Workflow;
  readonly recipe: Recipe;
  readonly job: JobContext;
  /** null: assume a suitable machine. */
  readonly machine: MachineFacts | null;
  /** What each step would find on the machine, by the step's name; what is not given is assumed. */
  readonly found: Readonly<Record<string, Found>>;
}

export interface PlannedRecipe {
  /** What had to be assumed, as sentences. */
  readonly assumptions: readonly string[];
  readonly plans: readonly Plan[];
}

/**
 * Plans every step as if those before it had been carried out.
 *
 * @throws {ProvError} SERVER_MISMATCH, DISK_MISMATCH, PLAN_IMPOSSIBLE.
 */
export function planRecipe(request: PlanRequest): PlannedRecipe {
  const { workflow, recipe, job } = request;
  const assumptions: string[] = [];
  if (request.machine === null) {
    assumptions.push("The machine has UEFI and one blank disk of 480 GiB with 512-byte sectors.");
  }
  let machine = request.machine ?? assumedMachine(recipe.targetDisk ?? "", job.serverSerial);
  const plans = workflow.steps.map((step) => {
    const found = request.found[step.name] ?? assume(step, assumptions);
    const plan = step.plan({ recipe, machine, job }, found);
    machine = partitioned(machine, request);
    return plan;
  });
  return { assumptions, plans };
}

function assume(step: Step, assumptions: string[]): Found {
  if (step.name !== "bootloader-linux") return NOTHING_FOUND;
  assumptions.push("The image is a Debian with one kernel and a signed boot loader.");
  return ASSUMED_DEBIAN;
}

/** The machine once the first step has been carried out. */
function partitioned(machine: MachineFacts, { recipe, job }: PlanRequest): MachineFacts {
  const { disk, layout } = linuxTarget({ recipe, machine, job });
  const after = { ...disk, signature: null, table: tableOf(layout, disk.path) };
  return { ...machine, disks: machine.disks.map((d) => (d === disk ? after : d)) };
}

export function renderPlannedRecipe({ assumptions, plans }: PlannedRecipe): string {
  const notes = assumptions.map((a) => `# Assumed: ${a}\n`).join("");
  return [...(notes === "" ? [] : [notes]), ...plans.map(renderPlan)].join("\n");
}
