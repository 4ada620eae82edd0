// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * How much of a planned archive a file has already: everything in it is read back and compared with
 * the plan, so that neither a changed set nor a power cut leaves wrong bytes in what is gone on with.
 */
import { algorithmOf } from "../digest.ts";
import type { ArchivePlan, PlannedEntry } from "./archive-plan.ts";
import { paddingOf } from "./tar-header.ts";
import type { ReadAt } from "./tar-reader.ts";

/** Where to go on. */
export interface Progress {
  /** The first entry that is not whole; the number of entries when all are. */
  readonly entry: number;
  /** Bytes of its content that are there; its header is there too when this is not 0. */
  readonly done: number;
  /** Has been fed those bytes. */
  readonly hasher: Bun.CryptoHasher;
}

const STEP_BYTES = 1024 * 1024;

/**
 * @param length of the file, in bytes.
 * @param onRead called with the bytes of the file that have been read back.
 */
export async function findProgress(
  plan: ArchivePlan,
  read: ReadAt,
  length: number,
  onRead: (bytes: number) => void,
): Promise<Progress> {
  for (const [entry, planned] of plan.entries.entries()) {
    const found = await checkEntry(planned, read, length, onRead);
    if (found !== "whole") return { entry, ...found };
  }
  return { entry: plan.entries.length, done: 0, hasher: new Bun.CryptoHasher("sha256") };
}

async function checkEntry(
  { header, start, size, content }: PlannedEntry,
  read: ReadAt,
  length: number,
  onRead: (bytes: number) => void,
): Promise<"whole" | Omit<Progress, "entry">> {
  const hasher = createHasher(content);
  const nothing = { done: 0, hasher };
  const from = start + header.byteLength;
  if (length < from || !(await isSame(read, start, header))) return nothing;
  const there = Math.min(size, length - from);
  if (content instanceof Uint8Array) {
    if (there < size || !(await isSame(read, from, content))) return nothing;
  } else {
    await hashRange(read, from, there, hasher, onRead);
    const found = `${algorithmOf(content.digest)}:${hasher.copy().digest("hex")}`;
    if (there < size) return { done: there, hasher };
    if (found !== content.digest) return { done: 0, hasher: createHasher(content) };
  }
  const padding = new Uint8Array(paddingOf(size));
  const isPadded = await isSame(read, from + size, padding);
  return isPadded ? "whole" : { done: size, hasher };
}

export function createHasher(content: PlannedEntry["content"]): Bun.CryptoHasher {
  return new Bun.CryptoHasher(
    content instanceof Uint8Array ? "sha256" : algorithmOf(content.digest),
  );
}

async function hashRange(
  read: ReadAt,
  from: number,
  size: number,
  hasher: Bun.CryptoHasher,
  onRead: (bytes: number) => void,
): Promise<void> {
  for (let done = 0; done < size; ) {
    const bytes = await read(from + done, Math.min(STEP_BYTES, size - done));
    if (bytes.byteLength === 0) throw new Error("the file became shorter while it was read");
    hasher.update(bytes);
    done += bytes.byteLength;
    onRead(from + done);
  }
}

async function isSame(read: ReadAt, offset: number, expected: Uint8Array): Promise<boolean> {
  const found = await read(offset, expected.byteLength);
  return Buffer.compare(found, expected) === 0;
}
