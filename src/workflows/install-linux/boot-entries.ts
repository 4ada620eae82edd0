// SPDX-License-Identifier: AGPL-3.0-or-later
import { seconds } from "../../base/units.ts";
import type { Action } from "../../plan/action.ts";
import type { BootEntries, BootEntry, Disk } from "../../plan/facts.ts";
import type { Loader } from "./loader.ts";
import { type LinuxTarget, run } from "./target.ts";

const TIMEOUT = seconds(60);

/** An entry that starts from our EFI system partition: the device path names the partition's GUID. */
const isOurs = (entry: BootEntry, target: LinuxTarget): boolean =>
  entry.devicePath.toLowerCase().includes(target.esp.guid);

export function hasOwnEntry(boot: BootEntries, target: LinuxTarget): boolean {
  return boot.entries.some((entry) => entry.active && isOurs(entry, target));
}

/** An entry that starts from a partition of another disk: somebody else's system. */
function isElsewhere(entry: BootEntry, target: LinuxTarget, disks: readonly Disk[]): boolean {
  const path = entry.devicePath.toLowerCase();
  const others = disks.filter((disk) => disk.path !== target.disk.path);
  const partitions = others.flatMap((disk) => disk.table?.partitions ?? []);
  return partitions.some(({ guid }) => guid !== null && path.includes(guid));
}

/**
 * Leaves one boot entry of ours, first in the order: entries of earlier installations, known by our
 * partition or by the same label, would pile up in a small memory. Those of other disks stay.
 */
export function bootEntryActions(
  boot: BootEntries,
  disks: readonly Disk[],
  target: LinuxTarget,
  loader: Loader,
): Action[] {
  const stale = boot.entries.filter(
    (e) => isOurs(e, target) || (e.label === loader.label && !isElsewhere(e, target, disks)),
  );
  return [
    ...stale.map((entry) =>
      run(
        `remove the old boot entry "${entry.label}"`,
        ["efibootmgr", "--quiet", "--bootnum", entry.number, "--delete-bootnum"],
        TIMEOUT,
      ),
    ),
    run(
      `make the boot entry "${loader.label}", first in order`,
      [
        "efibootmgr",
        "--quiet",
        "--create",
        "--disk",
        target.disk.path,
        "--part",
        String(target.esp.number),
        "--label",
        loader.label,
        "--loader",
        loader.path,
      ],
      TIMEOUT,
    ),
  ];
}
