// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * Uploads that are being received: begun, fed in one or many requests, and finished or given up.
 * An upload outlives the connection and the process; only its hash is kept in memory, and made
 * again from the file when it is missing.
 */
import type { Millis } from "../../base/units.ts";
import { type Algorithm, algorithmOf, type Digest } from "../digest.ts";
import { OciError } from "../oci-error.ts";
import type { BlobStorage } from "../storage/blob-storage.ts";
import { errnoOf } from "../storage/durable.ts";
import { feed, isStorageFull, requireSpace, requireStart } from "./feed.ts";
import { createGate } from "./gate.ts";
import {
  type Body,
  busy,
  findSession,
  hold,
  type Session,
  takeOver,
  type UploadDeps,
  type Uploading,
} from "./upload-session.ts";

/** Each body being read costs 3 to 6 MB; one that waits costs nothing, because TCP stalls it. */
const ACTIVE_BODIES = 24;
/** A client that brings less than this is slow; in bytes per millisecond. */
const SLOW_RATE = 200;
/** An upload nobody has touched for so long is given up. */
const ABANDONED_AFTER_MS = 24 * 3600 * 1000;

export interface Uploads {
  /** @returns the upload's id. @throws {OciError} `STORAGE_FULL` */
  begin(repository: string, algorithm: Algorithm): Promise<string>;
  /** Bytes received so far. @throws {OciError} `BLOB_UPLOAD_UNKNOWN` */
  received(repository: string, id: string): Promise<number>;
  /**
   * Appends a body.
   * @param start where the client says it begins; null when it does not say.
   * @returns bytes received in all.
   * @throws {OciError} 416 when `start` is not where the upload ends; 409 while another request
   *   feeds it; `STORAGE_FULL`; `BLOB_UPLOAD_INVALID` when the body was cut short: what came is kept.
   */
  append(repository: string, id: string, body: Body, start: number | null): Promise<number>;
  /** Tells which digest it is to have, so that what comes is hashed with the right algorithm. */
  expect(repository: string, id: string, digest: Digest): Promise<void>;
  /**
   * Verifies what has come and makes it a blob on disk; the catalog's row for it is the caller's.
   * A wrong digest ends the upload.
   * @returns its size. @throws {OciError} `DIGEST_INVALID`
   */
  finish(repository: string, id: string, digest: Digest): Promise<number>;
  /** @throws {OciError} `BLOB_UPLOAD_UNKNOWN` */
  cancel(repository: string, id: string): Promise<void>;
  /** Gives up what was abandoned. */
  sweep(): Promise<void>;
  /** Removes files that no upload owns: what a crash has left. Only before the first request. */
  recover(): Promise<void>;
  /** Ends all reading; what has come stays for a resume. */
  close(): Promise<void>;
}

export function createUploads(deps: UploadDeps): Uploads {
  const all: Uploading = { ...deps, sessions: new Map(), gate: createGate(ACTIVE_BODIES) };
  return {
    begin: (repository, algorithm) => begin(all, repository, algorithm),
    async received(repository, id) {
      return (await findSession(all, repository, id)).received;
    },
    async append(repository, id, body, start) {
      for (;;) {
        // Found again each time: the request that was ended may have ended the upload as well.
        const session = await findSession(all, repository, id);
        // From here to where it is taken nothing is awaited: of several who waited for it one gets it.
        if (session.active === undefined) return await append(all, session, body, start);
        await takeOver(session.active, start);
      }
    },
    async expect(repository, id, digest) {
      const session = await findSession(all, repository, id);
      if (session.received > 0 || session.active !== undefined) return;
      session.algorithm = algorithmOf(digest);
      session.hasher = undefined;
    },
    async finish(repository, id, digest) {
      const session = await findSession(all, repository, id);
      if (session.active !== undefined) throw busy();
      // A chunk that came now would get into the blob: the file has its name already.
      return await hold(session, new AbortController(), finish(all, session, digest));
    },
    async cancel(repository, id) {
      const session = await findSession(all, repository, id);
      session.active?.stop.abort();
      await session.active?.settled;
      await forget(all, id);
    },
    sweep: () => sweep(all),
    async recover() {
      for (const id of await all.storage.uploads()) {
        if (all.catalog.upload(id) === undefined) await all.storage.cancel(id);
      }
    },
    async close() {
      const active = [...all.sessions.values()].flatMap((s) => (s.active ? [s.active] : []));
      for (const { stop } of active) stop.abort();
      await Promise.all(active.map(({ settled }) => settled));
    },
  };
}

