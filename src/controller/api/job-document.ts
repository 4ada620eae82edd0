// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Job, JobEvent } from "../../jobs/job.ts";

/** RFC 3339 in UTC. */
export const toTime = (epochMs: number): string => new Date(epochMs).toISOString();

/** What creating a job answers, and no more than that. */
export function toReceipt(job: Job) {
  return {
    job_id: job.id,
    status: job.status,
    server_serial: job.serverSerial,
    created_at: toTime(job.createdAt),
  };
}

/** A job as the API shows it. The recipe is not in it: it holds secrets. */
export function toJobDocument(job: Job) {
  return {
    ...toReceipt(job),
    task_target: job.taskTarget,
    outcome: job.outcome,
    phase: job.phase,
    failed_step: job.failedStep,
    error: job.error,
    last_update: toTime(job.updatedAt),
    checked_in_at: job.checkedInAt === null ? null : toTime(job.checkedInAt),
    progress: job.progress && {
      step: job.progress.step,
      bytes_done: job.progress.bytesDone,
      bytes_total: job.progress.bytesTotal,
      updated_at: toTime(job.progress.updatedAt),
    },
  };
}

export function toEventDocument(event: JobEvent) {
  return {
    seq: event.seq,
    time: toTime(event.time),
    level: event.level,
    message: event.message,
    step: event.step,
  };
}
