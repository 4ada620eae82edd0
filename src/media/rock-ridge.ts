// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * System use entries: SUSP 1.09 (IEEE P1281) and Rock Ridge 1.09 (IEEE P1282, `RRIP_1991A`), the
 * version that the Linux kernel, xorriso and every boot loader read.
 */
import { ascii, SECTOR, setBoth32, shortDate, viewOf } from "./iso-fields.ts";

/** `st_mode` of a read-only file (0100444) and of the root directory (0040555). */
const FILE_MODE = 0o100444;
const DIRECTORY_MODE = 0o040555;

/** What the RR entry announces: PX is bit 0, NM bit 3, TF bit 7. */
const HAS_PX_TF = 0x81;
const HAS_PX_NM_TF = 0x89;

/** TF: times of modification, last access and last change of attributes, seven bytes each. */
const TF_FLAGS = 0x0e;

const CE_BYTES = 28;

function entry(signature: string, data: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(4 + data.length);
  bytes.set(ascii(signature));
  bytes[2] = bytes.length;
  bytes[3] = 1;
  bytes.set(data, 4);
  return bytes;
}

const SP = entry("SP", Uint8Array.of(0xbe, 0xef, 0));

/** The texts are those of RRIP 1.09 4.3: readers compare the first, people read the others. */
function extensionReference(): Uint8Array {
  const id = ascii("RRIP_1991A");
  const description = ascii(
    "THE ROCK RIDGE INTERCHANGE PROTOCOL PROVIDES SUPPORT FOR POSIX FILE SYSTEM SEMANTICS",
  );
  const source = ascii(
    "PLEASE CONTACT DISC PUBLISHER FOR SPECIFICATION SOURCE.  SEE PUBLISHER IDENTIFIER IN " +
      "PRIMARY VOLUME DESCRIPTOR FOR CONTACT INFORMATION.",
  );
  const lengths = Uint8Array.of(id.length, description.length, source.length, 1);
  return entry("ER", concat([lengths, id, description, source]));
}

/** Owner and group are 0:0. */
function px(mode: number, links: number): Uint8Array {
  const data = new Uint8Array(32);
  const view = viewOf(data);
  setBoth32(view, 0, mode);
  setBoth32(view, 8, links);
  return entry("PX", data);
}

function tf(epoch: number): Uint8Array {
  const date = shortDate(epoch);
  return entry("TF", concat([Uint8Array.of(TF_FLAGS), date, date, date]));
}

const nm = (name: string): Uint8Array =>
  entry("NM", concat([Uint8Array.of(0), new TextEncoder().encode(name)]));

const rr = (flags: number): Uint8Array => entry("RR", Uint8Array.of(flags));

/** The entries of one directory record: those that must be in the record, and those that may continue. */
export interface SystemUse {
  readonly inRecord: readonly Uint8Array[];
  readonly mayContinue: Uint8Array | undefined;
}

export const fileUse = (name: string, epoch: number): SystemUse => ({
  inRecord: [rr(HAS_PX_NM_TF), px(FILE_MODE, 1), tf(epoch)],
  mayContinue: nm(name),
});

/** The root's own record `.` also announces SUSP and Rock Ridge (SUSP 5.3, 5.5). */
export const rootUse = (epoch: number): SystemUse => ({
  inRecord: [SP, rr(HAS_PX_TF), px(DIRECTORY_MODE, 2), tf(epoch)],
  mayContinue: extensionReference(),
});

/** The record `..` of the root, which is its own parent. */
export const parentUse = (epoch: number): SystemUse => ({
  inRecord: [rr(HAS_PX_TF), px(DIRECTORY_MODE, 2), tf(epoch)],
  mayContinue: undefined,
});

/** Where entries go that a record has no room for. One area follows the root directory. */
export class ContinuationArea {
  readonly #parts: { readonly at: number; readonly bytes: Uint8Array }[] = [];
  #used = 0;

  /** Bytes in use; the area is padded to whole sectors by whoever places it. */
  get length(): number {
    return this.#used;
  }

  /** @returns the offset in the area; an entry never crosses a sector (SUSP 5.1). */
  add(bytes: Uint8Array): number {
    const left = SECTOR - (this.#used % SECTOR);
    const at = bytes.length > left ? this.#used + left : this.#used;
    this.#parts.push({ at, bytes });
    this.#used = at + bytes.length;
    return at;
  }

  writeTo(image: Uint8Array, offset: number): void {
    for (const part of this.#parts) image.set(part.bytes, offset + part.at);
  }
}

/**
 * The bytes after a record's identifier.
 *
 * @param room how many bytes the record has left
 * @param areaSector first sector of the continuation area
 */
export function systemUseBytes(
  use: SystemUse,
  room: number,
  area: ContinuationArea,
  areaSector: number,
): Uint8Array {
  const fixed = concat(use.inRecord);
  if (use.mayContinue === undefined) return fixed;
  if (fixed.length + use.mayContinue.length <= room) return concat([fixed, use.mayContinue]);
  return concat([fixed, continuation(use.mayContinue, area, areaSector)]);
}

function continuation(bytes: Uint8Array, area: ContinuationArea, areaSector: number): Uint8Array {
  const at = area.add(bytes);
  const data = new Uint8Array(CE_BYTES - 4);
  const view = viewOf(data);
  setBoth32(view, 0, areaSector + Math.floor(at / SECTOR));
  setBoth32(view, 8, at % SECTOR);
  setBoth32(view, 16, bytes.length);
  return entry("CE", data);
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
