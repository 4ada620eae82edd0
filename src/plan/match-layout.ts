// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Format } from "../recipe/recipe.ts";
import type { Disk, Partition, PartitionTable, Signature } from "./facts.ts";
import { type Layout, type LayoutPartition, partitionPath } from "./layout.ts";

/**
 * Whether the disk already carries exactly this layout, with its file systems. What is inside a `raw`
 * partition does not count.
 */
export function matchesLayout(disk: Disk, layout: Layout): boolean {
  const { table } = disk;
  if (table === null || table.label !== "gpt" || table.guid !== layout.diskGuid) return false;
  if (table.partitions.length !== layout.partitions.length) return false;
  return layout.partitions.every((wanted) => {
    const found = table.partitions.find((p) => p.number === wanted.number);
    return found !== undefined && isSamePartition(found, wanted);
  });
}

function isSamePartition(found: Partition, wanted: LayoutPartition): boolean {
  return (
    found.startSector === wanted.firstSector &&
    found.startSector + found.sectors - 1 === wanted.lastSector &&
    found.type === wanted.spec.typeGuid &&
    found.guid === wanted.guid &&
    found.name === wanted.name &&
    isSameFilesystem(found.signature, wanted)
  );
}

function isSameFilesystem(found: Signature | null, { spec, filesystemUuid }: LayoutPartition) {
  if (spec.format === "raw") return true;
  if (found === null || found.type !== spec.format) return false;
  if (filesystemUuid !== null && found.uuid !== filesystemUuid) return false;
  return sameLabel(found.label, spec.label, spec.format);
}

/** FAT tools may turn a label into upper case. */
function sameLabel(a: string | null, b: string | null, format: Format): boolean {
  if (format !== "vfat") return a === b;
  return a?.toUpperCase() === b?.toUpperCase();
}

/** The table and file systems a disk has once a layout was written to it. */
export function tableOf(layout: Layout, disk: string): PartitionTable {
  return {
    label: "gpt",
    guid: layout.diskGuid,
    partitions: layout.partitions.map((p) => ({
      number: p.number,
      path: partitionPath(disk, p.number),
      startSector: p.firstSector,
      sectors: p.lastSector - p.firstSector + 1,
      type: p.spec.typeGuid,
      guid: p.guid,
      name: p.name,
      signature:
        p.spec.format === "raw"
          ? null
          : { type: p.spec.format, uuid: p.filesystemUuid, label: p.spec.label },
    })),
  };
}
