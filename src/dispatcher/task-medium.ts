// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * Finds the medium that carries the task: a second CD, a removable USB device with the same bytes, or
 * a file on the boot medium. The label alone proves nothing, because data left on a server's disk could
 * pose as a task; so only kinds of device that a BMC can present are looked at.
 */
import { open, readdir, readFile, realpath } from "node:fs/promises";
import { join } from "node:path";
import type { AgentPaths } from "./paths.ts";

export interface TaskMedium {
  readonly kind: "cd" | "usb" | "image";
  /** A block device, or the file `task.img` on the boot medium. */
  readonly path: string;
  readonly volumeId: string;
}

/** ECMA-119, "Primary Volume Descriptor": sector 16, the volume identifier at bytes 40 to 71 of it. */
const DESCRIPTOR_OFFSET = 32_768;
const VOLUME_ID = { start: 40, end: 72 };

/** Larger USB devices are disks, not something that a BMC made of a task ISO. */
const MAX_USB_SECTORS = (4 * 1024 ** 3) / 512;

/**
 * Media labelled as a task. The file on the boot medium comes first: it was made for this very boot, while
 * a medium in another drive may be of an earlier job. Then CDs, then USB devices, in the order of their names.
 */
export async function findTaskMedia(paths: AgentPaths): Promise<TaskMedium[]> {
  const candidates: Omit<TaskMedium, "volumeId">[] = [
    { kind: "image", path: join(paths.bootMount, "task.img") },
    ...(await blockDevices(paths)),
  ];
  const found: TaskMedium[] = [];
  for (const candidate of candidates) {
    const volumeId = await readVolumeId(candidate.path);
    if (volumeId?.startsWith("TASK_") === true) found.push({ ...candidate, volumeId });
  }
  return found;
}

async function blockDevices(paths: AgentPaths): Promise<Omit<TaskMedium, "volumeId">[]> {
  const names = (await readdir(join(paths.sys, "block")).catch(() => [])).sort();
  const cds = names
    .filter((name) => /^sr\d+$/.test(name))
    .map((name) => ({ kind: "cd" as const, path: join(paths.dev, name) }));
  const usb: Omit<TaskMedium, "volumeId">[] = [];
  for (const name of names.filter((n) => /^sd[a-z]+$/.test(n))) {
    if (await isSmallUsb(join(paths.sys, "block", name))) {
      usb.push({ kind: "usb", path: join(paths.dev, name) });
    }
  }
  return [...cds, ...usb];
}

async function isSmallUsb(sysfs: string): Promise<boolean> {
  const target = await realpath(sysfs).catch(() => "");
  const sectors = Number(await readFile(join(sysfs, "size"), "utf8").catch(() => "0"));
  return target.includes("/usb") && sectors > 0 && sectors <= MAX_USB_SECTORS;
}

/** The volume id of an ISO 9660 file system, or undefined when there is none to be read. */
async function readVolumeId(path: string): Promise<string | undefined> {
  const buffer = Buffer.alloc(2048);
  try {
    await using file = await open(path, "r");
    const { bytesRead } = await file.read(buffer, 0, buffer.length, DESCRIPTOR_OFFSET);
    if (bytesRead < buffer.length) return undefined;
  } catch {
    // An empty tray (ENOMEDIUM) and a missing file are the usual case, not a failure.
    return undefined;
  }
  if (buffer.toString("latin1", 1, 6) !== "CD001") return undefined;
  return buffer.toString("latin1", VOLUME_ID.start, VOLUME_ID.end).trimEnd();
}
