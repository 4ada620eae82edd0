// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Argv } from "../../plan/action.ts";
import type { LayoutPartition } from "../../plan/layout.ts";

/** FAT32 begins at 65,525 clusters (Microsoft FAT specification 1.03); with one sector each, and the tables. */
const FAT32_LEAST_SECTORS = 67_000;

/**
 * The command that makes the partition's file system; null when it gets none. `sectorBytes` is the
 * logical sector size of the disk.
 */
export function mkfsArgv(p: LayoutPartition, device: string, sectorBytes: number): Argv | null {
  const { format, label } = p.spec;
  const uuid = p.filesystemUuid ?? "";
  switch (format) {
    case "vfat": {
      // Smaller volumes are FAT16 or FAT12 by definition, and firmware goes by the definition.
      const fat32 = p.sizeBytes / sectorBytes >= FAT32_LEAST_SECTORS ? ["-F", "32"] : [];
      return ["mkfs.vfat", ...fat32, "-i", uuid.replace("-", ""), ...named("-n", label), device];
    }
    case "ext4": {
      // Features that boot loaders older than GRUB 2.12 refuse to read: they are off in the images' own mke2fs.
      const features = "^metadata_csum_seed,^orphan_file";
      return ["mkfs.ext4", "-F", "-q", "-O", features, "-U", uuid, ...named("-L", label), device];
    }
    case "xfs":
      // nrext64 for the same reason.
      return [
        "mkfs.xfs",
        "-f",
        "-q",
        "-i",
        "nrext64=0",
        "-m",
        `uuid=${uuid}`,
        ...named("-L", label),
        device,
      ];
    case "btrfs":
      return [
        "mkfs.btrfs",
        "--force",
        "--quiet",
        `--uuid=${uuid}`,
        ...named("--label", label),
        device,
      ];
    case "ntfs":
      return ["mkfs.ntfs", "--force", "--fast", ...named("--label", label), device];
    case "swap":
      return ["mkswap", `--uuid=${uuid}`, ...named("--label", label), device];
    case "raw":
      return null;
  }
}

const named = (option: string, label: string | null): string[] =>
  label === null ? [] : [option, label];
