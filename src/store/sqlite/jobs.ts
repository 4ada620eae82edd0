// SPDX-License-Identifier: AGPL-3.0-or-later
import { ProvError } from "../../base/errors.ts";
import type { Millis } from "../../base/units.ts";
import type { Job, JobEvent, JobProgress, NewJobEvent } from "../../jobs/job.ts";
import type { Transition } from "../../jobs/lifecycle.ts";
import { hashToken, type Sealer } from "../seal.ts";
import type {
  Advance,
  CreatedJob,
  JobFilter,
  JobPayload,
  JobStore,
  Lease,
  NewJob,
  Page,
} from "../store.ts";
import type { Connection } from "./connection.ts";
import { createJob } from "./create-job.ts";
import { appendEvents, readEvents } from "./events.ts";
import { JOB_COLUMNS, type JobRow, jobFromRow } from "./job-row.ts";
import { claimJob, dropLease, extendLease, requireLease } from "./leases.ts";
import { listJobs } from "./list-jobs.ts";
import type { Listeners } from "./listeners.ts";
import { readPayload, writeEnvelope } from "./payloads.ts";
import { applyTransition, insertDelivery, writeChange } from "./transitions.ts";

/** No job has this id; woken when there may be something to claim. */
const CLAIMABLE = "";

export class SqliteJobStore implements JobStore {
  readonly #connection: Connection;
  readonly #sealer: Sealer;
  readonly #listeners: Listeners;

  constructor(connection: Connection, sealer: Sealer, listeners: Listeners) {
    this.#connection = connection;
    this.#sealer = sealer;
    this.#listeners = listeners;
  }

