// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * Drives one claimed job from the phase it is in to its end, or until it is no longer ours.
 */
import { describeError, hintOf, ProvError } from "../../base/errors.ts";
import type { KeyedLock } from "../../base/keyed-lock.ts";
import { type Millis, millis, minutes } from "../../base/units.ts";
import type { Job } from "../../jobs/job.ts";
import type { Lease } from "../../store/store.ts";
import type { ControllerConfig } from "../config.ts";
import type { Metrics } from "../metrics.ts";
import type { ControllerDeps } from "../ports.ts";
import { readRecipe } from "../recipes.ts";
import { createBmcLine } from "./bmc-line.ts";
import { cleanUp, complete } from "./cleanup.ts";
import { CLEANUP, deadlinesFor } from "./deadlines.ts";
import { cutOff, Interrupt, keepLease, watchState } from "./interrupt.ts";
import { type JobContext, type PhaseContext, type Step, StepFailure, warn } from "./phase.ts";
import { PHASES_OF_WORK } from "./phases.ts";

export interface DriveParts {
  readonly config: ControllerConfig;
  readonly deps: ControllerDeps;
  readonly metrics: Metrics;
  readonly bmcLock: KeyedLock;
  /** Base URLs of media, most preferred first. */
  readonly mediaUrls: readonly string[];
}

const UNCLEAN = "Nothing was cleaned up: look at the server's media";

/** What happened while no controller was there can be heard of for this long after a takeover. */
const GRACE: Millis = minutes(2);

/**
 * @param stopped aborts when the controller shuts down: the job is let go of, for the next one to continue.
 */
export async function driveJob(
  claimed: { readonly job: Job; readonly lease: Lease },
  stopped: AbortSignal,
  parts: DriveParts,
): Promise<void> {
  const { lease } = claimed;
  const { deps, config, metrics } = parts;
  const ended = new AbortController();
  const held = AbortSignal.any([stopped, keepLease(lease, ended.signal, config, deps)]);
  const takenAt = deps.now();
  let context: JobContext | undefined;
  try {
    context = await openContext(claimed, parts);
    if (context === undefined) {
      await abandon(claimed, held, parts);
      return;
    }
    let { job } = claimed;
    while (job.status !== "complete") {
      held.throwIfAborted();
      const before = job;
      job = await drivePhase(before, takenAt, held, context);
      const into = job.phase ?? `complete-${job.outcome}`;
      metrics.count("job_transitions_total", { from: before.phase ?? before.status, into });
    }
  } catch (error) {
    if (!(error instanceof Interrupt) && !isLeaseLost(error)) throw error;
    deps.log.info({ job_id: lease.jobId, reason: describeError(error) }, "job let go");
  } finally {
    ended.abort();
    await context?.bmc.hangUp();
    if (stopped.aborted) await deps.store.jobs.release(lease, deps.now());
  }
}

async function openContext(
  { job, lease }: { readonly job: Job; readonly lease: Lease },
  { config, deps, bmcLock, mediaUrls }: DriveParts,
): Promise<JobContext | undefined> {
  const server = await unlessBroken(deps.store.servers.get(job.serverSerial), job, deps);
  const payload = await unlessBroken(deps.store.jobs.payload(job.id), job, deps);
  const read = payload && readRecipe(payload.recipeText);
  if (server === undefined || payload === undefined || read?.kind !== "valid") {
    return undefined;
  }
  return {
    lease,
    server,
    recipeText: payload.recipeText,
    recipe: read.recipe,
    workflow: read.workflow,
    deadlines: deadlinesFor(read.workflow.budgets, config.deadlines),
    bmc: createBmcLine({ server, lease, lock: bmcLock, config, deps }),
    config,
    mediaUrls,
    deps,
  };
}

/**
 * Undefined for what is in the database and cannot be read: it would be the same the next time, and its job
 * would keep its server for ever.
 */
async function unlessBroken<T>(
  reading: Promise<T>,
  job: Job,
  deps: ControllerDeps,
): Promise<T | undefined> {
  try {
    return await reading;
  } catch (error) {
    if (!(error instanceof TypeError || error instanceof SyntaxError)) throw error;
    deps.log.error({ job_id: job.id, err: error }, "job cannot be read");
    return undefined;
  }
}

