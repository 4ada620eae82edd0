// SPDX-License-Identifier: AGPL-3.0-or-later
import { readFile } from "node:fs/promises";
import { ProvError } from "../../base/errors.ts";
import { renderFindings } from "../../base/findings.ts";
import { formatBytes } from "../../base/units.ts";
import { combinedIso, overlaySpans } from "../../media/overlay.ts";
import { buildTaskIso, taskVolumeId } from "../../media/task-iso.ts";
import { parseRecipe } from "../../recipe/parse.ts";
import { RECIPE_SCHEMA_TEXT } from "../../recipe/schema.ts";
import { type Cli, type Command, command, group } from "../command.ts";

interface TaskArgs {
  recipe: string;
  envelope: string;
  out: string;
}
interface CombinedArgs {
  maintenance: string;
  task: string;
  out: string;
}

export function isoCommand(cli: Cli): Command {
  return group("iso", "the images a server boots, made by hand", [
    command<TaskArgs>({
      command: "task <recipe> <envelope> <out>",
      describe: "write the task ISO of a recipe and an envelope (task.json)",
      run: (args) => writeTask(cli, args),
    }),
    command<CombinedArgs>({
      command: "combined <maintenance> <task> <out>",
      describe: "write the maintenance ISO with a task ISO laid over it",
      run: (args) => writeCombined(cli, args),
    }),
  ]);
}

async function writeTask(cli: Cli, args: TaskArgs): Promise<void> {
  const recipeText = await readFile(args.recipe, "utf8");
  const envelopeText = await readFile(args.envelope, "utf8");
  const { recipe, findings } = parseRecipe(recipeText);
  if (recipe === undefined) {
    throw new ProvError(`Cannot use ${args.recipe}: ${renderFindings(findings)}`, {
      code: "RECIPE_INVALID",
    });
  }
  const { job_id: jobId } = JSON.parse(envelopeText);
  const bytes = buildTaskIso({
    jobId,
    recipeText,
    schemaText: RECIPE_SCHEMA_TEXT,
    envelopeText,
    userData: recipe.userData ?? undefined,
    unattendXml: recipe.unattendXml ?? undefined,
    ksCfg: recipe.ksCfg ?? undefined,
    epoch: 0,
  });
  await Bun.write(args.out, bytes, { mode: 0o600 });
  cli.terminal.out(`${args.out}: ${taskVolumeId(jobId)}, ${formatBytes(bytes.length)}`);
}

async function writeCombined(cli: Cli, args: CombinedArgs): Promise<void> {
  const image = combinedIso(args.maintenance, await Bun.file(args.task).bytes());
  const sink = Bun.file(args.out).writer();
  for (const span of overlaySpans(image, 0, image.base.size)) {
    if (span.kind === "bytes") sink.write(span.bytes);
    else {
      for await (const chunk of Bun.file(span.path).slice(span.start, span.end).stream()) {
        sink.write(chunk);
        await sink.flush();
      }
    }
  }
  await sink.end();
  cli.terminal.out(`${args.out}: ${formatBytes(image.base.size)}`);
}