  create(job: NewJob, now: number): Promise<CreatedJob> {
    return this.#connection.write(() => {
      const created = createJob(this.#connection.db, this.#sealer, job, now);
      if (created.kind === "created") this.#listeners.wake(CLAIMABLE);
      return created;
    });
  }

  get(id: string): Promise<Job | undefined> {
    return this.#connection.read(() => this.#find("id = $value", id));
  }

  activeFor(serial: string): Promise<Job | undefined> {
    return this.#connection.read(() =>
      this.#find("server_serial = $value and status <> 'complete'", serial),
    );
  }

  byToken(token: string): Promise<Job | undefined> {
    return this.#connection.read(() => this.#find("token_hash = $value", hashToken(token)));
  }

  list(filter: JobFilter): Promise<Page<Job>> {
    return this.#connection.read(() => listJobs(this.#connection.db, filter));
  }

  payload(id: string): Promise<JobPayload | undefined> {
    return this.#connection.read(() => readPayload(this.#connection.db, this.#sealer, id));
  }

  setEnvelope(lease: Lease, envelopeText: string): Promise<void> {
    return this.#connection.write(() => {
      requireLease(this.#connection.db, lease);
      writeEnvelope(this.#connection.db, this.#sealer, lease.jobId, envelopeText);
      this.#listeners.wake(lease.jobId);
    });
  }

  claim(owner: string, now: number, ttl: Millis): Promise<{ job: Job; lease: Lease } | undefined> {
    return this.#connection.write(() => {
      const claimed = claimJob(this.#connection.db, owner, now, ttl);
      if (claimed !== undefined) this.#listeners.wake(claimed.job.id);
      return claimed;
    });
  }

  heartbeat(lease: Lease, now: number, ttl: Millis): Promise<boolean> {
    return this.#connection.write(() => extendLease(this.#connection.db, lease, now + ttl));
  }

  release(lease: Lease, now: number): Promise<void> {
    return this.#connection.write(() => {
      if (!dropLease(this.#connection.db, lease, now)) return;
      this.#listeners.wake(lease.jobId);
      this.#listeners.wake(CLAIMABLE);
    });
  }

  advance(lease: Lease, transition: Transition, change: Advance, now: number): Promise<Job> {
    return this.#connection.write(() => {
      const row = requireLease(this.#connection.db, lease);
      const job = this.#apply(row, transition, change, now);
      if (job === undefined) {
        const { status, phase } = jobFromRow(row);
        const state = phase === null ? status : `${status}/${phase}`;
        throw new ProvError(`Cannot apply "${transition.kind}" to job ${row.id}: it is ${state}`, {
          code: "CONFLICT",
        });
      }
      return job;
    });
  }

  signal(
    id: string,
    transition: Transition,
    change: Advance,
    now: number,
  ): Promise<Job | undefined> {
    return this.#connection.write(() => {
      const row = this.#findRow("id = $value", id);
      return row === null ? undefined : this.#apply(row, transition, change, now);
    });
  }

  note(id: string, events: readonly NewJobEvent[], now: number): Promise<void> {
    return this.#connection.write(() => {
      const { changes } = this.#connection.db
        .query("update jobs set updated_at = $now where id = $id")
        .run({ id, now });
      if (changes === 0) {
        throw new ProvError(`Cannot add events to job ${id}: there is no such job`, {
          code: "NOT_FOUND",
        });
      }
      appendEvents(this.#connection.db, id, events, now);
      this.#listeners.wake(id);
    });
  }

  setProgress(id: string, progress: JobProgress | null): Promise<void> {
    return this.#connection.write(() => {
      this.#connection.db
        .query(
          `update jobs
              set progress_step = $step,
                  progress_bytes_done = $bytesDone,
                  progress_bytes_total = $bytesTotal,
                  progress_updated_at = $updatedAt,
                  updated_at = max(updated_at, coalesce($updatedAt, 0))
            where id = $id`,
        )
        .run({ id, ...(progress ?? NO_PROGRESS) });
      this.#listeners.wake(id);
    });
  }

  checkIn(id: string, now: number): Promise<boolean> {
    return this.#connection.write(() => {
      const { changes } = this.#connection.db
        .query(
          `update jobs
              set checked_in_at = $now, updated_at = $now
            where id = $id and checked_in_at is null`,
        )
        .run({ id, now });
      if (changes === 1) this.#listeners.wake(id);
      return changes === 1;
    });
  }

  recordDelivery(id: string, deliveryId: string, now: number): Promise<boolean> {
    return this.#connection.write(() => insertDelivery(this.#connection.db, id, deliveryId, now));
  }

  isKnownDelivery(id: string, deliveryId: string): Promise<boolean> {
    return this.#connection.read(() => {
      const row = this.#connection.db
        .query("select 1 from deliveries where job_id = $id and delivery_id = $deliveryId")
        .get({ id, deliveryId });
      return row !== null;
    });
  }

  events(id: string, after: number, limit: number): Promise<readonly JobEvent[]> {
    return this.#connection.read(() => readEvents(this.#connection.db, id, { after, limit }));
  }

  changed(id: string, signal: AbortSignal): Promise<void> {
    return this.#listeners.wait(id, signal);
  }

  claimable(signal: AbortSignal): Promise<void> {
    return this.#listeners.wait(CLAIMABLE, signal);
  }

  #apply(row: JobRow, transition: Transition, change: Advance, now: number): Job | undefined {
    if (transition.kind === "claimed") throw new TypeError("Only claim() takes a job");
    const to = applyTransition(this.#connection.db, row, transition, now);
    if (to === undefined) return undefined;
    writeChange(this.#connection.db, row.id, change, now);
    this.#listeners.wake(row.id);
    return this.#find("id = $value", row.id);
  }

  #find(where: string, value: string | Uint8Array): Job | undefined {
    const row = this.#findRow(where, value);
    return row === null ? undefined : jobFromRow(row);
  }

  #findRow(where: string, value: string | Uint8Array): JobRow | null {
    return this.#connection.db
      .query<JobRow, { value: string | Uint8Array }>(
        `select ${JOB_COLUMNS} from jobs where ${where}`,
      )
      .get({ value });
  }
}

const NO_PROGRESS = { step: null, bytesDone: null, bytesTotal: null, updatedAt: null };
