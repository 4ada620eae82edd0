// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * What the controller asks of its memory, in words of the domain. Asynchronous, so that a database
 * on another host can stand behind it; SQLite (`sqlite/`) is the only implementation.
 *
 * Every operation that changes a job's state writes the state and its events in one transaction.
 */

import type { Millis } from "../base/units.ts";
import type { Job, JobEvent, JobProgress, NewJobEvent, Server } from "../jobs/job.ts";
import type { Status, Transition } from "../jobs/lifecycle.ts";

export interface Store {
  readonly jobs: JobStore;
  readonly servers: ServerStore;
  readonly users: UserStore;
  readonly robots: RobotStore;
  readonly media: MediaStore;
  /**
   * A key of 32 bytes for one purpose, made from the one that seals secrets: it stays the same as long as that
   * one does, and tells nothing about it or about the keys for other purposes.
   */
  deriveKey(purpose: string): Promise<Uint8Array>;
  /** Removes what is older than the site wants to keep. Only complete jobs grow old. */
  prune(retention: Retention, now: number): Promise<Pruned>;
  /** Wakes everyone who waits for a change. Nothing may be asked afterwards. */
  close(): Promise<void>;
}

/** How long something stays after its job's last change. */
export interface Retention {
  /** Recipe, envelope, token and media URLs. Without them a job can be read and not be retried. */
  readonly secrets: Millis;
  /** The job itself, with its events. */
  readonly jobs: Millis;
}

/** Numbers of jobs. */
export interface Pruned {
  readonly secrets: number;
  readonly jobs: number;
}

/** Proof of holding a job. A worker whose fence is no longer the row's can write nothing more. */
export interface Lease {
  readonly jobId: string;
  readonly owner: string;
  readonly fence: number;
}

interface Idempotency {
  /** Unique over all jobs that are kept: callers put the user's name in front. */
  readonly key: string;
  /** SHA-256 of the request body. */
  readonly bodyHash: string;
}

export interface NewJob {
  readonly id: string;
  readonly serverSerial: string;
  readonly taskTarget: string;
  /** The recipe as the user sent it, byte for byte. Sealed at rest. */
  readonly recipeText: string;
  /** The job's own secret. Sealed at rest; looked up by its SHA-256. */
  readonly token: string;
  readonly idempotency: Idempotency | null;
}

export type CreatedJob =
  | { readonly kind: "created"; readonly job: Job }
  /** Same idempotency key, same body: the job that was made then. */
  | { readonly kind: "existing"; readonly job: Job }
  /** Same idempotency key, other body. */
  | { readonly kind: "key-reused"; readonly job: Job }
  /** The server already has a job that is not complete. */
  | { readonly kind: "busy"; readonly job: Job };

/** What a job carries besides its state; unsealed. */
export interface JobPayload {
  readonly recipeText: string;
  readonly token: string;
  /** JSON of the envelope once the worker has made it: the input that keeps the task ISO's bytes the same. */
  readonly envelopeText: string | null;
}

export interface JobFilter {
  readonly status?: Status;
  readonly serverSerial?: string;
  readonly limit: number;
  /** As returned in the page before. */
  readonly cursor?: string;
}

export interface Page<T> {
  readonly items: readonly T[];
  /** Null on the last page. */
  readonly cursor: string | null;
}

/** What is written together with a transition. Fields that are left out stay as they are. */
export interface Advance {
  readonly events: readonly NewJobEvent[];
  /** Kept if the job has none yet: the first cause wins. */
  readonly failedStep?: string;
  readonly error?: string;
  readonly bmcTouched?: true;
  /** Of the report behind the transition, remembered with it: see {@link JobStore.recordDelivery}. */
  readonly deliveryId?: string;
}

export interface JobStore {
  /** @throws {ProvError} `NOT_FOUND` when there is no such server. */
  create(job: NewJob, now: number): Promise<CreatedJob>;
  get(id: string): Promise<Job | undefined>;
  /** The job of this server that is not complete. */
  activeFor(serial: string): Promise<Job | undefined>;
  /** Newest first. @throws {ProvError} `USAGE` for a cursor that is not ours. */
  list(filter: JobFilter): Promise<Page<Job>>;
  /** Undefined as well when its retention is over. */
  payload(id: string): Promise<JobPayload | undefined>;
  /** The job this token belongs to, by the token's SHA-256; complete jobs included. */
  byToken(token: string): Promise<Job | undefined>;
  /**
   * Written once, before the first media URL is given out.
   * @throws {ProvError} `LEASE_LOST`; `CONFLICT` when the job has another one.
   */
  setEnvelope(lease: Lease, envelopeText: string): Promise<void>;

  /**
   * Takes the oldest job that is queued or whose lease ran out or was released, and notes it in the
   * job's events. A queued one becomes provisioning/media; a taken-over one keeps its phase. The fence grows.
   */
  claim(owner: string, now: number, ttl: Millis): Promise<{ job: Job; lease: Lease } | undefined>;
  /** False when the lease is lost: stop at once. */
  heartbeat(lease: Lease, now: number, ttl: Millis): Promise<boolean>;
  /** Lets go of a job that is not complete, so that another worker can take it at once. */
  release(lease: Lease, now: number): Promise<void>;

