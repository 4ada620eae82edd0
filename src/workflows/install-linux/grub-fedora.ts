// SPDX-License-Identifier: AGPL-3.0-or-later
import { ProvError } from "../../base/errors.ts";
import { minutes } from "../../base/units.ts";
import type { Action } from "../../plan/action.ts";
import type { MachineFacts } from "../../plan/facts.ts";
import type { Found } from "../../plan/look.ts";
import { inside } from "./chroot.ts";
import { FIRMWARE_NAMES } from "./firmware-names.ts";
import { ESP, type Loader } from "./loader.ts";
import { captures, type System } from "./system.ts";
import { type LinuxTarget, makeDirectory, mountOrder, ROOT, run } from "./target.ts";

/**
 * GRUB as the Fedora family has it: signed shim and GRUB come as files of their packages and are copied;
 * its grub2-install refuses UEFI. Kernels are listed by Boot Loader Specification entries.
 *
 * @throws {ProvError} PLAN_IMPOSSIBLE when the image lacks what that takes.
 */
export function grubFedora(target: LinuxTarget, system: System, machine: MachineFacts): Loader {
  const names = FIRMWARE_NAMES[machine.architecture];
  const { paths } = system.found;
  const trees = espTrees(system.found);
  // The vendor's own directory: EFI/fedora, EFI/centos. EFI/BOOT has the fallback copy.
  const vendors = captures(system.found, new RegExp(`EFI/([^/]+)/${names.shim}$`, "i"));
  const vendor = vendors.find((v) => v.toUpperCase() !== "BOOT");
  if (vendor === undefined) throw lacks(`it has no ${names.shim}`, "shim-x64 and grub2-efi-x64");
  const mkconfig = paths.find((p) => /^usr\/s?bin\/grub2-mkconfig$/.test(p));
  if (mkconfig === undefined) throw lacks("it has no grub2-mkconfig", "grub2-tools");
  if (system.kernels.length + system.kernelsOutsideBoot.length === 0) {
    throw lacks("it has no kernel", "kernel-core");
  }
  const hasRemovable = paths.some((p) => p.endsWith(`/EFI/BOOT/${names.removable}`));
  return {
    label: vendor,
    path: `\\EFI\\${vendor}\\${names.shim}`,
    beforeEsp: [
      ...trees.map((tree) => copyTree(`${ROOT}/${tree}`, `${ESP}/EFI`)),
      ...(hasRemovable ? [] : removableActions(vendor, names)),
      menuFinder(target, vendor),
    ],
    install: [
      commandLine(target, system),
      ...entryActions(target, system.found),
      ...kernelActions(system),
      inside("write the boot menu", ["grub2-mkconfig", "--output=/boot/grub2/grub.cfg"]),
      ...relabelActions(system),
    ],
  };
}

/**
 * Directories of the image whose contents belong into EFI: packages put them into /boot/efi or, in newer
 * releases, into /usr/lib/efi/NAME/VERSION.
 */
