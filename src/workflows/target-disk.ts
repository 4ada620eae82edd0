// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * The disk that a recipe is about, and whether it may be touched.
 */
import { ProvError } from "../base/errors.ts";
import { type Disk, diskAt, type MachineFacts } from "../plan/facts.ts";
import type { JobContext } from "./workflow.ts";

/** What a whole disk may be; `rom`, `loop`, `part`, `crypt` and `lvm` are none. */
const WHOLE_DISK = /^(?:disk|mpath|md|raid\d+)$/;

/** @throws {ProvError} SERVER_MISMATCH when these are the facts of another machine than the job's. */
export function requireServer(machine: MachineFacts, job: JobContext): void {
  if (machine.serial === job.serverSerial) return;
  const found = machine.serial === null ? "has no serial" : `is "${machine.serial}"`;
  throw new ProvError(
    `Cannot install server "${job.serverSerial}" here: this machine ${found} (DMI product serial)`,
    {
      code: "SERVER_MISMATCH",
      hint: "Compare the BMC address of the server's record with the machine that booted.",
    },
  );
}

/** @throws {ProvError} DISK_MISMATCH when the machine has no such disk. */
export function findTargetDisk(machine: MachineFacts, path: string): Disk {
  const disk = diskAt(machine, path);
  if (disk !== undefined) return disk;
  const names = machine.disks.filter((d) => WHOLE_DISK.test(d.type)).map((d) => d.path);
  throw mismatch(
    path,
    `this machine has ${names.length === 0 ? "no disks at all" : names.join(", ")}`,
    "Correct target_disk in the recipe.",
  );
}

/**
 * @param named the disk's name in the recipe.
 * @throws {ProvError} DISK_MISMATCH when anything speaks against writing to the disk.
 */
export function requireWritable(disk: Disk, job: JobContext, named: string): void {
  if (!WHOLE_DISK.test(disk.type)) {
    throw mismatch(disk.path, `it is a ${disk.type}, not a whole disk`);
  }
  if (job.bootMedium !== null && isOnDisk(job.bootMedium, disk)) {
    throw mismatch(disk.path, "this machine was started from it");
  }
  if (disk.transport === "usb" && !named.startsWith("/dev/disk/")) {
    // A stick that was left in the server, or a BMC's own medium, may come up first and be /dev/sda.
    throw mismatch(
      disk.path,
      "it is a USB device",
      "If it is the one that you mean, name it by /dev/disk/by-id or /dev/disk/by-path in target_disk.",
    );
  }
  if (disk.readOnly) throw mismatch(disk.path, "it is read-only");
  if (disk.mountpoints.length > 0) {
    throw mismatch(disk.path, `it is in use at ${disk.mountpoints.join(", ")}`);
  }
  if (disk.holders.length > 0) {
    throw mismatch(disk.path, `it is in use by ${disk.holders.join(", ")}`);
  }
}

function isOnDisk(device: string, disk: Disk): boolean {
  return (
    device === disk.path ||
    disk.symlinks.includes(device) ||
    (disk.table?.partitions.some((p) => p.path === device) ?? false) ||
    // Without a readable table a partition is still known by its name.
    (device.startsWith(disk.path) && /^p?\d+$/.test(device.slice(disk.path.length)))
  );
}

function mismatch(path: string, found: string, hint?: string): ProvError {
  return new ProvError(`Cannot use ${path}: ${found}`, {
    code: "DISK_MISMATCH",
    ...(hint !== undefined && { hint }),
  });
}