  /**
   * Applies a transition under a lease.
   * @throws {ProvError} `LEASE_LOST` when someone else holds the job; `CONFLICT` when its state does
   *   not expect the transition (it was reported or canceled meanwhile: read it again).
   */
  advance(lease: Lease, transition: Transition, change: Advance, now: number): Promise<Job>;
  /**
   * Applies a transition that comes from outside the worker: the agent's report or a user's cancel.
   * @returns undefined when the state does not expect it any more.
   */
  signal(
    id: string,
    transition: Transition,
    change: Advance,
    now: number,
  ): Promise<Job | undefined>;

  /** Adds events without changing state. @throws {ProvError} `NOT_FOUND` */
  note(id: string, events: readonly NewJobEvent[], now: number): Promise<void>;
  setProgress(id: string, progress: JobProgress | null): Promise<void>;
  /** Sets `checkedInAt` if it is not set. @returns true when it was not. */
  checkIn(id: string, now: number): Promise<boolean>;
  /**
   * Remembers the delivery id of a report that moves nothing. One that moves the job comes with its
   * transition, so that a crash in between cannot make a report known that never counted.
   * @returns false when it was known.
   */
  recordDelivery(id: string, deliveryId: string, now: number): Promise<boolean>;
  isKnownDelivery(id: string, deliveryId: string): Promise<boolean>;

  /** Events with `seq` above `after`, oldest first. */
  events(id: string, after: number, limit: number): Promise<readonly JobEvent[]>;
  /**
   * Resolves when this process has changed the job, its events or its media's first GET since the call,
   * or when `signal` aborts. Call it before reading, and look from time to time all the same when
   * several processes share the store.
   */
  changed(id: string, signal: AbortSignal): Promise<void>;
  /**
   * Resolves when this process has made something to claim, or when `signal` aborts. A lease that runs
   * out is not announced.
   */
  claimable(signal: AbortSignal): Promise<void>;
}

export interface ServerStore {
  /**
   * What `probe` learned is kept unless the BMC is another one.
   * @throws {ProvError} `CONFLICT` for another BMC while the server has an active job.
   */
  put(
    server: Omit<Server, "createdAt" | "updatedAt" | "capabilities">,
    now: number,
  ): Promise<"created" | "updated">;
  get(serial: string): Promise<Server | undefined>;
  list(): Promise<readonly Server[]>;
  /** @throws {ProvError} `CONFLICT` while it has an active job. @returns false when there is none. */
  remove(serial: string): Promise<boolean>;
  setCapabilities(serial: string, capabilities: unknown, now: number): Promise<void>;
}

export const ROLES = ["admin", "operator", "reader"] as const;
export type Role = (typeof ROLES)[number];

export interface User {
  readonly name: string;
  readonly role: Role;
  readonly createdAt: number;
}

export interface UserStore {
  count(): Promise<number>;
  /** @throws {ProvError} `CONFLICT` when the name is taken, `USAGE` for an empty name or password. */
  add(name: string, role: Role, password: string, now: number): Promise<void>;
  /** @returns false when there is no such user. @throws {ProvError} `USAGE` for an empty password. */
  setPassword(name: string, password: string, now: number): Promise<boolean>;
  remove(name: string): Promise<boolean>;
  list(): Promise<readonly User[]>;
  /** With the time of its last change, its password's among them. */
  get(name: string): Promise<(User & { readonly changedAt: number }) | undefined>;
  /** Takes as long for an unknown name as for a known one. */
  verify(name: string, password: string): Promise<User | undefined>;
}

/** What a robot may do with the repositories that a glob fits. */
export interface RobotGrant {
  readonly repositories: string;
  readonly actions: readonly ("pull" | "push" | "delete")[];
}

export interface NewRobot {
  readonly name: string;
  readonly grants: readonly RobotGrant[];
  /** Unix epoch, ms; null: never. */
  readonly expiresAt: number | null;
}

/** An account of a program that uses the registry. */
export interface Robot extends NewRobot {
  readonly createdAt: number;
  /** When its token was made. */
  readonly changedAt: number;
  /** Within some minutes; null: never. */
  readonly lastUsedAt: number | null;
}

export interface RobotStore {
  /** @param token kept as its SHA-256. @throws {ProvError} `CONFLICT` when the name is taken. */
  add(robot: NewRobot, token: string, now: number): Promise<void>;
  /** @returns false when there is no such robot. */
  setToken(name: string, token: string, now: number): Promise<boolean>;
  remove(name: string): Promise<boolean>;
  list(): Promise<readonly Robot[]>;
  get(name: string): Promise<Robot | undefined>;
  /** Expired ones as well. */
  byToken(token: string): Promise<Robot | undefined>;
  noteUse(name: string, now: number): Promise<void>;
}

export const MEDIA_KINDS = ["boot", "task", "combined"] as const;
export type MediaKind = (typeof MEDIA_KINDS)[number];

/** One media URL that was given to a BMC. */
export interface MediaToken {
  readonly token: string;
  readonly jobId: string;
  readonly kind: MediaKind;
  readonly createdAt: number;
  readonly expiresAt: number;
  readonly revokedAt: number | null;
  /** GETs that were answered with content, and when the first and the last came. A crash may lose the last second of them. */
  readonly gets: number;
  readonly firstGetAt: number | null;
  readonly lastGetAt: number | null;
}

export interface MediaStore {
  /** Makes and stores an unguessable token for one attempt of a job. */
  issue(jobId: string, kind: MediaKind, expiresAt: number, now: number): Promise<MediaToken>;
  get(token: string): Promise<MediaToken | undefined>;
  forJob(jobId: string): Promise<readonly MediaToken[]>;
  countGet(token: string, now: number): Promise<void>;
  /** Revokes every token of the job. */
  revoke(jobId: string, now: number): Promise<void>;
}
