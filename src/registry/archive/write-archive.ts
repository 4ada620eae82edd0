// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * Writes a planned archive. It decides nothing but where to go on: `FILE.part` of an earlier attempt is
 * read back (`archive-part.ts`), and what is right in it is kept.
 */
import { constants } from "node:fs";
import { type FileHandle, open, rename, statfs } from "node:fs/promises";
import { dirname } from "node:path";
import { ProvError } from "../../base/errors.ts";
import { formatBytes } from "../../base/units.ts";
import { syncPath } from "../storage/durable.ts";
import { createHasher, findProgress, type Progress } from "./archive-part.ts";
import type { ArchivePlan, PlannedBlob, PlannedEntry } from "./archive-plan.ts";
import { writeAll, writeStream } from "./file-stream.ts";
import { readAtOf } from "./read-at.ts";
import { END_BYTES, paddingOf } from "./tar-header.ts";

export interface WriteDeps {
  /**
   * The bytes of a blob that come after those that there are. It ends without an error only when all of
   * the blob is right.
   * @param have how many there are, and a hasher that was fed with them.
   */
  fetchBlob(blob: PlannedBlob, have: PartOfBlob): AsyncIterable<Uint8Array>;
  /** Bytes of the archive that are known to be right so far, read back or written. */
  onProgress(phase: "checking" | "writing", done: number, total: number): void;
  readonly signal?: AbortSignal;
}

export interface PartOfBlob {
  readonly size: number;
  readonly hasher: Bun.CryptoHasher;
}

export interface Written {
  /** Bytes that an earlier attempt had left, and that were right. */
  readonly resumedAt: number;
  /** Bytes that it had left, and that were not: of other artifacts, or damaged. */
  readonly discarded: number;
}

/**
 * The file appears when it is whole and on the disk, or not at all.
 *
 * @throws {ProvError} `ARTIFACT_INVALID` when a blob that comes is not its digest's, `DISK_FULL` when
 *   the archive cannot fit, and what `fetchBlob` throws. `FILE.part` stays then.
 */
export async function writeArchive(
  plan: ArchivePlan,
  path: string,
  deps: WriteDeps,
): Promise<Written> {
  const part = `${path}.part`;
  const handle = await open(part, constants.O_RDWR | constants.O_CREAT);
  let written: Written;
  try {
    const { size: length } = await handle.stat();
    const progress = await findProgress(plan, readAtOf(handle), length, (done) => {
      deps.signal?.throwIfAborted();
      deps.onProgress("checking", done, plan.size);
    });
    const resumedAt = Math.min(length, placeOf(plan, progress));
    written = { resumedAt, discarded: Math.max(0, Math.min(length, plan.size) - resumedAt) };
    await handle.truncate(resumedAt);
    await requireRoom(part, plan.size - resumedAt);
    await writeFrom(plan, progress, handle, deps);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(part, path);
  await syncPath(dirname(path));
  return written;
}

/** Where the first byte goes that is not there yet. */
function placeOf({ entries, size }: ArchivePlan, { entry, done }: Progress): number {
  const first = entries[entry];
  if (first === undefined) return size - END_BYTES;
  return first.start + (done === 0 ? 0 : first.header.byteLength + done);
}

async function requireRoom(path: string, bytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(path);
  if (bytes <= bavail * bsize) return;
  throw new ProvError(
    `Cannot write ${path}: ${formatBytes(bytes)} are to come and ${formatBytes(bavail * bsize)} are free`,
    { code: "DISK_FULL", hint: "Write it to a larger file system, or export fewer artifacts." },
  );
}

async function writeFrom(
  plan: ArchivePlan,
  progress: Progress,
  handle: FileHandle,
  deps: WriteDeps,
): Promise<void> {
  for (const [i, entry] of plan.entries.slice(progress.entry).entries()) {
    const isFirst = i === 0;
    const { done, hasher } = isFirst ? progress : nothingOf(entry);
    if (done === 0) await writeAll(handle, [entry.header], entry.start);
    await writeContent(
      entry,
      { done, hasher },
      handle,
      (at) => {
        deps.signal?.throwIfAborted();
        deps.onProgress("writing", at, plan.size);
      },
      deps,
    );
    const padding = new Uint8Array(paddingOf(entry.size));
    await writeAll(handle, [padding], entry.start + entry.header.byteLength + entry.size);
  }
  await writeAll(handle, [new Uint8Array(END_BYTES)], plan.size - END_BYTES);
  deps.onProgress("writing", plan.size, plan.size);
}

async function writeContent(
  entry: PlannedEntry,
  { done, hasher }: Pick<Progress, "done" | "hasher">,
  handle: FileHandle,
  onWritten: (at: number) => void,
  deps: WriteDeps,
): Promise<void> {
  const { content, size } = entry;
  const from = entry.start + entry.header.byteLength;
  if (content instanceof Uint8Array) {
    await writeAll(handle, [content], from);
    return;
  }
  if (done === size && size > 0) return;
  const file = writeStream(handle, from + done);
  try {
    let at = from + done;
    for await (const chunk of deps.fetchBlob(content, { size: done, hasher })) {
      await file.write(chunk);
      at += chunk.byteLength;
      onWritten(at);
    }
    await file.finish();
  } catch (error) {
    // What has come by now is worth keeping.
    await file.finish().catch(() => undefined);
    const isWrong = error instanceof ProvError && error.code === "ARTIFACT_INVALID";
    if (done === 0 || !isWrong) throw error;
    // The part that was there was not its beginning after all.
    await writeContent(entry, nothingOf(entry), handle, onWritten, deps);
  }
}

function nothingOf({ content }: PlannedEntry): Pick<Progress, "done" | "hasher"> {
  return { done: 0, hasher: createHasher(content) };
}
