// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Database } from "bun:sqlite";
import { ProvError } from "../../base/errors.ts";
import type { Millis } from "../../base/units.ts";
import type { Job } from "../../jobs/job.ts";
import type { Lease } from "../store.ts";
import { appendEvents } from "./events.ts";
import { JOB_COLUMNS, type JobRow, jobFromRow, stateFromRow } from "./job-row.ts";
import { applyTransition } from "./transitions.ts";

/** Takes the oldest claimable job; inside a transaction. */
export function claimJob(
  db: Database,
  owner: string,
  now: number,
  ttl: Millis,
): { job: Job; lease: Lease } | undefined {
  const found = db
    .query<JobRow, { now: number }>(
      `select ${JOB_COLUMNS}
         from jobs
        where status = 'queued'
           or (status <> 'complete' and (lease_expires_at is null or lease_expires_at <= $now))
        order by number
        limit 1`,
    )
    .get({ now });
  if (found === null) return undefined;
  applyTransition(db, found, { kind: "claimed" }, now);
  const row = db
    .query<JobRow, { id: string; owner: string; until: number; now: number }>(
      `update jobs
          set lease_owner = $owner, lease_expires_at = $until, fence = fence + 1, updated_at = $now
        where id = $id
       returning ${JOB_COLUMNS}`,
    )
    .get({ id: found.id, owner, until: now + ttl, now });
  if (row === null) return undefined;
  appendEvents(
    db,
    row.id,
    [{ level: "info", message: claimMessage(found, owner), step: null }],
    now,
  );
  return { job: jobFromRow(row), lease: { jobId: row.id, owner, fence: row.fence } };
}

function claimMessage(before: JobRow, owner: string): string {
  const { status, phase } = stateFromRow(before);
  if (status === "queued") return `Started by worker ${owner}`;
  const from = before.lease_owner === null ? "" : `, because ${before.lease_owner} went silent`;
  return `Continued in phase ${phase} by worker ${owner}${from}`;
}

/** Fails when the lease is no longer the job's; inside the transaction of what it guards. */
export function requireLease(db: Database, lease: Lease): JobRow {
  const row = db
    .query<JobRow, { jobId: string; owner: string; fence: number }>(
      `select ${JOB_COLUMNS}
         from jobs
        where id = $jobId and lease_owner = $owner and fence = $fence`,
    )
    .get({ ...lease });
  if (row === null) {
    throw new ProvError(
      `Cannot write to job ${lease.jobId}: worker ${lease.owner} no longer holds it`,
      { code: "LEASE_LOST" },
    );
  }
  return row;
}

/** @returns false when the lease is no longer the job's. */
export function extendLease(db: Database, lease: Lease, until: number): boolean {
  const { changes } = db
    .query(
      `update jobs
          set lease_expires_at = $until
        where id = $jobId and lease_owner = $owner and fence = $fence`,
    )
    .run({ ...lease, until });
  return changes === 1;
}

/** @returns false when the lease was no longer the job's. */
export function dropLease(db: Database, lease: Lease, now: number): boolean {
  const { changes } = db
    .query(
      `update jobs
          set lease_owner = null, lease_expires_at = null, updated_at = $now
        where id = $jobId and lease_owner = $owner and fence = $fence`,
    )
    .run({ ...lease, now });
  return changes === 1;
}
