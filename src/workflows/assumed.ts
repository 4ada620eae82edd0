// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * Stand-ins for what only the machine itself could tell, so that a plan can be shown before there is one.
 */
import type { MachineFacts } from "../plan/facts.ts";
import type { Found } from "../plan/look.ts";

const GIB = 1024 ** 3;

/** A UEFI machine with one blank disk under the name the recipe uses. */
export function assumedMachine(targetDisk: string, serial: string): MachineFacts {
  return {
    serial,
    architecture: "x64",
    uefi: { secureBoot: null, boot: { order: [], entries: [] } },
    disks: [
      {
        path: targetDisk,
        symlinks: [],
        type: "disk",
        sizeBytes: 480 * GIB,
        sectorBytes: 512,
        readOnly: false,
        model: null,
        serial: null,
        transport: null,
        signature: null,
        table: null,
        mountpoints: [],
        holders: [],
      },
    ],
  };
}

/** A Debian root with one kernel and the signed boot loader. */
export const ASSUMED_DEBIAN: Found = {
  paths: [
    "boot/initrd.img-6.12.0-amd64",
    "boot/vmlinuz-6.12.0-amd64",
    "usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed",
    "usr/lib/shim/shimx64.efi.signed",
    "usr/sbin/grub-install",
    "usr/sbin/grub-mkconfig",
    "usr/sbin/update-initramfs",
  ],
  texts: { "etc/os-release": 'PRETTY_NAME="Debian GNU/Linux"\nID=debian\n' },
  sha256: {},
};
