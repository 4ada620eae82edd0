// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Clock } from "../../base/deps.ts";
import type { Millis } from "../../base/units.ts";
import type { Catalog } from "../catalog/catalog.ts";
import type { UploadRow } from "../catalog/uploads.ts";
import type { Algorithm } from "../digest.ts";
import { OciError } from "../oci-error.ts";
import type { BlobStorage } from "../storage/blob-storage.ts";
import type { Gate } from "./gate.ts";

export interface UploadDeps {
  readonly storage: BlobStorage;
  readonly catalog: Catalog;
  readonly now: Clock;
  /** Bytes that uploads leave free on the disk. */
  readonly reserveBytes: number;
  /** How often each body is looked at: whether it waits for its client. */
  readonly slowAfter: Millis;
}

export interface Body {
  readonly stream: ReadableStream<Uint8Array> | null;
  /** From Content-Length; null for a chunked body. */
  readonly length: number | null;
  /** The request's own. */
  readonly signal: AbortSignal;
  /** Bytes that the whole upload may have. */
  readonly room: number;
  /** @throws {OciError} `DENIED` when so many bytes are too many. */
  requireRoom(bytes: number): void;
}

/** The uploads of this process. */
export interface Uploading extends UploadDeps {
  readonly sessions: Map<string, Session>;
  /** Passed by each body that is read. */
  readonly gate: Gate;
}

/** What is known of an upload in this process. */
export interface Session {
  readonly id: string;
  readonly repository: string;
  algorithm: Algorithm;
  /** Bytes in the file. */
  received: number;
  /** Bytes that have come over the network in this process. */
  arrived: number;
  /** True while it is the disk that the body waits for. */
  isWriting: boolean;
  /** Of exactly `received` bytes; undefined until it is made. */
  hasher: Bun.CryptoHasher | undefined;
  /** The request that is at work on it now. */
  active: Active | undefined;
}

/** A request that feeds an upload, or finishes it: that one does not stop. */
export interface Active {
  readonly stop: AbortController;
  readonly settled: Promise<unknown>;
}

/**
 * The upload as this process knows it, or as the catalog and the disk remember it.
 * @throws {OciError} `BLOB_UPLOAD_UNKNOWN`
 */
export async function findSession(
  { storage, catalog, sessions }: Uploading,
  repository: string,
  id: string,
): Promise<Session> {
  const live = sessions.get(id);
  if (live?.repository === repository) return live;
  const row: UploadRow | undefined = catalog.upload(id);
  const size = row?.repository === repository ? await storage.uploadSize(id) : undefined;
  if (row === undefined || size === undefined) {
    throw new OciError(`there is no upload ${id} in ${repository}`, {
      code: "BLOB_UPLOAD_UNKNOWN",
    });
  }
  // Two requests may have looked at the same time.
  const again = sessions.get(id);
  if (again !== undefined) return again;
  const session: Session = {
    id,
    repository,
    algorithm: row.algorithm,
    // Behind this lies what a crash may have left half-written.
    received: Math.min(row.received, size),
    arrived: 0,
    isWriting: false,
    hasher: undefined,
    active: undefined,
  };
  sessions.set(id, session);
  return session;
}

/** Keeps others away from the upload until `work` on it has come to its end. */
export function hold<T>(session: Session, stop: AbortController, work: Promise<T>): Promise<T> {
  const clear = () => {
    session.active = undefined;
  };
  session.active = { stop, settled: work.then(clear, clear) };
  return work;
}

/**
 * A client that comes back after a dropped connection may be here before the old connection is
 * known to be dead. It says where it goes on, so the old request is ended for it.
 * @throws {OciError} 409 when it does not say.
 */
export async function takeOver(active: Active, start: number | null): Promise<void> {
  if (start === null) throw busy();
  active.stop.abort();
  await active.settled;
}

export function busy(): OciError {
  return new OciError("another request is feeding this upload", {
    code: "BLOB_UPLOAD_INVALID",
    status: 409,
  });
}
