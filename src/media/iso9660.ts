// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * Writes ISO 9660 images: interchange level 2, with Rock Ridge for the true names and modes and
 * Joliet for Windows. All files are in the root directory. An image is a pure function of its inputs.
 *
 * The order on the medium: system area, primary and Joliet descriptor, terminator, four path tables,
 * plain root, continuation area, Joliet root, files in the order of their names.
 */
import { ProvError } from "../base/errors.ts";
import { pathTable, type Tree, terminator, volumeDescriptor } from "./iso-descriptors.ts";
import {
  type Extent,
  PARENT,
  packRecords,
  recordBytes,
  SELF,
  systemUseRoom,
} from "./iso-directory.ts";
import { ascii, checkEpoch, SECTOR, sectorsOf, ucs2 } from "./iso-fields.ts";
import { type IsoNames, isoNames, VERSION } from "./iso-names.ts";
import {
  ContinuationArea,
  fileUse,
  parentUse,
  rootUse,
  type SystemUse,
  systemUseBytes,
} from "./rock-ridge.ts";

export interface IsoFile {
  /** 1 to 250 bytes of UTF-8 without `/`. */
  readonly name: string;
  readonly bytes: Uint8Array;
}

export interface IsoInput {
  /** 1 to 32 of A-Z, 0-9 and `_`; Joliet gets the first 16. */
  readonly volumeId: string;
  readonly files: readonly IsoFile[];
  /** Every date in the image, in seconds since 1970, UTC. */
  readonly epoch: number;
}

const DESCRIPTORS_AT = 16;
const PATH_TABLES_AT = 19;
const PLAIN_ROOT_AT = 23;
const MAX_FILE_BYTES = 0xffff_ffff;

interface PlacedFile extends IsoNames {
  readonly bytes: Uint8Array;
  readonly extent: Extent;
}

/**
 * @returns the whole image, a multiple of 2048 bytes
 * @throws {ProvError} MEDIA_INVALID when a volume id, name or date cannot be said in ISO 9660.
 */
export function buildIso(input: IsoInput): Uint8Array {
  checkVolumeId(input.volumeId);
  checkEpoch(input.epoch);
  const { epoch } = input;
  const names = isoNames(input.files.map((file) => file.name));
  const contents = new Map(input.files.map((file) => [file.name, file.bytes]));

  // A directory's length depends on its names alone, so it is measured with files at sector 0.
  const unplaced = names.map((n) => placed(n, contents, 0));
  const measured = plainRoot(unplaced, { sector: 0, size: 0 }, 0, epoch);
  const plain = { sector: PLAIN_ROOT_AT, size: measured.bytes.length };
  const areaAt = plain.sector + sectorsOf(plain.size);
  const joliet = {
    sector: areaAt + sectorsOf(measured.area.length),
    size: jolietRoot(unplaced, plain, epoch).length,
  };

  let sectors = joliet.sector + sectorsOf(joliet.size);
  const files = names.map((n) => {
    const file = placed(n, contents, sectors);
    sectors += sectorsOf(file.bytes.length);
    return file;
  });

  const image = new Uint8Array(sectors * SECTOR);
  const put = (sector: number, bytes: Uint8Array) => image.set(bytes, sector * SECTOR);
  const trees: Tree[] = [
    {
      kind: "plain",
      root: plain,
      littlePathTable: PATH_TABLES_AT,
      bigPathTable: PATH_TABLES_AT + 1,
    },
    {
      kind: "joliet",
      root: joliet,
      littlePathTable: PATH_TABLES_AT + 2,
      bigPathTable: PATH_TABLES_AT + 3,
    },
  ];
  for (const [i, tree] of trees.entries()) {
    put(DESCRIPTORS_AT + i, volumeDescriptor({ id: input.volumeId, sectors, epoch }, tree));
    put(tree.littlePathTable, pathTable(tree.root, "little"));
    put(tree.bigPathTable, pathTable(tree.root, "big"));
  }
  put(DESCRIPTORS_AT + trees.length, terminator());
  const root = plainRoot(files, plain, areaAt, epoch);
  put(plain.sector, root.bytes);
  root.area.writeTo(image, areaAt * SECTOR);
  put(joliet.sector, jolietRoot(files, joliet, epoch));
  for (const file of files) put(file.extent.sector, file.bytes);
  return image;
}

function checkVolumeId(id: string): void {
  if (/^[A-Z0-9_]{1,32}$/.test(id)) return;
  throw new ProvError(`Cannot write an ISO image with the volume id ${JSON.stringify(id)}`, {
    code: "MEDIA_INVALID",
    hint: "Use 1 to 32 of the characters A-Z, 0-9 and _.",
  });
}

function placed(
  names: IsoNames,
  contents: ReadonlyMap<string, Uint8Array>,
  sector: number,
): PlacedFile {
  const bytes = contents.get(names.name) ?? new Uint8Array(0);
  if (bytes.length > MAX_FILE_BYTES) {
    throw new ProvError(`Cannot write ${names.name} to an ISO image: it is longer than 4 GiB`, {
      code: "MEDIA_INVALID",
    });
  }
  // A file without content has no extent; a sector past the end would worry a checker.
  return {
    ...names,
    bytes,
    extent: { sector: bytes.length === 0 ? 0 : sector, size: bytes.length },
  };
}

function plainRoot(
  files: readonly PlacedFile[],
  self: Extent,
  areaAt: number,
  epoch: number,
): { bytes: Uint8Array; area: ContinuationArea } {
  const area = new ContinuationArea();
  const record = (identifier: Uint8Array, extent: Extent, use: SystemUse, isDirectory: boolean) =>
    recordBytes({
      identifier,
      extent,
      isDirectory,
      epoch,
      systemUse: systemUseBytes(use, systemUseRoom(identifier.length), area, areaAt),
    });
  const bytes = packRecords([
    record(SELF, self, rootUse(epoch), true),
    record(PARENT, self, parentUse(epoch), true),
    ...files
      .toSorted((a, b) => comparePlain(a.plain, b.plain))
      .map((file) => record(ascii(file.plain), file.extent, fileUse(file.name, epoch), false)),
  ]);
  return { bytes, area };
}

function jolietRoot(files: readonly PlacedFile[], self: Extent, epoch: number): Uint8Array {
  const systemUse = new Uint8Array(0);
  const record = (identifier: Uint8Array, extent: Extent, isDirectory: boolean) =>
    recordBytes({ identifier, extent, isDirectory, epoch, systemUse });
  return packRecords([
    record(SELF, self, true),
    record(PARENT, self, true),
    ...files
      .toSorted((a, b) => compareText(unversioned(a.joliet), unversioned(b.joliet)))
      .map((file) => record(ucs2(file.joliet), file.extent, false)),
  ]);
}

/** ECMA-119 9.3: by name, then by extension, the shorter one as if filled with blanks. */
function comparePlain(a: string, b: string): number {
  const [aStem = "", aEnd = ""] = unversioned(a).split(".");
  const [bStem = "", bEnd = ""] = unversioned(b).split(".");
  return compareText(aStem, bStem) || compareText(aEnd, bEnd);
}

const unversioned = (identifier: string): string => identifier.slice(0, -VERSION.length);

/** By UTF-16 code unit, which no locale changes. */
function compareText(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