/** Ends a job that this prov does not know how to work on, and cleans up after it. */
async function abandon(
  { job, lease }: { readonly job: Job; readonly lease: Lease },
  signal: AbortSignal,
  { config, deps, bmcLock: lock }: DriveParts,
): Promise<void> {
  let ended = job;
  if (job.status === "provisioning") {
    const message = "The job's server or recipe cannot be used by this version of prov";
    const failure = new StepFailure(message, { failedStep: "media.build" });
    const { transition, change } = failureOf(failure, job, "", deps.now());
    ended = await deps.store.jobs.advance(lease, transition, change, deps.now());
  }
  const server = await unlessBroken(deps.store.servers.get(job.serverSerial), job, deps);
  const { transition, change } =
    ended.bmcTouched && server !== undefined
      ? await cleanUp({
          job: ended,
          startsDisk: ended.outcome === "succeeded",
          giveUpAt: deps.now() + (config.deadlines.cleanupMs ?? CLEANUP),
          bmc: createBmcLine({ server, lease, lock, config, deps }),
          signal,
          deps,
        })
      : complete(ended, ended.bmcTouched ? [warn(UNCLEAN)] : [], deps.now());
  await deps.store.jobs.advance(lease, transition, change, deps.now());
}

/** One phase, from its work to the transition that ends it. */
async function drivePhase(
  job: Job,
  takenAt: number,
  held: AbortSignal,
  context: JobContext,
): Promise<Job> {
  const { deps, lease, deadlines } = context;
  if (job.phase === null) throw new TypeError(`A claimed job has a phase: ${job.id}`);
  const entry = PHASES_OF_WORK[job.phase];
  const atLeast = job.phaseSince < takenAt ? takenAt + GRACE : 0;
  const until = (budgetMs: number) => Math.max(job.phaseSince + budgetMs, atLeast);
  const over = new AbortController();
  const signals = [held, watchState(job, over.signal, deps)];
  if (entry.minds === undefined) {
    const budget = deadlines.phase[job.phase];
    const left = millis(until(budget) - deps.now());
    signals.push(cutOff(`"${job.phase}"`, left, over.signal, deps));
  }
  const phaseContext: PhaseContext = { ...context, job, until, signal: AbortSignal.any(signals) };
  try {
    const step = await entry.run(phaseContext);
    return await deps.store.jobs.advance(lease, step.transition, step.change, deps.now());
  } catch (error) {
    held.throwIfAborted();
    if (isLeaseLost(error)) throw error;
    const now = await deps.store.jobs.get(job.id);
    if (now !== undefined && (now.status !== job.status || now.phase !== job.phase)) return now;
    deps.log.warn({ ...fieldsOf(context), phase: job.phase, err: error }, "phase failed");
    const step = failureOf(error, job, entry.failedStep, deps.now());
    return await advanceUnlessMoved(job, step, context);
  } finally {
    over.abort();
  }
}

/** The transition of a failure, unless a report or a cancel was a moment faster: the first cause stays. */
async function advanceUnlessMoved(job: Job, step: Step, context: JobContext): Promise<Job> {
  const { deps, lease } = context;
  try {
    return await deps.store.jobs.advance(lease, step.transition, step.change, deps.now());
  } catch (error) {
    if (!(error instanceof ProvError) || error.code !== "CONFLICT") throw error;
    return (await deps.store.jobs.get(job.id)) ?? job;
  }
}

function failureOf(error: unknown, job: Job, failedStep: string, now: number): Step {
  const message = sayWhy(error);
  if (job.status !== "provisioning") {
    return complete(job, [warn(`Cleanup was not finished: ${message}`)], now);
  }
  const step = error instanceof StepFailure ? error.failedStep : failedStep;
  return {
    transition: { kind: "failed" },
    change: { events: [{ level: "error", message, step }], failedStep: step, error: message },
  };
}

/** What a person reads: the chain of causes without the wrapper that only carries the step's name, and the hint. */
function sayWhy(error: unknown): string {
  const said = error instanceof StepFailure && error.cause !== undefined ? error.cause : error;
  const known =
    said instanceof ProvError || said instanceof StepFailure || said instanceof Interrupt;
  const text = known
    ? describeError(said)
    : `Internal error, see the controller's log: ${describeError(said)}`;
  const hint = hintOf(said);
  return hint === undefined ? text : `${text}. ${hint}`;
}

const isLeaseLost = (error: unknown): boolean =>
  error instanceof ProvError && error.code === "LEASE_LOST";

const fieldsOf = ({ lease, server }: JobContext) => ({
  job_id: lease.jobId,
  server_serial: server.serial,
});
