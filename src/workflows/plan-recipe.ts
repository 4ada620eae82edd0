// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * The plans of all steps of a recipe at once, made offline: what `prov plan` prints.
 */
import type { Plan } from "../plan/action.ts";
import type { MachineFacts } from "../plan/facts.ts";
import { type Found, NOTHING_FOUND } from "../plan/look.ts";
import { renderPlan } from "../plan/render.ts";
import type { Recipe } from "../recipe/recipe.ts";
import { assumedMachine } from "./assumed.ts";
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
    const input = { recipe, machine, job };
    const plan = step.plan(input, request.found[step.name] ?? assume(step, assumptions));
    machine = step.after?.(input) ?? machine;
    return plan;
  });
  return { assumptions, plans };
}

function assume(step: Step, assumptions: string[]): Found {
  if (step.assumed === undefined) return NOTHING_FOUND;
  assumptions.push(step.assumed.says);
  return step.assumed.found;
}

export function renderPlannedRecipe({ assumptions, plans }: PlannedRecipe): string {
  const notes = assumptions.map((a) => `# Assumed: ${a}\n`).join("");
  return [...(notes === "" ? [] : [notes]), ...plans.map(renderPlan)].join("\n");
}
