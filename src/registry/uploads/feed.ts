// SPDX-License-Identifier: AGPL-3.0-or-later

import { OciError, storageFull, toOciError } from "../oci-error.ts";
import type { UploadWriter } from "../storage/blob-storage.ts";
import { receiveBody } from "./receive.ts";
import type { Body, Session, UploadDeps } from "./upload-session.ts";

/** After so many bytes the upload is synced, so that a crash loses no more. */
const CHECKPOINT_BYTES = 256 * 1024 * 1024;
const SPACE_CHECK_BYTES = 32 * 1024 * 1024;

export function requireStart({ id, repository, received }: Session, start: number | null): void {
  if (start === null || start === received) return;
  throw new OciError(`the upload goes on at byte ${received}`, {
    code: "BLOB_UPLOAD_INVALID",
    status: 416,
    headers: { range: rangeOf(received), location: uploadUrl(repository, id) },
  });
}

/**
 * Appends a body to an upload. What has come stays, also when the body was cut short.
 * @throws {OciError} `BLOB_UPLOAD_INVALID` when it was; `STORAGE_FULL`
 */
export async function feed(
  deps: UploadDeps,
  session: Session,
  body: Body & { readonly stream: ReadableStream<Uint8Array> },
  stop: AbortSignal,
): Promise<void> {
  if (stop.aborted || body.signal.aborted) throw cutShort(0);
  await requireSpace(deps, body.length ?? 0);
  if (session.received + (body.length ?? 0) > body.room) {
    body.requireRoom(session.received + (body.length ?? 0));
  }
  session.hasher ??= await deps.storage.rehash(session.id, session.received, session.algorithm);
  const before = session.received;
  const writer = await deps.storage.append(session.id, before);
  try {
    const sink = createSink(deps, session, session.hasher, writer, body);
    const ended = await receiveBody(body.stream, sink, stop);
    await sink.settled();
    await writer.sync();
    deps.catalog.setReceived(session.id, session.received, deps.now());
    const got = session.received - before;
    if (!ended || body.signal.aborted || (body.length !== null && body.length !== got)) {
      throw cutShort(got);
    }
  } catch (error) {
    // It may have hashed what it could not write.
    if (!(error instanceof OciError) || isStorageFull(error)) session.hasher = undefined;
    throw error;
  } finally {
    await writer.close();
  }
}

function createSink(
  deps: UploadDeps,
  session: Session,
  hasher: Bun.CryptoHasher,
  writer: UploadWriter,
  body: Body,
) {
  let synced = session.received;
  let checked = session.received;
  let checkpoint: Promise<void> | undefined;
  return {
    /** Resolves when no checkpoint is on its way any more. */
    settled: async () => await checkpoint,
    hash(chunk: Uint8Array): void {
      hasher.update(chunk);
      session.arrived += chunk.byteLength;
    },
    async write(chunks: readonly Uint8Array[]): Promise<void> {
      session.isWriting = true;
      await writer.write(chunks).finally(() => {
        session.isWriting = false;
      });
      session.received += chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0);
      if (session.received > body.room) body.requireRoom(session.received);
      if (session.received - checked >= SPACE_CHECK_BYTES) {
        checked = session.received;
        await requireSpace(deps, 0);
      }
      if (session.received - synced >= CHECKPOINT_BYTES) {
        const reached = session.received;
        synced = reached;
        await checkpoint;
        checkpoint = writer
          .sync()
          .then(() => deps.catalog.setReceived(session.id, reached, deps.now()));
        checkpoint.catch(() => undefined);
      }
    },
  };
}

/** @throws {OciError} `STORAGE_FULL` when `bytes` more would go into the reserve. */
export async function requireSpace(deps: UploadDeps, bytes: number): Promise<void> {
  if ((await deps.storage.freeBytes()) - bytes < deps.reserveBytes) throw storageFull();
}

function cutShort(bytes: number): OciError {
  return new OciError(`the body was cut short after ${bytes} bytes`, {
    code: "BLOB_UPLOAD_INVALID",
  });
}

export function isStorageFull(error: unknown): boolean {
  return toOciError(error).code === "STORAGE_FULL";
}

export function uploadUrl(repository: string, id: string): string {
  return `/v2/${repository}/blobs/uploads/${id}`;
}

/** How the protocol writes "bytes 0 to n-1"; an empty upload is `0-0` there as well. */
export function rangeOf(received: number): string {
  return `0-${Math.max(0, received - 1)}`;
}
