// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Database } from "bun:sqlite";
import { ProvError } from "../../base/errors.ts";
import { hashToken, type Sealer } from "../seal.ts";
import type { CreatedJob, NewJob } from "../store.ts";
import { appendEvents } from "./events.ts";
import { JOB_COLUMNS, type JobRow, jobFromRow } from "./job-row.ts";
import { recipePlace, tokenPlace } from "./payloads.ts";

/** Inside a transaction: what is checked here still holds when the row is written. */
export function createJob(db: Database, sealer: Sealer, job: NewJob, now: number): CreatedJob {
  const { idempotency } = job;
  if (idempotency !== null) {
    const earlier = db
      .query<JobRow & { readonly idempotency_hash: string }, { key: string }>(
        `select ${JOB_COLUMNS}, idempotency_hash from jobs where idempotency_key = $key`,
      )
      .get({ key: idempotency.key });
    if (earlier !== null) {
      const isSame = earlier.idempotency_hash === idempotency.bodyHash;
      return { kind: isSame ? "existing" : "key-reused", job: jobFromRow(earlier) };
    }
  }
  const active = db
    .query<JobRow, { serial: string }>(
      `select ${JOB_COLUMNS} from jobs where server_serial = $serial and status <> 'complete'`,
    )
    .get({ serial: job.serverSerial });
  if (active !== null) return { kind: "busy", job: jobFromRow(active) };
  requireServer(db, job.serverSerial);
  return { kind: "created", job: jobFromRow(insertJob(db, sealer, job, now)) };
}

function requireServer(db: Database, serial: string): void {
  const server = db.query("select 1 from servers where serial = $serial").get({ serial });
  if (server === null) {
    throw new ProvError(`Cannot create a job for server "${serial}": there is no such server`, {
      code: "NOT_FOUND",
      hint: "Add it with `prov server add`.",
    });
  }
}

function insertJob(db: Database, sealer: Sealer, job: NewJob, now: number): JobRow {
  const row = db
    .query<JobRow, Record<string, string | number | Uint8Array | null>>(
      `insert into jobs (id, server_serial, task_target, idempotency_key, idempotency_hash,
                         token_hash, token_sealed, recipe_sealed, created_at, updated_at, phase_since)
       values ($id, $serverSerial, $taskTarget, $key, $bodyHash,
               $tokenHash, $token, $recipe, $now, $now, $now)
       returning ${JOB_COLUMNS}`,
    )
    .get({
      id: job.id,
      serverSerial: job.serverSerial,
      taskTarget: job.taskTarget,
      key: job.idempotency?.key ?? null,
      bodyHash: job.idempotency?.bodyHash ?? null,
      tokenHash: hashToken(job.token),
      token: sealer.seal(tokenPlace(job.id), job.token),
      recipe: sealer.seal(recipePlace(job.id), job.recipeText),
      now,
    });
  if (row === null) throw new TypeError("An insert returns its row");
  appendEvents(db, job.id, [{ level: "info", message: "Queued", step: null }], now);
  return row;
}
