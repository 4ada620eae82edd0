// SPDX-License-Identifier: AGPL-3.0-or-later
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { ProvError } from "../base/errors.ts";
import { renderFindings } from "../base/findings.ts";
import { parseRecipe } from "../recipe/parse.ts";
import type { Recipe } from "../recipe/recipe.ts";
import { compileRecipeSchema } from "../recipe/schema.ts";
import { orFail } from "./exit.ts";

export interface Task {
  readonly recipe: Recipe;
  /** As on the medium, byte for byte. */
  readonly recipeText: string;
  /** Files that stand beside the recipe because the recipe has them: `user-data`, `unattend.xml`, `ks.cfg`. */
  readonly payloads: readonly { readonly name: string; readonly bytes: Uint8Array }[];
}

const PAYLOADS = ["user-data", "unattend.xml", "ks.cfg"] as const;

/**
 * Reads and validates the recipe of a mounted task medium: against the schema on the medium, which is the
 * contract it was written to, and then by prov's own rules.
 *
 * @throws {ProvError} `SCHEMA_INVALID`, `RECIPE_UNREADABLE` or `RECIPE_INVALID`
 */
export async function readTask(mount: string): Promise<Task> {
  const schema = await orFail(
    "SCHEMA_INVALID",
    "Cannot use recipe.schema.json of the task",
    async () => compileRecipeSchema(await readFile(join(mount, "recipe.schema.json"), "utf8")),
  );
  const recipeText = await orFail(
    "RECIPE_UNREADABLE",
    "Cannot read recipe.json of the task",
    async () => {
      const text = await readFile(join(mount, "recipe.json"), "utf8");
      // Without what the parser says, which may quote a secret.
      if (!isJson(text)) throw new SyntaxError("it is not JSON");
      return text;
    },
  );
  const { recipe, findings } = parseRecipe(recipeText, schema);
  if (recipe === undefined) {
    throw new ProvError(`The recipe is invalid: ${renderFindings(findings)}`, {
      code: "RECIPE_INVALID",
    });
  }
  return { recipe, recipeText, payloads: await readPayloads(mount) };
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

async function readPayloads(mount: string): Promise<Task["payloads"]> {
  const found: { name: string; bytes: Uint8Array }[] = [];
  for (const name of PAYLOADS) {
    const file = Bun.file(join(mount, name));
    if (await file.exists()) found.push({ name, bytes: await file.bytes() });
  }
  return found;
}
