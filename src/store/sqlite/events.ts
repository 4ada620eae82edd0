// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Database } from "bun:sqlite";
import type { EventLevel, JobEvent, NewJobEvent } from "../../jobs/job.ts";
import { memberOf } from "./job-row.ts";

const LEVELS: readonly EventLevel[] = ["info", "warn", "error"];

interface EventRow {
  readonly seq: number;
  readonly time: number;
  readonly level: string;
  readonly message: string;
  readonly step: string | null;
}

/** Adds to a job's history; inside the transaction of what the events tell of. */
export function appendEvents(
  db: Database,
  id: string,
  events: readonly NewJobEvent[],
  now: number,
): void {
  for (const { level, message, step } of events) {
    db.query(
      `insert into job_events (job_id, seq, time, level, message, step)
       select $id, coalesce(max(seq), 0) + 1, $now, $level, $message, $step
         from job_events
        where job_id = $id`,
    ).run({ id, now, level, message, step });
  }
}

export function readEvents(
  db: Database,
  id: string,
  range: { readonly after: number; readonly limit: number },
): JobEvent[] {
  return db
    .query<EventRow, { id: string; after: number; limit: number }>(
      `select seq, time, level, message, step
         from job_events
        where job_id = $id and seq > $after
        order by seq
        limit $limit`,
    )
    .all({ id, ...range })
    .map((row) => ({ ...row, level: memberOf(LEVELS, row.level) }));
}
