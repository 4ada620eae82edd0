// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * What a phase is to the worker: a function that does its work, however much of it was done before a crash,
 * and says how the job goes on.
 */
import { millis } from "../../base/units.ts";
import type { EventLevel, Job, NewJobEvent, Server } from "../../jobs/job.ts";
import type { Phase, Transition } from "../../jobs/lifecycle.ts";
import type { Recipe } from "../../recipe/recipe.ts";
import type { Advance, Lease } from "../../store/store.ts";
import type { Workflow } from "../../workflows/workflow.ts";
import type { ControllerConfig } from "../config.ts";
import type { ControllerDeps } from "../ports.ts";
import type { BmcLine } from "./bmc-line.ts";
import type { Deadlines } from "./deadlines.ts";
import { Interrupt } from "./interrupt.ts";

/** What stays the same while one worker drives one job. */
export interface JobContext {
  readonly lease: Lease;
  readonly server: Server;
  readonly recipeText: string;
  readonly recipe: Recipe;
  readonly workflow: Workflow;
  readonly deadlines: Deadlines;
  readonly bmc: BmcLine;
  readonly config: ControllerConfig;
  /** Base URLs of media, most preferred first. */
  readonly mediaUrls: readonly string[];
  readonly deps: ControllerDeps;
}

export interface PhaseContext extends JobContext {
  /** As it was when the phase was entered or taken over. */
  readonly job: Job;
  /**
   * When the phase has used up its time. After a takeover there is always a little of it left, so that what
   * happened while no controller was there can still be heard of.
   */
  readonly until: (budgetMs: number) => number;
  /** Aborts when the phase must end: deadline, cancel, report, lost lease, shutdown. */
  readonly signal: AbortSignal;
}

export interface Step {
  readonly transition: Transition;
  readonly change: Advance;
}

export type PhaseRunner = (context: PhaseContext) => Promise<Step>;

/** A failure that knows its name in `failed_step`. */
export class StepFailure extends Error {
  readonly failedStep: string;

  constructor(message: string, options: ErrorOptions & { readonly failedStep: string }) {
    super(message, options);
    this.failedStep = options.failedStep;
  }
}

/** Does a part of a phase whose failures have a name of their own. */
export async function inStep<T>(failedStep: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof StepFailure) throw error;
    throw new StepFailure(`${failedStep} failed`, { failedStep, cause: error });
  }
}

/** Goes on to the next phase, with a line for people. */
export function enter(phase: Phase, ...messages: readonly string[]): Step {
  return { transition: { kind: "entered", phase }, change: { events: messages.map(info) } };
}

export const info = (message: string): NewJobEvent => line("info", message);
export const warn = (message: string): NewJobEvent => line("warn", message);

function line(level: EventLevel, message: string): NewJobEvent {
  return { level, message, step: null };
}

/** A worker that looks from time to time does not depend on being told. */
const LOOK_AGAIN_MS = 5000;

/**
 * Asks `look` again whenever the job has changed, or a deadline comes near, until it has an answer.
 * @param next when to look again at the latest, Unix epoch, ms.
 */
export async function watchJob<T>(
  context: PhaseContext,
  look: (job: Job) => Promise<{ readonly found: T } | { readonly next: number }>,
): Promise<T> {
  const { deps, signal } = context;
  for (;;) {
    signal.throwIfAborted();
    const turn = new AbortController();
    const either = AbortSignal.any([signal, turn.signal]);
    try {
      const change = deps.store.jobs.changed(context.job.id, either);
      const job = (await deps.store.jobs.get(context.job.id)) ?? context.job;
      if (job.status !== context.job.status) throw new Interrupt("moved", "The job has moved on");
      const result = await look(job);
      if ("found" in result) return result.found;
      const pause = Math.max(1, Math.min(LOOK_AGAIN_MS, result.next - deps.now()));
      await Promise.race([change, deps.sleep(millis(pause), either)]);
    } finally {
      turn.abort();
    }
  }
}
