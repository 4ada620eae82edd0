// SPDX-License-Identifier: AGPL-3.0-or-later
import { ProvError } from "../../base/errors.ts";
import { renderFindings } from "../../base/findings.ts";
import { isObject } from "../../base/json.ts";
import type { MachineFacts } from "../../plan/facts.ts";
import { parseRecipe } from "../../recipe/parse.ts";
import { parseReference } from "../../registry/reference.ts";
import { workflowFor } from "../../workflows/all.ts";
import { planRecipe, renderPlannedRecipe } from "../../workflows/plan-recipe.ts";
import type { JobContext } from "../../workflows/workflow.ts";
import { type Cli, type Command, command, print } from "../command.ts";
import { nameOf, readJson, readText } from "../files.ts";

interface PlanArgs {
  recipe: string;
  facts?: string;
  json?: boolean;
}

export function planCommand(cli: Cli): Command {
  return command<PlanArgs>({
    command: "plan <recipe>",
    describe: "print what the agent would do for a recipe, offline",
    options: {
      facts: { type: "string", describe: "facts of a machine, as prov facts prints them there" },
    },
    run: (args) => plan(cli, args),
  });
}

async function plan(cli: Cli, args: PlanArgs): Promise<void> {
  const text = await readText(args.recipe, cli.terminal);
  const { recipe, findings } = parseRecipe(text);
  if (recipe === undefined) {
    throw new ProvError(
      `${nameOf(args.recipe)} is not a valid recipe:\n${renderFindings(findings)}`,
      {
        code: "RECIPE_INVALID",
      },
    );
  }
  const found = workflowFor(recipe.taskTarget);
  if (found.workflow === undefined) {
    throw new ProvError(renderFindings([found.finding]), { code: "RECIPE_INVALID" });
  }
  const machine = args.facts === undefined ? null : await readFacts(args.facts, cli);
  const planned = planRecipe({
    workflow: found.workflow,
    recipe,
    machine,
    job: assumedJob(machine, recipe.ociUrl),
    found: {},
  });
  print(cli, args.json, planned, () => renderPlannedRecipe(planned).trimEnd());
}

async function readFacts(path: string, { terminal }: Cli): Promise<MachineFacts> {
  const document: unknown = await readJson(path, terminal);
  if (isObject(document) && Array.isArray(document.disks)) {
    const facts = document as unknown as MachineFacts;
    // A plan for a machine without a serial can be looked at, though the agent would refuse to carry it out.
    return { ...facts, serial: facts.serial ?? UNKNOWN_SERIAL };
  }
  throw new ProvError(`Cannot use ${path}: it is not the facts of a machine`, {
    code: "USAGE",
    hint: "Make it with prov facts on the machine.",
  });
}

/** Stands in for the serial of a machine that has none or is only assumed. */
const UNKNOWN_SERIAL = "UNKNOWN";

/** A job as it would be: for the machine at hand, with an artifact whose digest nobody has looked up. */
function assumedJob(machine: MachineFacts | null, ociUrl: string | null): JobContext {
  const reference = ociUrl === null ? null : parseReference(ociUrl);
  return {
    serverSerial: machine?.serial ?? UNKNOWN_SERIAL,
    bootMedium: null,
    artifact:
      reference === null
        ? null
        : {
            name: `${reference.repository}:${reference.tag ?? "latest"}`,
            digest: reference.digest,
          },
    files: "/run/provision",
  };
}
