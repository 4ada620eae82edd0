// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * What all steps of install-linux agree on: which partition is what, on which device, and where it is mounted.
 */
import { ProvError } from "../../base/errors.ts";
import { type Millis, minutes } from "../../base/units.ts";
import type { Action } from "../../plan/action.ts";
import type { Disk } from "../../plan/facts.ts";
import {
  computeLayout,
  type Layout,
  type LayoutPartition,
  partitionPath,
} from "../../plan/layout.ts";
import { leastBytes } from "../../recipe/check-partition.ts";
import { configDriveBytes } from "../../recipe/limits.ts";
import { DEFAULT_ESP_MOUNTPOINT, isConfigDrive, linuxRoles } from "../../recipe/linux-roles.ts";
import type { PartitionSpec, Recipe } from "../../recipe/recipe.ts";
import { utf8Length } from "../../recipe/utf8.ts";
import { findTargetDisk, requireServer } from "../target-disk.ts";
import type { StepInput } from "../workflow.ts";

/** Where a step mounts the installed system. Mounts live and die in the step's own container. */
export const ROOT = "/mnt/target";

const MOUNT_TIMEOUT: Millis = minutes(2);
/** A full cache of dirty pages on a slow disk takes its time. */
const SYNC_TIMEOUT: Millis = minutes(15);

export interface LinuxTarget {
  readonly disk: Disk;
  readonly layout: Layout;
  readonly esp: LayoutPartition;
  readonly root: LayoutPartition;
  readonly configDrive: LayoutPartition | undefined;
}

/** @throws {ProvError} SERVER_MISMATCH, DISK_MISMATCH, PLAN_IMPOSSIBLE (not a Linux recipe). */
export function linuxTarget({ recipe, machine, job }: StepInput): LinuxTarget {
  requireServer(machine, job);
  const { targetDisk, partitionLayout } = recipe;
  if (targetDisk === null || partitionLayout === null) throw notLinux();
  const disk = findTargetDisk(machine, targetDisk);
  // Two disks of one server must not share UUIDs: the boot loader would take the first it finds.
  const seed = JSON.stringify([job.serverSerial, disk.serial ?? targetDisk]);
  const layout = computeLayout(partitionLayout, disk, seed, leastOf(recipe));
  const roles = linuxRoles(partitionLayout);
  const esp = layout.partitions[roles.esp ?? -1];
  const root = layout.partitions[roles.root ?? -1];
  if (esp === undefined || root === undefined) throw notLinux();
  return { disk, layout, esp, root, configDrive: layout.partitions[roles.configDrive ?? -1] };
}

function notLinux(): ProvError {
  return new ProvError(
    "Cannot install Linux: the recipe has no disk, EFI system partition or root",
    {
      code: "PLAN_IMPOSSIBLE",
    },
  );
}

/** A config drive of a relative size must still hold the user data. */
function leastOf(recipe: Recipe): (spec: PartitionSpec) => number {
  const userData = configDriveBytes(utf8Length(recipe.userData ?? ""));
  return (spec) => Math.max(leastBytes(spec), isConfigDrive(spec) ? userData : 0);
}

export const deviceOf = ({ disk }: LinuxTarget, p: LayoutPartition): string =>
  partitionPath(disk.path, p.number);

/** Where the installed system mounts the partition; null: nowhere. */
export function mountpointOf(target: LinuxTarget, p: LayoutPartition): string | null {
  if (p === target.root) return "/";
  if (p === target.esp) return p.spec.mountpoint ?? DEFAULT_ESP_MOUNTPOINT;
  return p.spec.mountpoint;
}

/** All partitions that the installed system mounts, each after those that its path leads through. */
export function mountOrder(target: LinuxTarget): { partition: LayoutPartition; at: string }[] {
  return target.layout.partitions
    .flatMap((partition) => {
      const at = mountpointOf(target, partition);
      return at === null ? [] : [{ partition, at }];
    })
    .sort((a, b) => depth(a.at) - depth(b.at));
}

const depth = (path: string): number => (path === "/" ? 0 : path.split("/").length);

/** Options that keep even a file system that was not unmounted from being written to: ext4(5), xfs(5), btrfs(5). */
const READ_ONLY: Readonly<Record<string, string>> = {
  ext4: "ro,noload",
  xfs: "ro,norecovery",
  btrfs: "ro,rescue=nologreplay",
};

/**
 * Mounts the installed system's file systems, or `only` some of them, below {@link ROOT}. The EFI system
 * partition is left out: it would hide what an image brings along in its directory.
 */
export function mountActions(
  target: LinuxTarget,
  mode: "read-only" | "writable",
  only: readonly LayoutPartition[] = target.layout.partitions,
): Action[] {
  const mounts = mountOrder(target).filter(
    ({ partition }) => partition !== target.esp && only.includes(partition),
  );
  return mounts.flatMap(({ partition, at }) => {
    const where = whereIs(at);
    const { format } = partition.spec;
    const options = mode === "read-only" ? (READ_ONLY[format] ?? "ro") : "rw";
    // Below a read-only root there is nothing to make: the directory is there, or the image never was.
    const mkdir = mode === "writable" || at === "/" ? [makeDirectory(where, ROOT)] : [];
    return [...mkdir, mount(deviceOf(target, partition), where, format, options, at)];
  });
}

/** `root`: the mounted system that the path is in; without one it is that system's place itself. */
export function makeDirectory(path: string, root: string = path): Action {
  return { kind: "mkdir", why: `make the directory ${path}`, root, path };
}

export function mount(
  device: string,
  where: string,
  type: string,
  options: string,
  name: string,
): Action {
  const argv = ["mount", `--types=${type}`, `--options=${options}`, device, where] as const;
  return { ...run(`mount ${name}`, argv, MOUNT_TIMEOUT), root: ROOT };
}

/**
 * Writes the file systems that are mounted at these places to disk. Fails if that fails, which umount(8) would
 * not; so whatever says that something is complete is written after this.
 */
export function sync(places: readonly string[]): Action {
  const argv = ["sync", "--file-system", ...places] as const;
  return { ...run("write everything to disk", argv, SYNC_TIMEOUT), root: ROOT };
}

/** The places at which {@link mountActions} mounts. */
export function mountedAt(target: LinuxTarget): string[] {
  return mountOrder(target).flatMap(({ partition, at }) =>
    partition === target.esp ? [] : [whereIs(at)],
  );
}

/** Where a mount point of the installed system is while it is mounted here. */
export const whereIs = (at: string): string => (at === "/" ? ROOT : `${ROOT}${at}`);

/** Unmounts what is mounted at `path` and below. */

export function unmount(path: string): Action {
  return run(`unmount ${path}`, ["umount", "--recursive", path], SYNC_TIMEOUT);
}

export function run(
  why: string,
  argv: readonly [string, ...string[]],
  timeoutMs: Millis,
  destroys: readonly string[] = [],
): Extract<Action, { kind: "run" }> {
  return { kind: "run", why, argv, timeoutMs, ...(destroys.length > 0 && { destroys }) };
}