async function begin(all: Uploading, repository: string, algorithm: Algorithm): Promise<string> {
  await requireSpace(all, 0);
  const id = crypto.randomUUID();
  // First the row: a file without one is swept away.
  all.catalog.addUpload({ id, repository, algorithm, received: 0, updatedAt: all.now() });
  await all.storage.begin(id);
  return id;
}

async function append(
  all: Uploading,
  session: Session,
  body: Body,
  start: number | null,
): Promise<number> {
  requireStart(session, start);
  const { stream } = body;
  if (stream === null || body.length === 0) return session.received;
  const stop = new AbortController();
  const feeding = all.gate.run(async (leave) => {
    const timer = leaveWhenSlow(session, all.slowAfter, leave);
    try {
      await feed(all, session, { ...body, stream }, stop.signal);
    } finally {
      clearInterval(timer);
    }
  });
  try {
    await hold(session, stop, feeding);
  } catch (error) {
    // Nothing half-written stays on a full disk, or of what a quota does not allow.
    if (isStorageFull(error) || isDenied(error) || isDiskBroken(error))
      await forget(all, session.id);
    throw error;
  }
  return session.received;
}

const isDenied = (error: unknown): boolean => error instanceof OciError && error.code === "DENIED";

/** After a sync that failed Linux takes the bytes for written: a second one would succeed without them. */
const isDiskBroken = (error: unknown): boolean => errnoOf(error) === "EIO";

/**
 * A slow client takes little memory, and must not keep the fast ones waiting for as long as it likes:
 * a thousand of them are passed in half a minute. It is one when it is slow twice in a row, because
 * it is not to blame for a pause of this process.
 */
function leaveWhenSlow(session: Session, after: Millis, leave: () => void) {
  let seen = session.arrived;
  let wasSlow = false;
  return setInterval(() => {
    const isSlow = !session.isWriting && session.arrived - seen < SLOW_RATE * after;
    if (isSlow && wasSlow) leave();
    wasSlow = isSlow;
    seen = session.arrived;
  }, after);
}

async function finish(all: Uploading, session: Session, digest: Digest): Promise<number> {
  const { id, repository } = session;
  const found = await digestOf(all.storage, session, algorithmOf(digest));
  if (found !== digest) {
    await forget(all, id);
    throw new OciError(`the content has digest ${found}, not ${digest}`, {
      code: "DIGEST_INVALID",
    });
  }
  try {
    await all.storage.commit(id, repository, digest);
  } catch (error) {
    if (isDiskBroken(error)) await forget(all, id);
    throw error;
  }
  all.sessions.delete(id);
  all.catalog.removeUpload(id);
  return session.received;
}

async function forget(all: Uploading, id: string): Promise<void> {
  all.sessions.delete(id);
  // The file first: on a full disk the catalog needs its room to write.
  await all.storage.cancel(id);
  all.catalog.removeUpload(id);
}

async function sweep(all: Uploading): Promise<void> {
  for (const { id, updatedAt } of all.catalog.uploads()) {
    const isActive = all.sessions.get(id)?.active !== undefined;
    if (!isActive && all.now() - updatedAt > ABANDONED_AFTER_MS) await forget(all, id);
  }
}

async function digestOf(
  storage: BlobStorage,
  session: Session,
  algorithm: Algorithm,
): Promise<string> {
  const hasher =
    session.hasher !== undefined && session.algorithm === algorithm
      ? session.hasher
      : await storage.rehash(session.id, session.received, algorithm);
  session.hasher = undefined;
  return `${algorithm}:${hasher.digest("hex")}`;
}
