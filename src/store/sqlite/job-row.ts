// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Job, JobProgress } from "../../jobs/job.ts";
import { OUTCOMES, PHASES, STATUSES, type State } from "../../jobs/lifecycle.ts";

/** Columns of `jobs` that make up a {@link Job}, its lease, and the number that pages are cut by. */
export const JOB_COLUMNS = `
  number, id, server_serial, task_target, status, phase, outcome, failed_step, error, bmc_touched,
  checked_in_at, progress_step, progress_bytes_done, progress_bytes_total, progress_updated_at,
  lease_owner, fence, created_at, updated_at, phase_since`;

export interface JobRow {
  readonly number: number;
  readonly id: string;
  readonly server_serial: string;
  readonly task_target: string;
  readonly status: string;
  readonly phase: string | null;
  readonly outcome: string | null;
  readonly failed_step: string | null;
  readonly error: string | null;
  readonly bmc_touched: number;
  readonly checked_in_at: number | null;
  readonly progress_step: string | null;
  readonly progress_bytes_done: number | null;
  readonly progress_bytes_total: number | null;
  readonly progress_updated_at: number | null;
  readonly lease_owner: string | null;
  readonly fence: number;
  readonly created_at: number;
  readonly updated_at: number;
  readonly phase_since: number;
}

export function jobFromRow(row: JobRow): Job {
  return {
    id: row.id,
    serverSerial: row.server_serial,
    taskTarget: row.task_target,
    ...stateFromRow(row),
    failedStep: row.failed_step,
    error: row.error,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
    phaseSince: row.phase_since,
    progress: progressFromRow(row),
    bmcTouched: row.bmc_touched === 1,
    checkedInAt: row.checked_in_at,
  };
}

export function stateFromRow(row: JobRow): State {
  return {
    status: memberOf(STATUSES, row.status),
    phase: row.phase === null ? null : memberOf(PHASES, row.phase),
    outcome: row.outcome === null ? null : memberOf(OUTCOMES, row.outcome),
  };
}

function progressFromRow(row: JobRow): JobProgress | null {
  if (row.progress_step === null || row.progress_updated_at === null) return null;
  return {
    step: row.progress_step,
    bytesDone: row.progress_bytes_done,
    bytesTotal: row.progress_bytes_total,
    updatedAt: row.progress_updated_at,
  };
}

/** The member of a closed list that a column holds. @throws {TypeError} when it holds another word. */
export function memberOf<T extends string>(list: readonly T[], word: string): T {
  const member = list.find((m) => m === word);
  if (member === undefined) throw new TypeError(`"${word}" is none of ${list.join(", ")}`);
  return member;
}
