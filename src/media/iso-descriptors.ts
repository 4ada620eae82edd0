// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * Volume descriptors (ECMA-119 8.4 and 8.5) and the path tables (9.4) of a volume with one directory.
 */
import { type Extent, recordBytes, SELF } from "./iso-directory.ts";
import {
  ascii,
  longDate,
  NO_DATE,
  SECTOR,
  setBoth16,
  setBoth32,
  ucs2,
  viewOf,
} from "./iso-fields.ts";

/** One record: the root. */
const PATH_TABLE_BYTES = 10;

export interface Tree {
  readonly kind: "plain" | "joliet";
  readonly root: Extent;
  readonly littlePathTable: number;
  readonly bigPathTable: number;
}

export interface Volume {
  /** At most 32 d-characters; Joliet says the first 16 of them. */
  readonly id: string;
  readonly sectors: number;
  /** Seconds. */
  readonly epoch: number;
}

const PRIMARY = 1;
const SUPPLEMENTARY = 2;
const TERMINATOR = 255;
const APPLICATION = "PROV";
/** UCS-2 level 3, the largest repertoire of Joliet. */
const JOLIET_ESCAPE = "%/E";

function descriptor(type: number): Uint8Array {
  const bytes = new Uint8Array(SECTOR);
  bytes[0] = type;
  bytes.set(ascii("CD001"), 1);
  bytes[6] = 1;
  return bytes;
}

export const terminator = (): Uint8Array => descriptor(TERMINATOR);

export function volumeDescriptor(volume: Volume, tree: Tree): Uint8Array {
  const joliet = tree.kind === "joliet";
  const bytes = descriptor(joliet ? SUPPLEMENTARY : PRIMARY);
  const view = viewOf(bytes);
  const put = (at: number, length: number, text: string) =>
    bytes.set(joliet ? paddedUcs2(text, length) : ascii(text.padEnd(length)), at);

  put(8, 32, "");
  put(40, 32, joliet ? volume.id.slice(0, 16) : volume.id);
  setBoth32(view, 80, volume.sectors);
  if (joliet) bytes.set(ascii(JOLIET_ESCAPE), 88);
  setBoth16(view, 120, 1);
  setBoth16(view, 124, 1);
  setBoth16(view, 128, SECTOR);
  setBoth32(view, 132, PATH_TABLE_BYTES);
  view.setUint32(140, tree.littlePathTable, true);
  view.setUint32(148, tree.bigPathTable, false);
  bytes.set(rootRecord(tree.root, volume.epoch), 156);
  // Volume set, publisher and data preparer stay blank.
  for (const at of [190, 318, 446]) put(at, 128, "");
  put(574, 128, APPLICATION);
  // Copyright, abstract and bibliographic file.
  for (const at of [702, 739, 776]) put(at, 37, "");
  bytes.set(longDate(volume.epoch), 813);
  bytes.set(longDate(volume.epoch), 830);
  bytes.set(NO_DATE, 847);
  bytes.set(NO_DATE, 864);
  bytes[881] = 1;
  return bytes;
}

/** Blanks are U+0020; the odd last byte of a field of 37 stays 0. */
function paddedUcs2(text: string, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  bytes.set(ucs2(text.padEnd(Math.floor(length / 2))));
  return bytes;
}

const rootRecord = (root: Extent, epoch: number): Uint8Array =>
  recordBytes({
    identifier: SELF,
    extent: root,
    isDirectory: true,
    epoch,
    systemUse: new Uint8Array(0),
  });

export function pathTable(root: Extent, order: "little" | "big"): Uint8Array {
  const bytes = new Uint8Array(PATH_TABLE_BYTES);
  const view = viewOf(bytes);
  const little = order === "little";
  bytes[0] = SELF.length;
  view.setUint32(2, root.sector, little);
  // The root is number 1, and its own parent.
  view.setUint16(6, 1, little);
  return bytes;
}
