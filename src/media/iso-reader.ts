// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * Finds a file in an ISO 9660 image without reading more of it than directories.
 */
import { ProvError } from "../base/errors.ts";
import { SECTOR, viewOf } from "./iso-fields.ts";
import { rockRidgeName, suspSkip } from "./susp-reader.ts";

/** `length` bytes at `offset`, or fewer when the image ends before. */
export type ReadAt = (offset: number, length: number) => Uint8Array;

/** A file's place in an image, in bytes. */
export interface ByteExtent {
  readonly offset: number;
  readonly size: number;
}

const FIRST_DESCRIPTOR = 16;
/** A sane image has a handful; this ends the search in a damaged one. */
const MAX_DESCRIPTORS = 64;
const PRIMARY = 1;
const TERMINATOR = 255;
const DIRECTORY_FLAG = 2;
const MORE_EXTENTS_FLAG = 0x80;

interface Entry extends ByteExtent {
  readonly name: string;
  readonly isDirectory: boolean;
  readonly isSplit: boolean;
}

/** @throws {ProvError} MEDIA_INVALID when the image is no ISO 9660. */
export function readVolumeId(read: ReadAt): string {
  return latin1(primaryDescriptor(read).subarray(40, 72)).trimEnd();
}

/**
 * Looks in the primary tree, by Rock Ridge names where there are some, otherwise by ISO names in
 * lower case and without version, as Linux shows them.
 *
 * @param path absolute, such as `/task.img`
 * @throws {ProvError} MEDIA_INVALID when the image is no ISO 9660, or has no such file in one piece.
 */
export function findExtent(read: ReadAt, path: string): ByteExtent {
  const root = entryOf(primaryDescriptor(read).subarray(156, 190), "");
  const rootStart = exactly(read, root.offset, SECTOR);
  const skip = suspSkip(systemUseOf(rootStart.subarray(0, rootStart[0])));
  let found = root;
  for (const part of path.split("/").filter((p) => p !== "")) {
    const inside = found.isDirectory ? entriesOf(read, found, skip) : [];
    const next = inside.find((entry) => entry.name === part);
    if (next === undefined) throw invalid(`Cannot find ${path} in the ISO image`);
    found = next;
  }
  if (found.isDirectory) throw invalid(`Cannot use ${path} of the ISO image: it is a directory`);
  if (found.isSplit) throw invalid(`Cannot use ${path} of the ISO image: it is in several extents`);
  return { offset: found.offset, size: found.size };
}

const invalid = (message: string) => new ProvError(message, { code: "MEDIA_INVALID" });

function primaryDescriptor(read: ReadAt): Uint8Array {
  for (let i = 0; i < MAX_DESCRIPTORS; i++) {
    const bytes = read((FIRST_DESCRIPTOR + i) * SECTOR, SECTOR);
    const isDescriptor = bytes.length === SECTOR && latin1(bytes.subarray(1, 6)) === "CD001";
    if (!isDescriptor || bytes[0] === TERMINATOR) break;
    if (bytes[0] === PRIMARY) return bytes;
  }
  throw invalid("Cannot read the ISO image: it has no primary volume descriptor");
}

function exactly(read: ReadAt, offset: number, length: number): Uint8Array {
  const bytes = read(offset, length);
  if (bytes.length === length) return bytes;
  throw invalid(`Cannot read the ISO image: it ends before byte ${offset + length}`);
}

function entriesOf(read: ReadAt, directory: ByteExtent, skip: number): Entry[] {
  const bytes = exactly(read, directory.offset, directory.size);
  const entries: Entry[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = bytes[at] ?? 0;
    if (length === 0) {
      // Records do not cross sectors; the rest of this one is empty.
      at = (Math.floor(at / SECTOR) + 1) * SECTOR;
      continue;
    }
    const record = bytes.subarray(at, at + length);
    if (record.length < length || length < 34) {
      throw invalid(
        `Cannot read the ISO image: a directory at byte ${directory.offset} is damaged`,
      );
    }
    const name = rockRidgeName(systemUseOf(record).subarray(skip), (o, n) => exactly(read, o, n));
    entries.push(entryOf(record, name ?? plainName(record)));
    at += length;
  }
  // The first two are `.` and `..`.
  return entries.slice(2);
}

function entryOf(record: Uint8Array, name: string): Entry {
  const view = viewOf(record);
  const flags = view.getUint8(25);
  return {
    name,
    offset: view.getUint32(2, true) * SECTOR,
    size: view.getUint32(10, true),
    isDirectory: (flags & DIRECTORY_FLAG) !== 0,
    isSplit: (flags & MORE_EXTENTS_FLAG) !== 0,
  };
}

function systemUseOf(record: Uint8Array): Uint8Array {
  const identifier = record[32] ?? 0;
  return record.subarray(33 + identifier + (identifier % 2 === 0 ? 1 : 0));
}

function plainName(record: Uint8Array): string {
  const identifier = latin1(record.subarray(33, 33 + (record[32] ?? 0)));
  return identifier.replace(/;\d+$/, "").replace(/\.$/, "").toLowerCase();
}

const latin1 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("latin1");
