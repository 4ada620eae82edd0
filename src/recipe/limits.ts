// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Format } from "./recipe.ts";

const KIB = 1024;
const MIB = 1024 * KIB;

/** Largest payloads, in bytes of UTF-8. */
export const PAYLOAD_LIMITS = {
  user_data: MIB,
  unattend_xml: MIB,
  ks_cfg: 256 * KIB,
} as const;

/**
 * The longest label of each file system, in bytes: the FAT directory entry (11), mke2fs(8) -L (16), mkfs.xfs(8)
 * -L (12), mkfs.btrfs(8) -L (255), mkntfs(8) -L (32 and more), mkswap(8) -L (15 and a NUL). The GPT name, 36
 * UTF-16 units, holds whatever the schema allows.
 */
export const LABEL_BYTES: Readonly<Record<Format, number>> = {
  vfat: 11,
  ext4: 16,
  xfs: 12,
  btrfs: 255,
  ntfs: 32,
  swap: 15,
  raw: 32,
};

/**
 * The smallest partition each file system is made on, in bytes: below, mkfs refuses (xfs: 300 MiB since
 * xfsprogs 5.19; btrfs: about 110 MiB) or leaves no room for a file.
 */
export const LEAST_BYTES: Readonly<Record<Format, number>> = {
  vfat: MIB,
  ext4: 4 * MIB,
  xfs: 320 * MIB,
  btrfs: 128 * MIB,
  ntfs: 8 * MIB,
  swap: MIB,
  raw: 1,
};

/** A boot loader with its signed shim, fonts and a second copy on the removable path takes 8 to 16 MiB. */
export const LEAST_ESP_BYTES = 32 * MIB;

/** Sectors are counted in doubles without loss far beyond this; no disk is this large. */
export const MOST_BYTES = 1024 ** 5;

/**
 * What a FAT file system of `bytes` can hold beside its tables, with room for `meta-data`: 1/64 for two
 * FATs and clusters, and 64 KiB.
 */
export function configDriveCapacity(bytes: number): number {
  return bytes - bytes / 64 - 64 * KIB;
}

/** The other way round: how large a config drive has to be for so many bytes of user data. */
export function configDriveBytes(userData: number): number {
  return Math.ceil(((userData + 64 * KIB) * 64) / 63);
}
