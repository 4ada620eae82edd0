// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * The root directory of one tree: its records, and how they fill sectors (ECMA-119 6.8.1 and 9.1).
 */
import { SECTOR, sectorsOf, setBoth16, setBoth32, shortDate, viewOf } from "./iso-fields.ts";

export interface Extent {
  readonly sector: number;
  /** Bytes. */
  readonly size: number;
}

/** Bytes of a record before its identifier. */
const RECORD_HEAD = 33;
const MAX_RECORD = 254;
const DIRECTORY_FLAG = 2;

/** Identifiers of the records `.` and `..` (ECMA-119 6.8.2.2). */
export const SELF = Uint8Array.of(0);
export const PARENT = Uint8Array.of(1);

/** How many bytes of system use fit behind an identifier of this length. */
export const systemUseRoom = (identifierLength: number): number =>
  MAX_RECORD - even(RECORD_HEAD + identifierLength);

const even = (n: number): number => n + (n % 2);

export interface DirectoryRecord {
  readonly identifier: Uint8Array;
  readonly extent: Extent;
  readonly isDirectory: boolean;
  /** Seconds. */
  readonly epoch: number;
  readonly systemUse: Uint8Array;
}

export function recordBytes(record: DirectoryRecord): Uint8Array {
  const useAt = even(RECORD_HEAD + record.identifier.length);
  const bytes = new Uint8Array(even(useAt + record.systemUse.length));
  const view = viewOf(bytes);
  bytes[0] = bytes.length;
  setBoth32(view, 2, record.extent.sector);
  setBoth32(view, 10, record.extent.size);
  bytes.set(shortDate(record.epoch), 18);
  bytes[25] = record.isDirectory ? DIRECTORY_FLAG : 0;
  setBoth16(view, 28, 1);
  bytes[32] = record.identifier.length;
  bytes.set(record.identifier, RECORD_HEAD);
  bytes.set(record.systemUse, useAt);
  return bytes;
}

/** Whole sectors of records; no record crosses a sector. */
export function packRecords(records: readonly Uint8Array[]): Uint8Array {
  const offsets: number[] = [];
  let end = 0;
  for (const record of records) {
    const left = SECTOR - (end % SECTOR);
    const at = record.length > left ? end + left : end;
    offsets.push(at);
    end = at + record.length;
  }
  const bytes = new Uint8Array(sectorsOf(end) * SECTOR);
  for (const [i, record] of records.entries()) bytes.set(record, offsets[i]);
  return bytes;
}
