// SPDX-License-Identifier: AGPL-3.0-or-later
import type { LayoutPartition } from "../../plan/layout.ts";
import { type LinuxTarget, mountOrder } from "./target.ts";

/** The whole of /etc/fstab: every mount and every swap, by UUID. fstab(5). */
export function fstab(target: LinuxTarget): string {
  const mounts = mountOrder(target).map(({ partition, at }) => mountLine(target, partition, at));
  const swaps = target.layout.partitions
    .filter((p) => p.spec.format === "swap")
    .map((p) => `UUID=${p.filesystemUuid} none swap sw 0 0`);
  const head = "# <file system> <mount point> <type> <options> <dump> <pass>";
  return `${[head, ...mounts, ...swaps].join("\n")}\n`;
}

function mountLine(target: LinuxTarget, p: LayoutPartition, at: string): string {
  const { format } = p.spec;
  const options = format === "vfat" ? "umask=0077" : "defaults";
  return `UUID=${p.filesystemUuid} ${at} ${format} ${options} 0 ${passOf(p === target.root, format)}`;
}

/** xfs and btrfs have nothing to check at boot: fsck.xfs(8), fsck.btrfs(8). */
function passOf(isRoot: boolean, format: string): number {
  if (format === "xfs" || format === "btrfs") return 0;
  return isRoot ? 1 : 2;
}
