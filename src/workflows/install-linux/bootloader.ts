// SPDX-License-Identifier: AGPL-3.0-or-later
import { ProvError } from "../../base/errors.ts";
import { minutes } from "../../base/units.ts";
import type { Action, Plan } from "../../plan/action.ts";
import type { MachineFacts } from "../../plan/facts.ts";
import type { Found } from "../../plan/look.ts";
import { ASSUMED_DEBIAN } from "../assumed.ts";
import type { JobContext, Step, StepInput } from "../workflow.ts";
import { bootEntryActions, hasOwnEntry } from "./boot-entries.ts";
import { enterActions } from "./chroot.ts";
import { fstab } from "./fstab.ts";
import { grubDebian } from "./grub-debian.ts";
import { grubFedora } from "./grub-fedora.ts";
import { requirePartitioned } from "./image.ts";
import { ESP, type Loader } from "./loader.ts";
import { BOOTLOADER_STAMP, isStamped, stampText } from "./stamp.ts";
import { LOOK_AT_SYSTEM, readSystem } from "./system.ts";
import {
  deviceOf,
  type LinuxTarget,
  linuxTarget,
  makeDirectory,
  mount,
  mountActions,
  mountedAt,
  mountpointOf,
  ROOT,
  sync,
  unmount,
  whereIs,
} from "./target.ts";

const NAME = "bootloader-linux";

/** fstab, boot loader, boot entry: what makes the unpacked image a system that starts. */
export const bootloaderLinux: Step = {
  name: NAME,
  unit: "bootloader-linux.service",
  budgetMs: minutes(20),
  needsBootEntries: true,
  reach: (input) => {
    const target = linuxTarget(input);
    requirePartitioned(target, NAME);
    return { step: NAME, actions: mountActions(target, "read-only") };
  },
  look: () => LOOK_AT_SYSTEM,
  leave: () => ({ step: NAME, actions: [unmount(ROOT)] }),
  plan: planBootloader,
  assumed: {
    says: "The image is a Debian with one kernel and a signed boot loader.",
    found: ASSUMED_DEBIAN,
  },
};

/**
 * Plans nothing when this image's boot loader is installed and the firmware still knows of it.
 *
 * @throws {ProvError} PLAN_IMPOSSIBLE when the machine or the image cannot boot by UEFI;
 *   SERVER_MISMATCH, DISK_MISMATCH.
 */
function planBootloader(input: StepInput, found: Found): Plan {
  const target = linuxTarget(input);
  requirePartitioned(target, NAME);
  const { machine, job } = input;
  if (machine.uefi === null) {
    throw new ProvError(
      "Cannot install a UEFI boot loader: this machine was started in BIOS mode",
      {
        code: "PLAN_IMPOSSIBLE",
        hint: "Switch the server's firmware to UEFI boot.",
      },
    );
  }
  const { boot } = machine.uefi;
  const isKnown = boot === null || hasOwnEntry(boot, target);
  if (isKnown && isStamped(found, BOOTLOADER_STAMP, target, job))
    return { step: NAME, actions: [] };
  const loader = loaderFor(target, machine, found);
  const esp = whereIs(mountpointOf(target, target.esp) ?? "");
  return {
    step: NAME,
    actions: [
      ...mountActions(target, "writable"),
      writeFstab(target),
      ...(loader.beforeEsp.length > 0 ? withEsp(target, loader.beforeEsp) : []),
      ...mountEsp(target, esp, ROOT),
      ...enterActions(),
      ...loader.install,
      sync([...mountedAt(target), esp]),
      writeStamp(target, job),
      unmount(ROOT),
      // After the disk is complete: an entry that leads nowhere is worse than none.
      ...(boot === null ? [] : bootEntryActions(boot, machine.disks, target, loader)),
    ],
  };
}

function loaderFor(target: LinuxTarget, machine: MachineFacts, found: Found): Loader {
  const system = readSystem(found);
  return system.family === "debian"
    ? grubDebian(target, system, machine)
    : grubFedora(target, system, machine);
}

function mountEsp(target: LinuxTarget, where: string, root: string): Action[] {
  const name = "the EFI system partition";
  const device = deviceOf(target, target.esp);
  return [makeDirectory(where, root), mount(device, where, "vfat", "umask=0077", name)];
}

function withEsp(target: LinuxTarget, actions: readonly Action[]): Action[] {
  return [
    ...mountEsp(target, ESP, ESP),
    makeDirectory(`${ESP}/EFI`, ESP),
    ...actions,
    unmount(ESP),
  ];
}

function writeFstab(target: LinuxTarget): Action {
  const why = "list what the system mounts";
  const path = `${ROOT}/etc/fstab`;
  return { kind: "write", why, root: ROOT, path, text: fstab(target), mode: 0o644 };
}

function writeStamp(target: LinuxTarget, job: JobContext): Action {
  return {
    kind: "write",
    why: "note that the boot loader is installed",
    root: ROOT,
    path: `${ROOT}/${BOOTLOADER_STAMP}`,
    text: stampText(target, job),
    mode: 0o644,
  };
}
