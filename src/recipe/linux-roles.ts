// SPDX-License-Identifier: AGPL-3.0-or-later
import { PARTITION_TYPE } from "./partition-type.ts";
import type { Format, PartitionSpec } from "./recipe.ts";

/** File systems that a Linux root can live on. */
const LINUX_FORMATS: readonly Format[] = ["ext4", "xfs", "btrfs"];

/** The label by which cloud-init's NoCloud data source knows its partition, in either case. */
const CONFIG_DRIVE_LABEL = "cidata";

/** Where the EFI system partition is mounted when the recipe does not say. */
export const DEFAULT_ESP_MOUNTPOINT = "/boot/efi";

export const isEsp = (p: PartitionSpec): boolean => p.typeGuid === PARTITION_TYPE.esp;

export const isConfigDrive = (p: PartitionSpec): boolean =>
  p.label?.toLowerCase() === CONFIG_DRIVE_LABEL;

export const isLinuxFormat = (format: Format): boolean => LINUX_FORMATS.includes(format);

/** Which partition of a layout does what, by index. */
export interface LinuxRoles {
  readonly esp: number | undefined;
  readonly root: number | undefined;
  readonly configDrive: number | undefined;
}

/**
 * The root is the partition mounted at `/`; when none says so, the first with a Linux file system and
 * no mount point of its own.
 */
export function linuxRoles(layout: readonly PartitionSpec[]): LinuxRoles {
  const named = layout.findIndex((p) => p.mountpoint === "/");
  const likely = layout.findIndex(
    (p) => p.mountpoint === null && isLinuxFormat(p.format) && !isConfigDrive(p) && !isEsp(p),
  );
  return {
    esp: indexOrNone(layout.findIndex(isEsp)),
    root: indexOrNone(named === -1 ? likely : named),
    configDrive: indexOrNone(layout.findIndex(isConfigDrive)),
  };
}

const indexOrNone = (index: number): number | undefined => (index === -1 ? undefined : index);
