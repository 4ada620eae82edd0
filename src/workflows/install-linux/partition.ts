// SPDX-License-Identifier: AGPL-3.0-or-later
import { ProvError } from "../../base/errors.ts";
import { minutes, seconds } from "../../base/units.ts";
import type { Action, Plan } from "../../plan/action.ts";
import type { Disk, MachineFacts } from "../../plan/facts.ts";
import type { Layout } from "../../plan/layout.ts";
import type { Found, Look } from "../../plan/look.ts";
import { matchesLayout, tableOf } from "../../plan/match-layout.ts";
import type { Wipe } from "../../recipe/recipe.ts";
import { requireWritable } from "../target-disk.ts";
import type { Step, StepInput } from "../workflow.ts";
import { mkfsArgv } from "./mkfs.ts";
import { IMAGE_STAMP, isStamped, stampedArtifact } from "./stamp.ts";
import {
  deviceOf,
  type LinuxTarget,
  linuxTarget,
  mountActions,
  ROOT,
  run,
  unmount,
} from "./target.ts";

const NAME = "partition";
const TABLE_TIMEOUT = minutes(2);
/** mkfs discards the whole partition first, which some drives take minutes for. */
const MKFS_TIMEOUT = minutes(15);

/** Partition table and file systems of the target disk. */
export const partition: Step = {
  name: NAME,
  unit: "partition.service",
  budgetMs: minutes(45),
  needsBootEntries: false,
  reach: (input) => reachRoot(NAME, linuxTarget(input)),
  look: () => LOOK_FOR_STAMP,
  leave: (input) => leaveRoot(NAME, linuxTarget(input)),
  // A file system that an attempt left broken is about to be made anew.
  plansUnseen: true,
  plan: planPartition,
  after: partitioned,
};

/** The target disk with the recipe's layout on it. */
function partitioned(input: StepInput): MachineFacts {
  const { machine } = input;
  const { disk, layout } = linuxTarget(input);
  const after = { ...disk, signature: null, table: tableOf(layout, disk.path) };
  return { ...machine, disks: machine.disks.map((d) => (d === disk ? after : d)) };
}

export const LOOK_FOR_STAMP: Look = { root: ROOT, find: ["*"], read: [IMAGE_STAMP], hash: [] };

/** Mounts the root to see what is in it, if the disk has the wanted layout at all. */
export function reachRoot(step: string, target: LinuxTarget): Plan {
  if (!matchesLayout(target.disk, target.layout)) return { step, actions: [] };
  return { step, actions: mountActions(target, "read-only", [target.root]) };
}

export function leaveRoot(step: string, target: LinuxTarget): Plan {
  if (!matchesLayout(target.disk, target.layout)) return { step, actions: [] };
  return { step, actions: [unmount(ROOT)] };
}

/**
 * Plans nothing when the disk has this layout and this very image in it. Otherwise everything is made anew,
 * if the recipe's `wipe` allows for it.
 *
 * @throws {ProvError} SERVER_MISMATCH, DISK_MISMATCH: the disk is missing, too small, in use, or not to be wiped.
 */
function planPartition(input: StepInput, found: Found): Plan {
  const target = linuxTarget(input);
  requireWritable(target.disk, input.job, input.recipe.targetDisk ?? target.disk.path);
  const isOurs = matchesLayout(target.disk, target.layout);
  if (isOurs && isStamped(found, IMAGE_STAMP, target, input.job))
    return { step: NAME, actions: [] };
  // Our own layout without an image is what a failed attempt left behind: there is nothing to lose in it.
  const isUnfinished = isOurs && !found.isUnreadable && stampedArtifact(found) === undefined;
  if (!isUnfinished) requireMayWipe(target.disk, input.recipe.wipe);
  return { step: NAME, actions: [...tableActions(target), ...filesystemActions(target)] };
}

function requireMayWipe(disk: Disk, wipe: Wipe): void {
  if (wipe === "always") return;
  const partitions = disk.table?.partitions ?? [];
  const signatures = partitions.flatMap((p) =>
    p.signature === null ? [] : [`${p.signature.type} on ${p.path}`],
  );
  if (disk.signature !== null) signatures.push(`${disk.signature.type} on ${disk.path}`);
  if (wipe === "never" && disk.table !== null) signatures.push("a partition table");
  if (signatures.length === 0) return;
  throw new ProvError(
    `Cannot use ${disk.path}: wipe is "${wipe}" and it has ${signatures.join(", ")}`,
    {
      code: "DISK_MISMATCH",
      hint: 'Set "wipe": "always" in the recipe if the data may go.',
    },
  );
}

function tableActions({ disk, layout }: LinuxTarget): Action[] {
  // A partition that the kernel did not accept (beyond the end of the disk) has no device, and no signature.
  const old = (disk.table?.partitions ?? []).flatMap((p) => (p.signature === null ? [] : [p.path]));
  return [
    settle(),
    // BLKRRPT fails while anyone, in any mount namespace, has a partition open: the last moment to stop.
    ...(isMapped(disk)
      ? []
      : [
          run(
            `make sure that nothing uses ${disk.path}`,
            ["blockdev", "--rereadpt", disk.path],
            TABLE_TIMEOUT,
          ),
        ]),
    run(
      `remove the old signatures from ${disk.path}${serialNote(disk)}`,
      ["wipefs", "--all", "--force", ...old, disk.path],
      TABLE_TIMEOUT,
      [disk.path],
    ),
    run(
      `write the new partition table to ${disk.path}`,
      ["sgdisk", ...sgdiskOptions(layout), disk.path],
      TABLE_TIMEOUT,
      [disk.path],
    ),
    settle(),
    // sgdisk's own request may have met udev with a partition open; this one goes partition by partition.
    isMapped(disk)
      ? run(
          "show the partitions to the kernel",
          ["kpartx", "-u", "-s", "-p", "-part", disk.path],
          TABLE_TIMEOUT,
        )
      : run("show the partitions to the kernel", ["partx", "--update", disk.path], TABLE_TIMEOUT),
    settle(),
  ];
}

const isMapped = (disk: Disk): boolean => disk.type === "mpath";

const serialNote = (disk: Disk): string => (disk.serial === null ? "" : ` (serial ${disk.serial})`);

function settle(): Action {
  return run("wait for udev", ["udevadm", "settle", "--timeout=60"], seconds(70));
}

/** One transaction with explicit sectors, types and GUIDs: nothing is left for sgdisk to choose. */
function sgdiskOptions(layout: Layout): string[] {
  return [
    "--clear",
    "--set-alignment=1",
    `--disk-guid=${layout.diskGuid}`,
    ...layout.partitions.flatMap((p) => [
      `--new=${p.number}:${p.firstSector}:${p.lastSector}`,
      `--typecode=${p.number}:${p.spec.typeGuid}`,
      `--partition-guid=${p.number}:${p.guid}`,
      `--change-name=${p.number}:${p.name}`,
    ]),
  ];
}

function filesystemActions(target: LinuxTarget): Action[] {
  const { disk, layout } = target;
  const devices = layout.partitions.map((p) => deviceOf(target, p));
  return [
    run(
      "remove what earlier file systems left where the partitions now are",
      ["wipefs", "--all", "--force", ...devices],
      TABLE_TIMEOUT,
      devices,
    ),
    ...layout.partitions.flatMap((p) => {
      const device = deviceOf(target, p);
      const argv = mkfsArgv(p, device, disk.sectorBytes);
      if (argv === null) return [];
      return [run(`make ${p.spec.format} "${p.name}" on ${device}`, argv, MKFS_TIMEOUT, [device])];
    }),
    settle(),
  ];
}
