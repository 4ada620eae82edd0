// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Database } from "bun:sqlite";
import { nextState, type State, type Transition } from "../../jobs/lifecycle.ts";
import type { Advance } from "../store.ts";
import { appendEvents } from "./events.ts";
import { type JobRow, stateFromRow } from "./job-row.ts";

/**
 * Moves a job from the state that the row was read in; inside the transaction that read it.
 *
 * @returns undefined, and changes nothing, when the state does not expect the transition.
 */
export function applyTransition(
  db: Database,
  row: JobRow,
  transition: Transition,
  now: number,
): State | undefined {
  const from = stateFromRow(row);
  const to = nextState(from, transition);
  if (to === undefined) return undefined;
  const isNewPhase = to.phase !== from.phase || to.status !== from.status;
  db.query(
    `update jobs
        set status = $status,
            phase = $phase,
            outcome = $outcome,
            updated_at = $now,
            phase_since = case when $isNewPhase then $now else phase_since end,
            lease_owner = case when $status = 'complete' then null else lease_owner end,
            lease_expires_at = case when $status = 'complete' then null else lease_expires_at end
      where id = $id`,
  ).run({ ...to, now, isNewPhase, id: row.id });
  if (to.status === "complete") revokeMedia(db, row.id, now);
  return to;
}

/** No media URL outlives its job, whichever way the job ends. */
export function revokeMedia(db: Database, jobId: string, now: number): void {
  db.query("update media set revoked_at = $now where job_id = $jobId and revoked_at is null").run({
    jobId,
    now,
  });
}

/** Writes what comes with a transition; inside its transaction. */
export function writeChange(db: Database, id: string, change: Advance, now: number): void {
  db.query(
    `update jobs
        set failed_step = coalesce(failed_step, $failedStep),
            error = coalesce(error, $error),
            bmc_touched = max(bmc_touched, $bmcTouched)
      where id = $id`,
  ).run({
    id,
    failedStep: change.failedStep ?? null,
    error: change.error ?? null,
    bmcTouched: change.bmcTouched ? 1 : 0,
  });
  appendEvents(db, id, change.events, now);
  if (change.deliveryId !== undefined) insertDelivery(db, id, change.deliveryId, now);
}

/** @returns false when the job knew it. */
export function insertDelivery(db: Database, id: string, deliveryId: string, now: number): boolean {
  const { changes } = db
    .query(
      `insert into deliveries (job_id, delivery_id, received_at)
       values ($id, $deliveryId, $now)
       on conflict do nothing`,
    )
    .run({ id, deliveryId, now });
  return changes === 1;
}
