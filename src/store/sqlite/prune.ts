// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Database } from "bun:sqlite";
import type { Pruned, Retention } from "../store.ts";

/** Inside a transaction. Events, deliveries and media of a job go with it. */
export function pruneJobs(db: Database, retention: Retention, now: number): Pruned {
  const jobs = db
    .query("delete from jobs where status = 'complete' and updated_at <= $before")
    .run({ before: now - retention.jobs }).changes;
  const before = now - retention.secrets;
  db.query(
    `delete from media
      where job_id in (select id from jobs where status = 'complete' and updated_at <= $before)`,
  ).run({ before });
  // The token's hash stays, so that a report that comes very late still gets its 200.
  const secrets = db
    .query(
      `update jobs
          set token_sealed = null, recipe_sealed = null, envelope_sealed = null
        where status = 'complete' and updated_at <= $before and recipe_sealed is not null`,
    )
    .run({ before }).changes;
  return { secrets, jobs };
}
