// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Finding } from "../base/findings.ts";
import { installLinux } from "./install-linux/workflow.ts";
import type { Step, Workflow } from "./workflow.ts";

/** Every workflow there is. */
export const WORKFLOWS: readonly Workflow[] = [installLinux];

/** The workflow of a `task_target`; or, when there is none, what to tell the recipe's author. */
export function workflowFor(
  target: string,
): { readonly workflow: Workflow } | { readonly workflow: undefined; readonly finding: Finding } {
  const workflow = WORKFLOWS.find((w) => w.target === target);
  if (workflow !== undefined) return { workflow };
  const known = WORKFLOWS.map((w) => w.target).join(", ");
  const message = `there is no workflow for ${target}; there is ${known}`;
  return {
    workflow: undefined,
    finding: { path: "/task_target", code: "unsupported_target", message },
  };
}

/** The step that `prov step NAME` runs for a recipe of this target. */
export function stepNamed(target: string, name: string): Step | undefined {
  return WORKFLOWS.find((w) => w.target === target)?.steps.find((step) => step.name === name);
}
