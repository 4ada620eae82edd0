// SPDX-License-Identifier: AGPL-3.0-or-later
import { arrayAt, at, isObject, type JsonObject, stringAt } from "../base/json.ts";
import type { Disk } from "./facts.ts";

/** The columns that {@link parseLsblk} reads, for `lsblk --json --bytes --output`. */
export const LSBLK_COLUMNS = "PATH,TYPE,SIZE,LOG-SEC,RO,MODEL,SERIAL,TRAN,MOUNTPOINTS";

/** A disk as far as lsblk knows it; tables, signatures and symlinks come from elsewhere. */
export type ListedDisk = Omit<Disk, "symlinks" | "signature" | "table">;

/**
 * Reads the JSON of lsblk(8), a tree: whatever hangs below a device, partitions aside, holds it open, and
 * is a whole device of its own. A RAID array hangs below each of its members and is listed once.
 *
 * @throws {SyntaxError} when it is not lsblk's JSON.
 */
export function parseLsblk(text: string): ListedDisk[] {
  const top = arrayAt(JSON.parse(text), "blockdevices");
  const disks = new Map<string, ListedDisk>();
  for (const device of top.flatMap((d) => [d, ...descendants(d)])) {
    if (!isObject(device)) throw new SyntaxError("lsblk lists something that is no device");
    if (stringAt(device, "type") === "part") continue;
    const disk = diskFrom(device);
    if (!disks.has(disk.path)) disks.set(disk.path, disk);
  }
  return [...disks.values()];
}

function diskFrom(device: JsonObject): ListedDisk {
  const path = stringAt(device, "path");
  if (path === undefined) throw new SyntaxError("lsblk lists a device without a path");
  const below = descendants(device);
  return {
    path,
    type: stringAt(device, "type") ?? "unknown",
    sizeBytes: numberAt(device, "size"),
    sectorBytes: numberAt(device, "log-sec"),
    readOnly: flagAt(device, "ro"),
    model: trimmed(stringAt(device, "model")),
    serial: trimmed(stringAt(device, "serial")),
    transport: trimmed(stringAt(device, "tran")),
    mountpoints: [device, ...below].flatMap(mountpointsOf),
    holders: [
      ...new Set(
        below.filter((d) => stringAt(d, "type") !== "part").map((d) => stringAt(d, "path") ?? "?"),
      ),
    ],
  };
}

function descendants(device: unknown): unknown[] {
  return arrayAt(device, "children").flatMap((child) => [child, ...descendants(child)]);
}

function mountpointsOf(device: unknown): string[] {
  return arrayAt(device, "mountpoints").filter((m) => typeof m === "string");
}

/** lsblk before 2.33 writes numbers and flags as strings. */
function numberAt(device: JsonObject, key: string): number {
  const n = Number(at(device, key));
  if (!Number.isSafeInteger(n)) throw new SyntaxError(`lsblk says ${key} is ${at(device, key)}`);
  return n;
}

function flagAt(device: JsonObject, key: string): boolean {
  const value = at(device, key);
  return value === true || value === "1" || value === 1;
}

function trimmed(text: string | undefined): string | null {
  return text === undefined || text.trim() === "" ? null : text.trim();
}
