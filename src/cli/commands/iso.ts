// SPDX-License-Identifier: AGPL-3.0-or-later
import { open } from "node:fs/promises";
import { ProvError } from "../../base/errors.ts";
import { renderFindings } from "../../base/findings.ts";
import { formatBytes } from "../../base/units.ts";
import { type Envelope, parseEnvelope } from "../../jobs/envelope.ts";
import { combinedIso, type Overlay, overlaySpans } from "../../media/overlay.ts";
import { buildTaskIso, taskVolumeId } from "../../media/task-iso.ts";
import { parseRecipe } from "../../recipe/parse.ts";
import { RECIPE_SCHEMA_TEXT } from "../../recipe/schema.ts";
import { type Cli, type Command, command, group, print } from "../command.ts";
import { onFile, readText } from "../files.ts";

interface TaskArgs {
  recipe: string;
  envelope: string;
  out: string;
  json?: boolean;
}
interface CombinedArgs {
  maintenance: string;
  task: string;
  out: string;
  json?: boolean;
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
  const recipeText = await readText(args.recipe, cli.terminal);
  const envelopeText = await readText(args.envelope, cli.terminal);
  const { recipe, findings } = parseRecipe(recipeText);
  if (recipe === undefined) {
    throw new ProvError(`Cannot use ${args.recipe}: ${renderFindings(findings)}`, {
      code: "RECIPE_INVALID",
    });
  }
  const { job_id: jobId } = readEnvelope(args.envelope, envelopeText);
  const bytes = buildTaskIso({
    jobId,
    recipeText,
    schemaText: RECIPE_SCHEMA_TEXT,
    envelopeText,
    payloads: recipe,
    epoch: 0,
  });
  // It holds the job's token and whatever secrets are in the recipe.
  await onFile("write", args.out, async () => {
    await using file = await open(args.out, "w", 0o600);
    await file.chmod(0o600);
    await file.writeFile(bytes);
  });
  const made = { file: args.out, volume_id: taskVolumeId(jobId), size: bytes.length };
  print(cli, args.json, made, () => `${made.file}: ${made.volume_id}, ${formatBytes(made.size)}`);
}

function readEnvelope(path: string, text: string): Envelope {
  try {
    return parseEnvelope(text);
  } catch (error) {
    throw new ProvError(`Cannot use ${path}: it is not an envelope`, {
      code: "USAGE",
      cause: error,
      hint: "An envelope is what the controller writes as task.json on a task ISO.",
    });
  }
}

async function writeCombined(cli: Cli, args: CombinedArgs): Promise<void> {
  const task = await onFile("read", args.task, () => Bun.file(args.task).bytes());
  const image = await onFile("read", args.maintenance, () =>
    Promise.resolve(combinedIso(args.maintenance, task)),
  );
  await onFile("write", args.out, () => writeOverlay(image, args.out));
  const made = { file: args.out, size: image.base.size };
  print(cli, args.json, made, () => `${made.file}: ${formatBytes(made.size)}`);
}

async function writeOverlay(image: Overlay, path: string): Promise<void> {
  // A job's secrets are in it, and a writer of Bun's takes no mode.
  await (await open(path, "w", 0o600)).close();
  const sink = Bun.file(path).writer();
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
}
