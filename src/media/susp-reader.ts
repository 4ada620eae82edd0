// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * Reads the system use area of directory records (SUSP, IEEE P1281) for Rock Ridge names.
 */
import { SECTOR, viewOf } from "./iso-fields.ts";

/** Ends the walk of a chain of continuations that bites its own tail. */
const MAX_CONTINUATIONS = 32;

interface SystemUseEntry {
  readonly signature: string;
  readonly data: Uint8Array;
}

/** Bytes before the first entry of every record but the root's: the LEN_SKP of SP (SUSP 5.3). */
export function suspSkip(rootSystemUse: Uint8Array): number {
  const first = entriesIn(rootSystemUse)[0];
  return first?.signature === "SP" ? (first.data[2] ?? 0) : 0;
}

/**
 * The name of the NM entries, joined.
 *
 * @param read bytes of the image, for entries that continue elsewhere
 * @returns undefined when the record has no NM
 */
export function rockRidgeName(
  systemUse: Uint8Array,
  read: (offset: number, length: number) => Uint8Array,
): string | undefined {
  const parts: Uint8Array[] = [];
  let area: Uint8Array | undefined = systemUse;
  for (let i = 0; i < MAX_CONTINUATIONS && area !== undefined; i++) {
    const entries = entriesIn(area);
    parts.push(...entries.filter((e) => e.signature === "NM").map((e) => e.data.subarray(1)));
    const next = entries.find((e) => e.signature === "CE" && e.data.length >= 24);
    area = next === undefined ? undefined : continuation(next.data, read);
  }
  return parts.length === 0 ? undefined : new TextDecoder().decode(Buffer.concat(parts));
}

function continuation(
  data: Uint8Array,
  read: (offset: number, length: number) => Uint8Array,
): Uint8Array {
  const view = viewOf(data);
  const offset = view.getUint32(0, true) * SECTOR + view.getUint32(8, true);
  return read(offset, view.getUint32(16, true));
}

function entriesIn(area: Uint8Array): SystemUseEntry[] {
  const entries: SystemUseEntry[] = [];
  let at = 0;
  while (at + 4 <= area.length) {
    const length = area[at + 2] ?? 0;
    if (length < 4 || at + length > area.length) break;
    const signature = String.fromCharCode(area[at] ?? 0, area[at + 1] ?? 0);
    if (signature === "ST") break;
    entries.push({ signature, data: area.subarray(at + 4, at + length) });
    at += length;
  }
  return entries;
}