function espTrees(found: Found): string[] {
  return [...new Set(captures(found, /^((?:boot\/efi|usr\/lib\/efi\/[^/]+\/[^/]+)\/EFI)\//))];
}

function copyTree(from: string, to: string): Action {
  // A FAT file system has no owners and modes to preserve.
  const copy = run(
    `copy ${from} onto the EFI system partition`,
    ["cp", "--recursive", "--no-preserve=all", "--no-target-directory", from, to],
    minutes(2),
  );
  return { ...copy, root: ROOT };
}

function removableActions(
  vendor: string,
  names: { shim: string; grub: string; removable: string },
) {
  const copy = (from: string, to: string) =>
    run(
      `put ${from} on the removable path`,
      ["cp", "--no-preserve=all", `${ESP}/EFI/${vendor}/${from}`, `${ESP}/EFI/BOOT/${to}`],
      minutes(1),
    );
  return [
    makeDirectory(`${ESP}/EFI/BOOT`, ESP),
    copy(names.shim, names.removable),
    copy(names.grub, names.grub),
  ];
}

/** The signed GRUB reads grub.cfg in its own directory, which leads to the real one by file system UUID. */
function menuFinder(target: LinuxTarget, vendor: string): Action {
  const { uuid, prefix } = bootFilesystem(target);
  const text = [
    `search --no-floppy --fs-uuid --set=dev ${uuid}`,
    `set prefix=($dev)${prefix}/grub2`,
    "export $prefix",
    "configfile $prefix/grub.cfg",
    "",
  ].join("\n");
  return {
    kind: "write",
    why: "lead GRUB to its menu",
    root: ESP,
    path: `${ESP}/EFI/${vendor}/grub.cfg`,
    text,
    // What the mount's umask gives every file there.
    mode: 0o700,
  };
}

/** The file system that has /boot, and the path of /boot in it. */
function bootFilesystem(target: LinuxTarget): { uuid: string; prefix: string } {
  const boot = mountOrder(target).find(({ at }) => at === "/boot")?.partition;
  const { filesystemUuid } = boot ?? target.root;
  return { uuid: filesystemUuid ?? "", prefix: boot === undefined ? "/boot" : "" };
}

/** Without what named the root and the swap of the machine that the image was built on. */
function optionsFor(target: LinuxTarget, options: string): string {
  const kept = options
    .split(/\s+/)
    .filter((word) => word !== "" && !/^(?:root|resume|rootflags|\$kernelopts)(?:=|$)/.test(word))
    .filter((word) => word !== "ro" && word !== "rw");
  return [`root=UUID=${target.root.filesystemUuid}`, "ro", ...kept].join(" ");
}

/** What kernel-install(8) gives every kernel that is installed from now on. */
function commandLine(target: LinuxTarget, system: System): Action {
  return {
    kind: "write",
    why: "tell kernels where the root is",
    root: ROOT,
    path: `${ROOT}/etc/kernel/cmdline`,
    text: `${optionsFor(target, system.found.texts["etc/kernel/cmdline"] ?? "")}\n`,
    mode: 0o644,
  };
}

/**
 * Entries that the image brought along still name the root it was built on, and their paths are as its file
 * systems were: GRUB reads them from the top of the file system that has /boot.
 */
function entryActions(target: LinuxTarget, found: Found): Action[] {
  const paths = Object.keys(found.texts).filter((p) => p.startsWith("boot/loader/entries/"));
  return paths.map((path) => ({
    kind: "write",
    why: "lead a boot entry to the root",
    root: ROOT,
    path: `${ROOT}/${path}`,
    text: (found.texts[path] ?? "")
      .split("\n")
      .map((line) => entryLine(target, line))
      .join("\n"),
    mode: 0o644,
  }));
}

/** One `key value` line of an entry: UAPI Boot Loader Specification, type 1. */
function entryLine(target: LinuxTarget, line: string): string {
  const [, key, space, value = ""] = /^(\S+)(\s+)(.*)$/.exec(line) ?? [];
  switch (key) {
    case "options":
      return `${key}${space}${optionsFor(target, value)}`;
    case "linux":
    case "initrd": {
      const inBoot = value.replace(/^\/(?:boot\/)?/, "/");
      return `${key}${space}${bootFilesystem(target).prefix}${inBoot}`;
    }
    default:
      return line;
  }
}

/** Images made from packages without scriptlets have their kernels in /usr/lib/modules only. */
function kernelActions(system: System): Action[] {
  const { paths } = system.found;
  const missing = system.kernels.filter((v) => !paths.includes(`boot/initramfs-${v}.img`));
  return [...system.kernelsOutsideBoot, ...missing].map((version) =>
    inside(
      `put kernel ${version} and its initramfs into /boot`,
      ["kernel-install", "add", version, `/usr/lib/modules/${version}/vmlinuz`],
      minutes(15),
    ),
  );
}

/** The files written here have no SELinux label yet; a system that enforces would refuse them. */
function relabelActions(system: System): Action[] {
  const config = system.found.texts["etc/selinux/config"] ?? "";
  if (!/^SELINUX=(?:enforcing|permissive)/m.test(config)) return [];
  const why = "have SELinux label the files when the system first starts";
  const path = `${ROOT}/.autorelabel`;
  return [{ kind: "write", why, root: ROOT, path, text: "", mode: 0o644 }];
}

function lacks(found: string, packages: string): ProvError {
  return new ProvError(`Cannot install a boot loader into this image: ${found}`, {
    code: "PLAN_IMPOSSIBLE",
    hint: `Build the image with ${packages} installed.`,
  });
}
