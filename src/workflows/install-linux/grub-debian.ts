// SPDX-License-Identifier: AGPL-3.0-or-later
import { ProvError } from "../../base/errors.ts";
import { minutes } from "../../base/units.ts";
import type { Action } from "../../plan/action.ts";
import type { MachineFacts } from "../../plan/facts.ts";
import { inside } from "./chroot.ts";
import { FIRMWARE_NAMES } from "./firmware-names.ts";
import type { Loader } from "./loader.ts";
import type { System } from "./system.ts";
import { type LinuxTarget, mountpointOf } from "./target.ts";

/**
 * GRUB by the Debian family's own grub-install, which knows the signed binaries of its packages and puts a second
 * copy on the removable path, so that the machine starts even when its boot entries are lost.
 *
 * @throws {ProvError} PLAN_IMPOSSIBLE when the image lacks what that takes.
 */
export function grubDebian(target: LinuxTarget, system: System, machine: MachineFacts): Loader {
  const names = FIRMWARE_NAMES[machine.architecture];
  const { paths } = system.found;
  for (const program of ["usr/sbin/grub-install", "usr/sbin/grub-mkconfig"]) {
    if (!paths.includes(program)) throw lacks(`it has no /${program}`, "grub2-common");
  }
  if (system.kernels.length === 0) throw lacks("it has no kernel in /boot", "linux-image");
  const isSigned =
    paths.includes(`usr/lib/shim/${names.shim}.signed`) &&
    paths.includes(`usr/lib/grub/${names.grubTarget}-signed/${names.grub}.signed`);
  if (!isSigned && machine.uefi?.secureBoot === true) {
    throw lacks(
      "Secure Boot is on and it has no signed boot loader",
      "shim-signed, grub-efi-*-signed",
    );
  }
  const id = system.id === "debian" ? "debian" : ubuntuOrDebian(system);
  return {
    label: id,
    path: `\\EFI\\${id}\\${isSigned ? names.shim : names.grub}`,
    beforeEsp: [],
    install: [
      ...initramfsActions(system),
      inside("install the boot loader", [
        "grub-install",
        `--target=${names.grubTarget}`,
        `--efi-directory=${mountpointOf(target, target.esp)}`,
        // The signed GRUB looks for its configuration in the directory of this very name.
        `--bootloader-id=${id}`,
        isSigned ? "--uefi-secure-boot" : "--no-uefi-secure-boot",
        // Ubuntu's grub-install fills the removable path unless it is told not to, and has no such option.
        ...(id === "ubuntu" ? [] : ["--force-extra-removable"]),
        // The boot entry is made by the plan, where it can be read.
        "--no-nvram",
        "--recheck",
      ]),
      inside("write the boot menu", ["grub-mkconfig", "--output=/boot/grub/grub.cfg"]),
    ],
  };
}

/** Derivatives ship the signed GRUB of the distribution they are made from. */
function ubuntuOrDebian(system: System): string {
  const text =
    system.found.texts["etc/os-release"] ?? system.found.texts["usr/lib/os-release"] ?? "";
  return /^(?:ID|ID_LIKE)=.*\bubuntu\b/m.test(text) ? "ubuntu" : "debian";
}

function initramfsActions(system: System): Action[] {
  const missing = system.kernels.filter(
    (v) => !system.found.paths.includes(`boot/initrd.img-${v}`),
  );
  if (missing.length > 0 && !system.found.paths.includes("usr/sbin/update-initramfs")) {
    throw lacks(`kernel ${missing[0]} has no initramfs`, "initramfs-tools");
  }
  return missing.map((version) =>
    inside(
      `make the initramfs of kernel ${version}`,
      ["update-initramfs", "-c", "-k", version],
      minutes(15),
    ),
  );
}

function lacks(found: string, packages: string): ProvError {
  return new ProvError(`Cannot install a boot loader into this image: ${found}`, {
    code: "PLAN_IMPOSSIBLE",
    hint: `Build the image with ${packages} installed.`,
  });
}
