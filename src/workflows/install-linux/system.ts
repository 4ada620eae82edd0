// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * What kind of Linux an unpacked image is, told by the files in it.
 */
import { ProvError } from "../../base/errors.ts";
import type { Found, Look } from "../../plan/look.ts";
import { BOOTLOADER_STAMP, IMAGE_STAMP } from "./stamp.ts";
import { ROOT } from "./target.ts";

/** All that {@link readSystem} and the boot loader planners ask about. */
export const LOOK_AT_SYSTEM: Look = {
  root: ROOT,
  find: [
    "boot/vmlinuz-*",
    "boot/initrd.img-*",
    "boot/initramfs-*.img",
    "usr/lib/modules/*/vmlinuz",
    "usr/sbin/grub-install",
    "usr/sbin/grub-mkconfig",
    "usr/sbin/update-initramfs",
    "usr/sbin/grub2-mkconfig",
    "usr/bin/grub2-mkconfig",
    "usr/bin/kernel-install",
    "usr/lib/shim/shim*.efi.signed",
    "usr/lib/grub/*-signed/grub*.efi.signed",
    "boot/efi/EFI/*/*",
    "usr/lib/efi/*/*/EFI/*/*",
  ],
  read: [
    "etc/os-release",
    "usr/lib/os-release",
    "boot/loader/entries/*.conf",
    "etc/kernel/cmdline",
    "etc/selinux/config",
    IMAGE_STAMP,
    BOOTLOADER_STAMP,
  ],
  hash: [],
};

export interface System {
  readonly family: "debian" | "fedora";
  /** os-release's ID: `debian`, `ubuntu`, `fedora`, `rocky`. */
  readonly id: string;
  readonly name: string;
  /** Versions of the kernels in /boot, and of those that are only in /usr/lib/modules. */
  readonly kernels: readonly string[];
  readonly kernelsOutsideBoot: readonly string[];
  readonly found: Found;
}

/** @throws {ProvError} PLAN_IMPOSSIBLE when it is no Linux that prov can make bootable. */
export function readSystem(found: Found): System {
  const text = found.texts["etc/os-release"] ?? found.texts["usr/lib/os-release"];
  if (text === undefined) throw impossible("it has no os-release");
  const release = parseOsRelease(text);
  const id = release.get("ID") ?? "linux";
  const like = [id, ...(release.get("ID_LIKE") ?? "").split(" ")];
  const family = familyOf(like);
  if (family === undefined) {
    throw impossible(`${id} is neither of the Debian nor of the Fedora family`);
  }
  const kernels = captures(found, /^boot\/vmlinuz-(.+)$/).filter((v) => !v.includes("rescue"));
  const outside = captures(found, /^usr\/lib\/modules\/([^/]+)\/vmlinuz$/);
  return {
    family,
    id,
    name: release.get("PRETTY_NAME") ?? release.get("NAME") ?? id,
    kernels,
    kernelsOutsideBoot: outside.filter((version) => !kernels.includes(version)),
    found,
  };
}

function familyOf(like: readonly string[]): System["family"] | undefined {
  if (like.includes("debian") || like.includes("ubuntu")) return "debian";
  if (like.some((id) => ["fedora", "rhel", "centos"].includes(id))) return "fedora";
  return undefined;
}

function impossible(found: string): ProvError {
  return new ProvError(`Cannot install a boot loader into this image: ${found}`, {
    code: "PLAN_IMPOSSIBLE",
    hint: "Build the image from a Debian, Ubuntu, Fedora, RHEL or compatible root file system.",
  });
}

/** os-release(5): shell assignments, values bare or quoted. */
function parseOsRelease(text: string): Map<string, string> {
  const values = new Map<string, string>();
  for (const line of text.split("\n")) {
    const match = /^([A-Z0-9_]+)=(.*)$/.exec(line.trim());
    const raw = match?.[2] ?? "";
    const quoted = /^"(.*)"$|^'(.*)'$/.exec(raw);
    const value = (quoted?.[1] ?? quoted?.[2] ?? raw).replace(/\\(["$`\\])/g, "$1");
    if (match !== null) values.set(match[1] ?? "", value);
  }
  return values;
}

/** First groups of all found paths that match, in their order. */
export function captures(found: Found, pattern: RegExp): string[] {
  return found.paths.flatMap((path) => pattern.exec(path)?.[1] ?? []);
}
