// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * `prov step NAME`: looks at the machine, plans one step of the workflow and executes the plan. Every choice
 * is the planner's; this file only brings the pieces together.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describeError, ProvError } from "../base/errors.ts";
import { renderFindings } from "../base/findings.ts";
import { millis, minutes } from "../base/units.ts";
import { type ActionEvent, type ExecuteDeps, executePlan } from "../exec/execute.ts";
import { lookAt } from "../exec/look.ts";
import { probeMachine } from "../exec/probe.ts";
import type { CommandRunner } from "../exec/runner.ts";
import type { Envelope } from "../jobs/envelope.ts";
import type { Plan } from "../plan/action.ts";
import { type Found, NOTHING_FOUND, UNREADABLE_TREE } from "../plan/look.ts";
import { renderPlan } from "../plan/render.ts";
import { parseRecipe } from "../recipe/parse.ts";
import type { Recipe } from "../recipe/recipe.ts";
import { stepNamed } from "../workflows/all.ts";
import type { JobContext, Step, StepInput } from "../workflows/workflow.ts";
import { openArtifact } from "./artifact.ts";
import { awaitDisk } from "./await-disk.ts";
import type { ClientDeps } from "./controller-client.ts";
import { deadline } from "./deadline.ts";
import { readEnvelopeFile } from "./envelope-file.ts";
import { reasonOf, writeFailure } from "./failure.ts";
import type { AgentPaths } from "./paths.ts";
import { type Progress, startProgress } from "./progress.ts";

export interface StepDeps extends ClientDeps {
  readonly runner: CommandRunner;
  /** Where plans meet the file system; tests lay another root under them. */
  readonly executePlan?: typeof executePlan;
  readonly lookAt?: typeof lookAt;
}

/** What is left of a step's budget for its last words, before systemd ends it without any. */
const LAST_WORDS = minutes(1);

/** @throws {ProvError} after leaving the reason where `prov report` finds it. */
export async function runStep(
  name: string,
  paths: AgentPaths,
  deps: StepDeps,
  signal: AbortSignal,
): Promise<void> {
  try {
    await carryOut(name, paths, deps, signal);
  } catch (error) {
    await writeFailure(paths, `${name}.service`, reasonOf(error), deps.log);
    throw error;
  }
}

async function carryOut(
  name: string,
  paths: AgentPaths,
  deps: StepDeps,
  stopped: AbortSignal,
): Promise<void> {
  const { envelope, recipe } = await readJob(paths);
  const step = stepNamed(recipe.taskTarget, name);
  if (step === undefined) {
    throw new ProvError(`Cannot run the step "${name}": ${recipe.taskTarget} has no such step`, {
      code: "USAGE",
    });
  }
  using limit = deadline(step.name, millis(step.budgetMs - LAST_WORDS), stopped);
  const { signal } = limit;
  const progress = startProgress(envelope, deps);
  progress.send({ type: "step-started", step: step.unit });
  try {
    const job = await jobContext(paths, envelope);
    await awaitDisk(recipe.targetDisk, paths, deps, signal);
    const plan = await planStep(step, { recipe, job, paths }, deps, signal);
    deps.log.info({}, renderPlan(plan));
    const execute = deps.executePlan ?? executePlan;
    await execute(plan, executeDeps(step, envelope, progress, deps), signal);
    progress.send({ type: "step-finished", step: step.unit, actions: plan.actions.length });
  } catch (error) {
    const message = reasonOf(error);
    progress.send({ type: "log", step: step.unit, level: "error", message });
    throw error;
  } finally {
    await progress.close();
  }
}

async function readJob(paths: AgentPaths): Promise<{ envelope: Envelope; recipe: Recipe }> {
  const envelope = await readEnvelopeFile(join(paths.run, "task.json"));
  const parsed = parseRecipe(await readFile(join(paths.run, "recipe.json"), "utf8"));
  if (parsed.recipe !== undefined) return { envelope, recipe: parsed.recipe };
  throw new ProvError(`The recipe is invalid: ${renderFindings(parsed.findings)}`, {
    code: "RECIPE_INVALID",
  });
}

async function jobContext(paths: AgentPaths, envelope: Envelope): Promise<JobContext> {
  const bootMedium = await readFile(join(paths.run, "boot-medium"), "utf8").catch(() => "");
  const { artifact } = envelope;
  return {
    serverSerial: envelope.server_serial,
    bootMedium: bootMedium === "" ? null : bootMedium,
    artifact:
      artifact === null
        ? null
        : { name: `${artifact.repository}:${artifact.reference}`, digest: artifact.digest },
    files: paths.run,
  };
}

/** Probe, mount read-only what the planner has to see, look, unmount, plan. */
async function planStep(
  step: Step,
  known: { recipe: Recipe; job: JobContext; paths: AgentPaths },
  deps: StepDeps,
  signal: AbortSignal,
): Promise<Plan> {
  const { recipe, job, paths } = known;
  const { sys, dev } = paths;
  const { runner } = deps;
  const machine = await probeMachine({ runner, bootEntries: step.needsBootEntries, sys, dev });
  const input: StepInput = { recipe, job, machine };
  return step.plan(input, await see(step, input, deps, signal));
}

async function see(
  step: Step,
  input: StepInput,
  deps: StepDeps,
  signal: AbortSignal,
): Promise<Found> {
  const reach = step.reach(input);
  if (reach.actions.length === 0) return NOTHING_FOUND;
  const quiet: ExecuteDeps = {
    runner: deps.runner,
    openArtifact: () => Promise.reject(new TypeError("A look needs no artifact")),
    onEvent: () => {},
  };
  const execute = deps.executePlan ?? executePlan;
  const leave = () => execute(step.leave(input), quiet, signal);
  let found: Found;
  try {
    await execute(reach, quiet, signal);
  } catch (error) {
    // What went wrong counts, not that there may have been nothing to unmount.
    await leave().catch(() => {});
    signal.throwIfAborted();
    if (step.plansUnseen !== true) throw error;
    deps.log.warn({ error: describeError(error) }, "cannot look at what is there");
    return UNREADABLE_TREE;
  }
  try {
    found = await (deps.lookAt ?? lookAt)(step.look(input));
  } catch (error) {
    await leave().catch(() => {});
    throw error;
  }
  await leave();
  return found;
}

function executeDeps(
  step: Step,
  envelope: Envelope,
  progress: Progress,
  deps: StepDeps,
): ExecuteDeps {
  const onEvent = (event: ActionEvent): void => {
    if (event.kind === "started") {
      deps.log.info({}, event.action.why);
      const { why } = event.action;
      progress.send({ type: "log", step: step.unit, level: "info", message: why });
    }
    if (event.kind === "line") deps.log.info({}, `  ${event.text}`);
    if (event.kind === "bytes") {
      progress.send({ type: "bytes", step: step.unit, done: event.done, total: event.total });
    }
  };
  return {
    runner: deps.runner,
    openArtifact: (signal) => openArtifact(envelope, deps, signal),
    onEvent,
  };
}
