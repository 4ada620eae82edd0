// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Database } from "bun:sqlite";
import { ProvError } from "../../base/errors.ts";
import type { Job } from "../../jobs/job.ts";
import type { JobFilter, Page } from "../store.ts";
import { JOB_COLUMNS, type JobRow, jobFromRow } from "./job-row.ts";

/** Newest first; the cursor is the number of the last job of the page before. */
export function listJobs(db: Database, filter: JobFilter): Page<Job> {
  const rows = db
    .query<JobRow, Record<string, string | number | null>>(
      `select ${JOB_COLUMNS}
         from jobs
        where number < $before
          and ($status is null or status = $status)
          and ($serial is null or server_serial = $serial)
        order by number desc
        limit $limit`,
    )
    .all({
      before: filter.cursor === undefined ? Number.MAX_SAFE_INTEGER : parseCursor(filter.cursor),
      status: filter.status ?? null,
      serial: filter.serverSerial ?? null,
      // One more than asked for tells whether there is another page.
      limit: filter.limit + 1,
    });
  const page = rows.slice(0, filter.limit);
  const last = rows.length > page.length ? page.at(-1) : undefined;
  return { items: page.map(jobFromRow), cursor: last === undefined ? null : `${last.number}` };
}

function parseCursor(cursor: string): number {
  if (!/^[1-9]\d{0,14}$/.test(cursor)) {
    throw new ProvError(`Cannot list jobs from cursor "${cursor}": it is not one of a page`, {
      code: "USAGE",
      hint: "Pass the cursor of the page before as it is.",
    });
  }
  return Number(cursor);
}
