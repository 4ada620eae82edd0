// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * From the sizes of a recipe to sectors on a disk.
 */
import { ProvError } from "../base/errors.ts";
import { formatBytes } from "../base/units.ts";
import { leastBytes } from "../recipe/check-partition.ts";
import type { PartitionSpec } from "../recipe/recipe.ts";
import { parseSize, type Size } from "../recipe/size.ts";
import { sha256Hex, uuidFrom } from "./hash.ts";

/** What the arithmetic needs of a disk. */
export interface Geometry {
  readonly sizeBytes: number;
  /** Logical sector size: 512 or 4096. */
  readonly sectorBytes: number;
}

/** One partition with every choice made. Sectors are logical sectors of the disk. */
export interface LayoutPartition {
  readonly spec: PartitionSpec;
  /** From 1. */
  readonly number: number;
  readonly firstSector: number;
  /** Inclusive. */
  readonly lastSector: number;
  readonly sizeBytes: number;
  readonly name: string;
  readonly guid: string;
  /** As blkid will print it; null when the format has no UUID of our choosing. */
  readonly filesystemUuid: string | null;
}

export interface Layout {
  /** Identifies all that was asked for and all that was computed: equal ids, equal layouts. */
  readonly id: string;
  readonly diskGuid: string;
  readonly partitions: readonly LayoutPartition[];
}

/** Partitions start and end on 1 MiB, which suits every sector, erase block and stripe size in use. */
const ALIGN_BYTES = 1_048_576;

/** Bytes of a GPT with 128 entries of 128 bytes (UEFI 2.10, GPT header), without its header's sector. */
const GPT_ENTRIES_BYTES = 16_384;

/**
 * Lays the partitions out in their order. Fixed sizes are rounded up to 1 MiB; percentages are of what the
 * fixed sizes leave, rounded down; `100%` takes all that is left, wherever it stands. GUIDs depend only on
 * `seed` and the result, so a second run knows its own work.
 *
 * @param seed what tells one disk's layout from any other's: the serials of server and disk.
 * @param least bytes that a partition of a relative size must at least have, beyond what its format asks for.
 * @throws {ProvError} DISK_MISMATCH when the disk is too small.
 */
export function computeLayout(
  specs: readonly PartitionSpec[],
  disk: Geometry,
  seed: string,
  least: (spec: PartitionSpec) => number = leastBytes,
): Layout {
  const sizes = sizesInBlocks(specs, disk, least);
  const perBlock = ALIGN_BYTES / disk.sectorBytes;
  // The first block holds the protective MBR and the table.
  let block = 1;
  const spans = sizes.map((blocks) => {
    const first = block * perBlock;
    block += blocks;
    return { first, last: block * perBlock - 1 };
  });
  const id = sha256Hex(JSON.stringify([seed, disk.sectorBytes, specs, spans]));
  return {
    id,
    diskGuid: uuidFrom(`${id} disk`),
    partitions: specs.map((spec, i) => {
      const { first = 0, last = 0 } = spans[i] ?? {};
      return {
        spec,
        number: i + 1,
        firstSector: first,
        lastSector: last,
        sizeBytes: (last - first + 1) * disk.sectorBytes,
        name: spec.label ?? defaultName(spec, i + 1),
        guid: uuidFrom(`${id} partition ${i + 1}`),
        filesystemUuid: filesystemUuid(spec, uuidFrom(`${id} filesystem ${i + 1}`)),
      };
    }),
  };
}

/** Sizes of all partitions in blocks of 1 MiB. */
function sizesInBlocks(
  specs: readonly PartitionSpec[],
  disk: Geometry,
  least: (spec: PartitionSpec) => number,
): number[] {
  const available = usableBlocks(disk);
  const wanted = specs.map((spec) => parseSize(spec.size));
  const fixed = wanted.reduce((sum, s) => sum + (s.kind === "fixed" ? blocksOf(s.bytes) : 0), 0);
  const left = available - fixed;
  const percentOf = (s: Size) => (s.kind === "percent" ? Math.floor((left * s.percent) / 100) : 0);
  const rest = left - wanted.reduce((sum, s) => sum + percentOf(s), 0);
  const sizes = wanted.map((s) => {
    if (s.kind === "fixed") return blocksOf(s.bytes);
    return s.kind === "rest" ? rest : percentOf(s);
  });
  const isShort = specs.some((spec, i) => {
    const blocks = sizes[i] ?? 0;
    return blocks < 1 || (wanted[i]?.kind !== "fixed" && blocks < blocksOf(least(spec)));
  });
  if (left < 0 || isShort) {
    // A lower bound: what each relative size needs for itself, not what its share would then demand.
    const needed = specs.reduce(
      (sum, spec, i) => sum + (wanted[i]?.kind === "fixed" ? 0 : blocksOf(least(spec))),
      fixed,
    );
    throw tooSmall(needed, available);
  }
  return sizes;
}

function tooSmall(neededBlocks: number, availableBlocks: number): ProvError {
  const needed = formatBytes(neededBlocks * ALIGN_BYTES);
  const available = formatBytes(Math.max(0, availableBlocks) * ALIGN_BYTES);
  const needs =
    neededBlocks > availableBlocks ? `they need ${needed}` : "a percentage is too small";
  return new ProvError(
    `Cannot fit the partitions on the disk: ${needs}, it has room for ${available}`,
    { code: "DISK_MISMATCH", hint: "Choose a larger disk or smaller sizes." },
  );
}

const blocksOf = (bytes: number): number => Math.ceil(bytes / ALIGN_BYTES);

/** Whole aligned blocks between the table at the start and its copy at the end. */
function usableBlocks({ sizeBytes, sectorBytes }: Geometry): number {
  const backup = Math.ceil(GPT_ENTRIES_BYTES / sectorBytes) * sectorBytes + sectorBytes;
  return Math.floor((sizeBytes - backup) / ALIGN_BYTES) - 1;
}

/** A GPT name for people; prov itself goes by number and GUID. */
function defaultName(spec: PartitionSpec, number: number): string {
  if (spec.mountpoint === "/") return "root";
  if (spec.mountpoint !== null) return spec.mountpoint.slice(1).replaceAll("/", "-").slice(0, 36);
  return spec.format === "raw" ? `part-${number}` : `${spec.format}-${number}`;
}

function filesystemUuid(spec: PartitionSpec, uuid: string): string | null {
  switch (spec.format) {
    case "vfat":
      // A FAT volume has a 32-bit id, which blkid prints in two halves.
      return `${uuid.slice(0, 4)}-${uuid.slice(4, 8)}`.toUpperCase();
    case "ext4":
    case "xfs":
    case "btrfs":
    case "swap":
      return uuid;
    default:
      return null;
  }
}

/**
 * The device of a partition. `/dev/sda` + 1 is `/dev/sda1`; a name that ends in a digit takes a `p`:
 * `/dev/nvme0n1p1`; names that udev gives take `-part1`.
 */
export function partitionPath(disk: string, number: number): string {
  if (/^\/dev\/(?:disk|mapper)\//.test(disk)) return `${disk}-part${number}`;
  return /\d$/.test(disk) ? `${disk}p${number}` : `${disk}${number}`;
}
