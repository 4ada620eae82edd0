// SPDX-License-Identifier: AGPL-3.0-or-later
import { mkdir, symlink } from "node:fs/promises";
import { join } from "node:path";

/** The first bytes of an ISO 9660 volume with this id. */
export function isoHead(volumeId: string): Uint8Array {
  const bytes = Buffer.alloc(34 * 1024);
  bytes.write("\u0001CD001\u0001", 32_768, "latin1");
  bytes.write(volumeId.padEnd(32), 32_768 + 40, "latin1");
  return bytes;
}

export interface Device {
  readonly name: string;
  readonly volumeId?: string;
  readonly bus: "sata" | "usb";
  readonly sectors?: number;
}

/** Puts a block device into the agent's `/sys` and `/dev`. */
export async function addDevice(root: string, device: Device): Promise<void> {
  const sysfs = join(root, "sys/devices/pci0", device.bus === "usb" ? "usb1" : "ata1", device.name);
  await Bun.write(join(sysfs, "size"), String(device.sectors ?? 4096));
  await mkdir(join(root, "sys/block"), { recursive: true });
  await symlink(sysfs, join(root, "sys/block", device.name));
  const content = device.volumeId === undefined ? "" : isoHead(device.volumeId);
  await Bun.write(join(root, "dev", device.name), content);
}
