// SPDX-License-Identifier: AGPL-3.0-or-later
import { ProvError } from "../../base/errors.ts";
import { algorithmOf, type Digest, digestOf, hexOf } from "../digest.ts";
import { storageFull, toOciError } from "../oci-error.ts";
import { errnoOf } from "../storage/durable.ts";
import type { Gate } from "../uploads/gate.ts";
import { type Mirroring, reserve } from "./mirroring.ts";
import { createWatermark, type Watermark } from "./watermark.ts";

/** After so many bytes they are synced, so that a crash loses no more. */
const CHECKPOINT_BYTES = 256 * 1024 * 1024;
const SPACE_CHECK_BYTES = 32 * 1024 * 1024;

/** A blob on its way here from upstream: one transfer for everybody who wants it. */
export interface IncomingBlob {
  readonly size: number;
  /** Resolves when it is here like any other; rejects when it does not come. */
  readonly done: Promise<void>;
  /** Waits for a byte: {@link Watermark.beyond}. */
  beyond(position: number): Promise<number>;
  /** Bytes from `first` up to `end`, which have come. */
  read(first: number, end: number): Promise<Uint8Array>;
}

interface Incoming {
  readonly repository: string;
  readonly digest: Digest;
  readonly size: number;
  /** Of the upload that it is written to. */
  readonly id: string;
  readonly mark: Watermark;
  readonly stop: AbortSignal;
}

/**
 * Begins to receive a blob, or goes on where an earlier transfer was cut short. Nobody needs to wait
 * for it: it goes on to its end, because what one client has asked for another will.
 *
 * @param stop cuts it short; what has come is kept.
 * @param gate that transfers pass, so that not too many are under way.
 */
export function receiveBlob(
  mirroring: Mirroring,
  { repository, digest, size }: Pick<Incoming, "repository" | "digest" | "size">,
  stop: AbortSignal,
  gate: Gate,
): IncomingBlob {
  const { storage } = mirroring;
  const mark = createWatermark(size);
  const id = `mirror-${hexOf(digestOf(`${repository} ${digest}`))}`;
  const blob: Incoming = { repository, digest, size, id, mark, stop };
  const done = receive(mirroring, blob, gate);
  done.then(mark.complete, mark.fail);
  return {
    size,
    done,
    beyond: (position) => mark.beyond(position),
    async read(first, end) {
      const upload = await bytesOf(storage.readUpload(id).slice(first, end));
      if (upload?.byteLength === end - first) return upload;
      // It has become the repository's in the meantime, or comes no more.
      await done;
      return await storage.read(repository, digest).slice(first, end).bytes();
    },
  };
}

async function bytesOf(file: Blob): Promise<Uint8Array | undefined> {
  try {
    return await file.bytes();
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined;
    throw error;
  }
}

async function receive(mirroring: Mirroring, blob: Incoming, gate: Gate): Promise<void> {
  const { storage, catalog, locks, layouts, log, now } = mirroring;
  const { repository, digest, size, id } = blob;
  try {
    using _room = reserve(mirroring, repository, size);
    await gate.run(() => fill(mirroring, blob));
    await locks.run(`${repository} ${digest}`, async () => {
      await storage.commit(id, repository, digest);
      catalog.addBlob(repository, digest, size, now());
    });
  } catch (error) {
    log.warn({ repository, digest, err: error }, "blob not mirrored");
    if (isWorthless(error)) {
      await forget(mirroring, id);
      // A disk that had no room for the repository's name of it has the store's.
      await storage.discard(digest, Number.POSITIVE_INFINITY);
    }
    throw error;
  }
  catalog.removeUpload(id);
  layouts.schedule();
  log.info({ repository, digest, size }, "blob mirrored");
}

async function forget({ storage, catalog }: Mirroring, id: string): Promise<void> {
  // The file first: on a full disk the catalog needs its room to write.
  await storage.cancel(id);
  catalog.removeUpload(id);
}

/** What has come cannot be gone on with: it is not what it should be, or there is no room for it. */
function isWorthless(error: unknown): boolean {
  const isWrong = error instanceof ProvError && error.code === "ARTIFACT_INVALID";
  return isWrong || toOciError(error).code === "STORAGE_FULL";
}

/** Receives what is missing, verified, into the blob's upload. */
async function fill(mirroring: Mirroring, blob: Incoming): Promise<void> {
  const { storage, catalog, upstream, now } = mirroring;
  const { repository, digest, size, id, mark } = blob;
  const have = await resume(mirroring, blob);
  const hasher = await storage.rehash(id, have, algorithmOf(digest));
  await requireSpace(mirroring, size - have);
  mark.advance(have);
  const writer = await storage.append(id, have);
  let written = have;
  const checkpoint = async () => {
    await writer.sync();
    catalog.setReceived(id, written, now());
  };
  try {
    let [synced, checked] = [written, written];
    const wanted = { digest, size, have: { size: have, hasher } };
    for await (const chunk of upstream.blob(repository, wanted, blob.stop)) {
      await writer.write([chunk]);
      written += chunk.byteLength;
      mirroring.counts.bytes += chunk.byteLength;
      mark.advance(written);
      if (written - checked >= SPACE_CHECK_BYTES) {
        await requireSpace(mirroring, 0);
        checked = written;
      }
      if (written - synced >= CHECKPOINT_BYTES) {
        await checkpoint();
        synced = written;
      }
    }
  } catch (error) {
    // After a sync that failed Linux takes the bytes for written: they are fetched again instead.
    if (!isWorthless(error) && errnoOf(error) !== "EIO") await checkpoint();
    throw error;
  } finally {
    await writer.close();
  }
}

/** @returns how many bytes are here already, of an earlier transfer. */
async function resume(mirroring: Mirroring, blob: Incoming): Promise<number> {
  const { storage, catalog, now } = mirroring;
  const { repository, digest, size, id } = blob;
  const row = catalog.upload(id);
  const found = await storage.uploadSize(id);
  if (row !== undefined && found !== undefined) {
    const have = Math.min(row.received, found, size);
    // Or the sweep takes it for abandoned while it goes on.
    catalog.setReceived(id, have, now());
    return have;
  }
  await forget(mirroring, id);
  // The name is no repository's: nobody reaches this upload by the protocol.
  const owner = `:mirror:${repository}`;
  const algorithm = algorithmOf(digest);
  catalog.addUpload({ id, repository: owner, algorithm, received: 0, updatedAt: now() });
  await storage.begin(id);
  return 0;
}

/** @throws {OciError} `STORAGE_FULL` when `bytes` more would go into the reserve. */
async function requireSpace({ storage, reserveBytes }: Mirroring, bytes: number): Promise<void> {
  if ((await storage.freeBytes()) - bytes < reserveBytes) throw storageFull();
}
