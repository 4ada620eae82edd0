// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Finding } from "../base/findings.ts";
import { formatBytes } from "../base/units.ts";
import { LABEL_BYTES, LEAST_BYTES, LEAST_ESP_BYTES, MOST_BYTES } from "./limits.ts";
import { isConfigDrive, isEsp, isLinuxFormat } from "./linux-roles.ts";
import { PARTITION_TYPE } from "./partition-type.ts";
import type { PartitionSpec } from "./recipe.ts";
import { parseSize } from "./size.ts";
import { utf8Length } from "./utf8.ts";

/** Where the boot loader's installers look for the EFI system partition. */
const ESP_MOUNTPOINTS = ["/boot/efi", "/efi"];

/**
 * Directories that have to be on the root: it is not a system without them, the kernel puts its own file
 * systems there, or they are links into /usr.
 */
const NEVER_MOUNTED = ["bin", "dev", "etc", "lib", "lib64", "proc", "run", "sbin", "sys"];

/** The rules for one partition, wherever it stands. */
export function checkPartition(p: PartitionSpec, at: string): Finding[] {
  return [...checkSize(p, at), ...checkLabel(p, at), ...checkMountpoint(p, at), ...checkUse(p, at)];
}

function checkSize(p: PartitionSpec, at: string): Finding[] {
  const size = parseSize(p.size);
  if (size.kind !== "fixed") return [];
  const path = `${at}/size`;
  const least = leastBytes(p);
  if (size.bytes < least) {
    const what = isEsp(p) ? "an EFI system partition" : p.format;
    const message = `${what} needs at least ${formatBytes(least)}, this is ${formatBytes(size.bytes)}`;
    return [{ path, code: "too_small", message }];
  }
  if (size.bytes > MOST_BYTES) {
    const message = `${p.size} is more than ${formatBytes(MOST_BYTES)}`;
    return [{ path, code: "too_large", message }];
  }
  return [];
}

/** The least size in bytes that a partition must come out with. */
export function leastBytes(p: PartitionSpec): number {
  return isEsp(p) ? Math.max(LEAST_ESP_BYTES, LEAST_BYTES[p.format]) : LEAST_BYTES[p.format];
}

function checkLabel(p: PartitionSpec, at: string): Finding[] {
  if (p.label === null) return [];
  const path = `${at}/label`;
  const most = LABEL_BYTES[p.format];
  const length = utf8Length(p.label);
  if (length > most) {
    const message = `a ${p.format} label has at most ${most} bytes, "${p.label}" has ${length}`;
    return [{ path, code: "label_too_long", message }];
  }
  // The characters of an 8.3 name, which is what a FAT volume label is.
  if (p.format === "vfat" && !/^[A-Za-z0-9 !#$%&()@^_{}~-]+$/.test(p.label)) {
    const message = `a vfat label is letters, digits and -_!#$%&()@^{}~ only: "${p.label}" is not`;
    return [{ path, code: "label_characters", message }];
  }
  return [];
}

function checkMountpoint(p: PartitionSpec, at: string): Finding[] {
  if (p.mountpoint === null) return [];
  const path = `${at}/mountpoint`;
  if (isEsp(p)) {
    if (ESP_MOUNTPOINTS.includes(p.mountpoint)) return [];
    const message = `an EFI system partition is mounted at ${ESP_MOUNTPOINTS.join(" or ")}`;
    return [{ path, code: "mountpoint_of_esp", message }];
  }
  const isMountable = isLinuxFormat(p.format) || (p.format === "vfat" && p.mountpoint !== "/");
  if (!isMountable) {
    const message = `a partition with format ${p.format} cannot be mounted at ${p.mountpoint}`;
    return [{ path, code: "mountpoint_of_format", message }];
  }
  const top = p.mountpoint.split("/")[1] ?? "";
  if (NEVER_MOUNTED.includes(top)) {
    return [{ path, code: "mountpoint_reserved", message: `/${top} has to be on the root` }];
  }
  return [];
}

function checkUse(p: PartitionSpec, at: string): Finding[] {
  const path = `${at}/format`;
  if (isEsp(p) && p.format !== "vfat") {
    const message = `an EFI system partition has format vfat, not ${p.format}`;
    return [{ path, code: "format_of_esp", message }];
  }
  if (isConfigDrive(p) && p.format !== "vfat") {
    const message = `a partition labelled ${p.label} is a config drive and has format vfat, not ${p.format}`;
    return [{ path, code: "format_of_config_drive", message }];
  }
  if (p.typeGuid === PARTITION_TYPE.microsoftReserved && p.format !== "raw") {
    const message = `a Microsoft reserved partition has format raw, not ${p.format}`;
    return [{ path, code: "format_of_msr", message }];
  }
  return [];
}
