// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * Watching from outside: who read the media, did the agent check in, did it start a step, did it report.
 * What is missing tells where it went wrong.
 */
import { formatDuration } from "../../base/units.ts";
import type { Job } from "../../jobs/job.ts";
import { enter, type PhaseContext, type Step, StepFailure, watchJob } from "./phase.ts";

/** Until the agent checks in. */
export async function runWaiting(context: PhaseContext): Promise<Step> {
  const { deadlines, deps } = context;
  const mediaReadBy = context.until(deadlines.mediaRead);
  const checkInBy = context.until(deadlines.phase.waiting);
  return await watchJob(context, async (job) => {
    if (job.checkedInAt !== null) return { found: enter("running") };
    const media = await deps.store.media.forJob(job.id);
    const reads = media.reduce((sum, { kind, gets }) => sum + (kind === "task" ? 0 : gets), 0);
    const now = deps.now();
    if (reads === 0 && now >= Math.min(mediaReadBy, checkInBy)) {
      throw neverRead(now - job.phaseSince);
    }
    if (now >= checkInBy) throw noCheckIn(reads, now - job.phaseSince);
    return { next: reads === 0 ? Math.min(mediaReadBy, checkInBy) : checkInBy };
  });
}

function neverRead(afterMs: number): StepFailure {
  return new StepFailure(
    `Nobody has read the boot medium ${formatDuration(afterMs)} after power-on: the server did not start from the virtual CD, or the BMC cannot reach the controller's public URL`,
    { failedStep: "boot.media-never-read" },
  );
}

function noCheckIn(reads: number, afterMs: number): StepFailure {
  return new StepFailure(
    `The boot medium was read ${reads} times, but no agent checked in ${formatDuration(afterMs)} after power-on: the maintenance OS did not start, has no network, or cannot reach the controller; look at the server's console`,
    { failedStep: "boot.no-check-in" },
  );
}

/** Until the final report, which arrives through the API and ends this phase from outside. */
export async function runRunning(context: PhaseContext): Promise<Step> {
  const { deadlines, deps } = context;
  const firstStepBy = context.until(deadlines.firstStep);
  const reportBy = context.until(deadlines.phase.running);
  return await watchJob<Step>(context, (job) => {
    const now = deps.now();
    if (job.progress === null && now >= Math.min(firstStepBy, reportBy)) {
      throw noStep(now - job.phaseSince);
    }
    if (now >= reportBy) throw noReport(job, now);
    return Promise.resolve({ next: job.progress === null ? firstStepBy : reportBy });
  });
}

function noStep(afterMs: number): StepFailure {
  return new StepFailure(
    `The agent checked in, but has not started a step ${formatDuration(afterMs)} later: look at the server's console`,
    { failedStep: "boot.no-step" },
  );
}

function noReport(job: Job, now: number): StepFailure {
  const last =
    job.progress === null
      ? ""
      : `; the last that was heard is ${job.progress.step}, ${formatDuration(now - job.progress.updatedAt)} ago`;
  return new StepFailure(
    `No final report ${formatDuration(now - job.phaseSince)} after the check-in${last}`,
    { failedStep: "webhook.wait" },
  );
}
