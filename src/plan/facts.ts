// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * What a planner may know of a machine. Plain data, so that facts can be saved, sent and replayed:
 * `prov plan --facts` reads the same document that the agent's probes write.
 */

export interface MachineFacts {
  /** DMI product serial; null when the firmware has none. */
  readonly serial: string | null;
  readonly architecture: Architecture;
  /** null: the machine was not started by UEFI. */
  readonly uefi: UefiFacts | null;
  readonly disks: readonly Disk[];
}

export type Architecture = "x64" | "arm64";

export interface UefiFacts {
  /** null: the firmware does not say. */
  readonly secureBoot: boolean | null;
  /** null: not asked for, or the variables cannot be read. */
  readonly boot: BootEntries | null;
}

export interface BootEntries {
  /** Four hex digits each, first tried first. */
  readonly order: readonly string[];
  readonly entries: readonly BootEntry[];
}

export interface BootEntry {
  /** Four upper-case hex digits: `0003` of `Boot0003`. */
  readonly number: string;
  readonly label: string;
  readonly active: boolean;
  /** The device path as efibootmgr prints it: `HD(1,GPT,<guid>,0x800,0x100000)/File(\EFI\…)`. */
  readonly devicePath: string;
}

/** A whole block device. */
export interface Disk {
  /** The kernel's own name for it: `/dev/nvme0n1`. */
  readonly path: string;
  /** Other names of the same device: `/dev/disk/by-id/…`. */
  readonly symlinks: readonly string[];
  /** As lsblk calls it: `disk`, `rom`, `loop`, `raid1`, `mpath`, … */
  readonly type: string;
  readonly sizeBytes: number;
  /** 512 or 4096. */
  readonly sectorBytes: number;
  readonly readOnly: boolean;
  readonly model: string | null;
  readonly serial: string | null;
  /** As lsblk calls it: `sata`, `sas`, `nvme`, `usb`; null when the kernel does not say. */
  readonly transport: string | null;
  /** What is on the disk itself, outside of any partition. */
  readonly signature: Signature | null;
  readonly table: PartitionTable | null;
  /** Where the disk or anything on it is mounted, swap as `[SWAP]`. */
  readonly mountpoints: readonly string[];
  /** Device mapper, RAID and other devices that have the disk open: `/dev/md127`. */
  readonly holders: readonly string[];
}

export interface PartitionTable {
  readonly label: "gpt" | "dos" | "other";
  /** GUID of the disk, lower case; null when the table is not GPT. */
  readonly guid: string | null;
  readonly partitions: readonly Partition[];
}

export interface Partition {
  readonly number: number;
  readonly path: string;
  /** In logical sectors of the disk. */
  readonly startSector: number;
  readonly sectors: number;
  /** Type GUID in lower case, or an MBR type such as `83`. */
  readonly type: string;
  readonly guid: string | null;
  readonly name: string | null;
  readonly signature: Signature | null;
}

/** What blkid recognises in a device: a file system, swap, a RAID member. */
export interface Signature {
  readonly type: string;
  /** As blkid prints it; a FAT volume id is `ABCD-1234`. */
  readonly uuid: string | null;
  readonly label: string | null;
}

/** The disk that `path` names, directly or through one of its symlinks. */
export function diskAt(machine: MachineFacts, path: string): Disk | undefined {
  return machine.disks.find((disk) => disk.path === path || disk.symlinks.includes(path));
}
