// SPDX-License-Identifier: AGPL-3.0-or-later
import { constants } from "node:fs";
import { type FileHandle, lstat, open, rename, rm, stat } from "node:fs/promises";
import { ProvError } from "../base/errors.ts";
import { type BlobContent, OtherBytes } from "../registry/client/blob-stream.ts";
import { openBlob, type PullDeps } from "../registry/client/pull.ts";
import type { Remote } from "../registry/client/remote.ts";
import { algorithmOf } from "../registry/digest.ts";
import { claimFile } from "./file-claim.ts";

export interface Download {
  readonly source: Remote;
  readonly blob: BlobContent;
  /** Where it goes. Until it is whole its bytes are in a file beside, `path` and `.part`. */
  readonly path: string;
  readonly signal: AbortSignal;
  readonly onProgress: (phase: "checking" | "receiving", done: number) => void;
}

/**
 * Fetches a blob into a file, which appears when it is whole and its digest was right, or not at all.
 * What has come is kept in the `.part` file when it is interrupted, and gone on with the next time.
 *
 * @throws {ProvError} as openBlob; `USAGE` when something else than a file is there, `CONFLICT` while
 *   another process fetches into it.
 */
export async function download(what: Download, deps: PullDeps): Promise<void> {
  await requireReplaceable(what.path);
  const partial = `${what.path}.part`;
  const { file, claim } = await openPart(partial);
  using _ = claim;
  try {
    const had = await fetchRest(what, deps, file);
    if (had === "damaged") await fetchRest(what, deps, file);
    await rename(partial, what.path);
  } catch (error) {
    await removeEmpty(partial);
    throw error;
  } finally {
    await file.close();
  }
}

/** Two that wrote into one file would each find their own bytes right, and leave a mixture. */
async function openPart(path: string): Promise<{ file: FileHandle; claim: Disposable }> {
  // Whoever can write here must not choose what is overwritten.
  const flags = constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW;
  for (;;) {
    const file = await open(path, flags, 0o666);
    const { dev, ino } = await file.stat();
    const claim = claimFile({ dev, ino });
    // Whoever had it may have finished it meanwhile: then it is a partial file no more.
    const isStill = (await stat(path).catch(() => undefined))?.ino === ino;
    if (claim !== undefined && isStill) return { file, claim };
    claim?.[Symbol.dispose]();
    await file.close();
    if (isStill) throw inUse(path);
  }
}

/** For root it would be `/dev/null` itself that a file takes the place of. */
async function requireReplaceable(path: string): Promise<void> {
  const found = await lstat(path).catch(() => undefined);
  if (found === undefined || found.isFile()) return;
  throw new ProvError(`Cannot write ${path}: it is not a regular file`, {
    code: "USAGE",
    hint: "Name a file or a directory.",
  });
}

/** @returns "damaged" when what was in the partial file before was not the blob's beginning. */
async function fetchRest(
  what: Download,
  deps: PullDeps,
  file: FileHandle,
): Promise<"whole" | "damaged"> {
  const { source, blob, signal, onProgress } = what;
  let had = 0;
  try {
    const have = await hashPart(file, what);
    had = have.size;
    const stream = openBlob(source, { ...blob, have }, deps, signal);
    let done = had;
    for await (const chunk of stream) {
      await writeAll(file, chunk, done);
      done += chunk.byteLength;
      onProgress("receiving", done);
    }
    await file.sync();
    return "whole";
  } catch (error) {
    const isWrong = error instanceof OtherBytes;
    if (isWrong) await file.truncate(0);
    if (isWrong && had > 0) return "damaged";
    throw error;
  }
}

/** Reads what is there already, and cuts off what cannot be the blob's. */
async function hashPart(file: FileHandle, { blob, signal, onProgress }: Download) {
  const hasher = new Bun.CryptoHasher(algorithmOf(blob.digest));
  const { size } = await file.stat();
  if (size > blob.size) await file.truncate(0);
  if (size === 0 || size > blob.size) return { size: 0, hasher };
  const buffer = new Uint8Array(1024 * 1024);
  let done = 0;
  while (done < size) {
    signal.throwIfAborted();
    const { bytesRead } = await file.read(buffer, 0, buffer.byteLength, done);
    if (bytesRead === 0) break;
    hasher.update(buffer.subarray(0, bytesRead));
    done += bytesRead;
    onProgress("checking", done);
  }
  return { size: done, hasher };
}

async function writeAll(file: FileHandle, chunk: Uint8Array, position: number): Promise<void> {
  let written = 0;
  while (written < chunk.byteLength) {
    const left = chunk.byteLength - written;
    const { bytesWritten } = await file.write(chunk, written, left, position + written);
    written += bytesWritten;
  }
}

async function removeEmpty(path: string): Promise<void> {
  const found = await stat(path).catch(() => undefined);
  if (found?.size === 0) await rm(path, { force: true });
}

function inUse(path: string): ProvError {
  return new ProvError(`Cannot write ${path}: another prov is writing it`, {
    code: "CONFLICT",
    hint: "Wait for the other one, or give this one a file of its own.",
  });
}
