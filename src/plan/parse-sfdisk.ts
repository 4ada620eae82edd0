// SPDX-License-Identifier: AGPL-3.0-or-later
import { arrayAt, at, stringAt } from "../base/json.ts";
import type { Partition, PartitionTable } from "./facts.ts";

/** A partition as the table has it; what is in it comes from blkid. */
type ListedPartition = Omit<Partition, "signature">;
export type ListedTable = Omit<PartitionTable, "partitions"> & {
  readonly partitions: readonly ListedPartition[];
};

/**
 * Reads the output of `sfdisk --json DISK`, whose starts and sizes are in logical sectors.
 *
 * @throws {SyntaxError} when it is not that.
 */
export function parseSfdisk(text: string): ListedTable {
  const table = at(JSON.parse(text), "partitiontable");
  const label = stringAt(table, "label");
  if (label === undefined) throw new SyntaxError("sfdisk's JSON has no partition table");
  return {
    label: label === "gpt" || label === "dos" ? label : "other",
    guid: label === "gpt" ? (stringAt(table, "id")?.toLowerCase() ?? null) : null,
    partitions: arrayAt(table, "partitions").map(partitionFrom),
  };
}

function partitionFrom(entry: unknown): ListedPartition {
  const path = stringAt(entry, "node") ?? "";
  const number = Number(/\d+$/.exec(path)?.[0]);
  const startSector = at(entry, "start");
  const sectors = at(entry, "size");
  if (!(number > 0) || typeof startSector !== "number" || typeof sectors !== "number") {
    throw new SyntaxError(`sfdisk's JSON has a partition "${path}" without number, start or size`);
  }
  return {
    number,
    path,
    startSector,
    sectors,
    type: stringAt(entry, "type")?.toLowerCase() ?? "",
    guid: stringAt(entry, "uuid")?.toLowerCase() ?? null,
    name: stringAt(entry, "name") ?? null,
  };
}
