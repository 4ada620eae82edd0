// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * Why a unit failed, on its way from the unit to the report: a file that the unit leaves when it can, and what
 * systemd knows when it cannot.
 */
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Log } from "../base/deps.ts";
import { describeError, hintOf } from "../base/errors.ts";
import { stringAt } from "../base/json.ts";
import { seconds } from "../base/units.ts";
import type { CommandRunner } from "../exec/runner.ts";
import type { AgentPaths } from "./paths.ts";

/** What went wrong and what can be done about it, as one text. */
export function reasonOf(error: unknown): string {
  const hint = hintOf(error);
  return `${describeError(error)}${hint === undefined ? "" : `. ${hint}`}`;
}

/** Leaves the reason of a failed unit where {@link readFailure} finds it. Never throws: the reason itself counts. */
export async function writeFailure(
  paths: AgentPaths,
  unit: string,
  error: string,
  log: Log,
): Promise<void> {
  const path = failurePath(paths, unit);
  try {
    await mkdir(join(paths.run, "steps"), { recursive: true });
    await writeFile(`${path}.new`, JSON.stringify({ error }), { mode: 0o600 });
    await rename(`${path}.new`, path);
  } catch (cause) {
    log.error({ error: describeError(cause) }, "could not keep the reason for the report");
  }
}

/** What the unit wrote about its own end; undefined when it left nothing that can be read. */
export async function readFailure(paths: AgentPaths, unit: string): Promise<string | undefined> {
  try {
    return stringAt(JSON.parse(await readFile(failurePath(paths, unit), "utf8")), "error");
  } catch {
    return undefined;
  }
}

function failurePath(paths: AgentPaths, unit: string): string {
  return join(paths.run, "steps", `${unit.replaceAll("/", "_")}.json`);
}

/** `MONITOR_SERVICE_RESULT` (systemd.exec(5)) in words. */
const RESULTS: Readonly<Record<string, string>> = {
  timeout: "It took longer than its unit allows, and systemd stopped it",
  "oom-kill": "The machine ran out of memory, and the kernel ended it",
  signal: "It was killed by a signal",
  "core-dump": "It crashed",
  "exit-code": "It exited with an error",
  resources: "systemd could not start it",
};

const JOURNAL_CHARS = 1000;

/** The reason of a unit that could not leave one: killed, or never started by podman. */
export async function guessFailure(
  unit: string,
  serviceResult: string | undefined,
  runner: CommandRunner | undefined,
): Promise<string> {
  const result = RESULTS[serviceResult ?? ""] ?? `It ended with "${serviceResult ?? "no result"}"`;
  const argv = ["journalctl", `--unit=${unit}`, "--no-pager", "--output=cat", "--lines=5"] as const;
  const journal = await runner?.run(argv, { timeout: seconds(10) }).catch(() => undefined);
  const lines = journal?.exitCode === 0 ? journal.stdout.trim() : "";
  if (lines === "") return `${result}. It left no reason`;
  return `${result}. The last lines of its journal: ${lines.slice(-JOURNAL_CHARS)}`;
}
