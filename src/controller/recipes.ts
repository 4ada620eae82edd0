// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Finding } from "../base/findings.ts";
import { parseRecipe } from "../recipe/parse.ts";
import type { Recipe } from "../recipe/recipe.ts";
import { workflowFor } from "../workflows/all.ts";
import type { Workflow } from "../workflows/workflow.ts";

export type ReadRecipe =
  | { readonly kind: "valid"; readonly recipe: Recipe; readonly workflow: Workflow }
  /** At least one finding, with pointers into the recipe. */
  | { readonly kind: "invalid"; readonly findings: readonly Finding[] };

/** Checks a recipe's text against the schema, the rules beyond it, and what this prov can carry out. */
export function readRecipe(text: string): ReadRecipe {
  const { recipe, findings } = parseRecipe(text);
  if (recipe === undefined) return { kind: "invalid", findings };
  const found = workflowFor(recipe.taskTarget);
  if (found.workflow === undefined) return { kind: "invalid", findings: [found.finding] };
  return { kind: "valid", recipe, workflow: found.workflow };
}
