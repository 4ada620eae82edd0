// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Architecture } from "../../plan/facts.ts";

/** How GRUB, shim and UEFI (2.10, "Removable Media Boot Behavior") call an architecture. */
export interface FirmwareNames {
  readonly grubTarget: string;
  readonly shim: string;
  readonly grub: string;
  /** What firmware starts when no boot entry is left. */
  readonly removable: string;
}

export const FIRMWARE_NAMES: Readonly<Record<Architecture, FirmwareNames>> = {
  x64: {
    grubTarget: "x86_64-efi",
    shim: "shimx64.efi",
    grub: "grubx64.efi",
    removable: "BOOTX64.EFI",
  },
  arm64: {
    grubTarget: "arm64-efi",
    shim: "shimaa64.efi",
    grub: "grubaa64.efi",
    removable: "BOOTAA64.EFI",
  },
};
