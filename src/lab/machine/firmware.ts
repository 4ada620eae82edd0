// SPDX-License-Identifier: AGPL-3.0-or-later
import { existsSync } from "node:fs";
import { copyFile, mkdir, open, stat } from "node:fs/promises";
import { join } from "node:path";
import { ProvError } from "../../base/errors.ts";
import type { MachineSpec } from "./machine.ts";

/** UEFI firmware as two flash images: code, and the template of the variables. */
export interface Firmware {
  readonly code: string;
  readonly variables: string;
}

/** Where distributions put OVMF: Debian's ovmf, Fedora's edk2-ovmf. The first that exists is used. */
const PLAIN: readonly Firmware[] = [
  { code: "/usr/share/OVMF/OVMF_CODE_4M.fd", variables: "/usr/share/OVMF/OVMF_VARS_4M.fd" },
  { code: "/usr/share/edk2/ovmf/OVMF_CODE.fd", variables: "/usr/share/edk2/ovmf/OVMF_VARS.fd" },
];

/** With Microsoft's keys enrolled; the code must run with SMM. */
const SECURE: readonly Firmware[] = [
  {
    code: "/usr/share/OVMF/OVMF_CODE_4M.secboot.fd",
    variables: "/usr/share/OVMF/OVMF_VARS_4M.ms.fd",
  },
  {
    code: "/usr/share/edk2/ovmf/OVMF_CODE.secboot.fd",
    variables: "/usr/share/edk2/ovmf/OVMF_VARS.secboot.fd",
  },
];

/** @throws {ProvError} `CONFIG_INVALID` when no OVMF is installed. */
export function findFirmware(
  secureBoot: boolean,
  exists: (path: string) => boolean = existsSync,
): Firmware {
  const candidates = secureBoot ? SECURE : PLAIN;
  const found = candidates.find((f) => exists(f.code) && exists(f.variables));
  if (found === undefined) {
    const looked = candidates.map((f) => f.code).join(", ");
    throw new ProvError(`Cannot find UEFI firmware for virtual machines: none of ${looked}`, {
      code: "CONFIG_INVALID",
      hint: "Install the package ovmf (Debian) or edk2-ovmf (Fedora).",
    });
  }
  return found;
}

/** What a machine keeps between power cycles. */
export interface MachineFiles {
  readonly disk: string;
  readonly nvram: string;
  /** What QEMU itself had to say. */
  readonly log: string;
}

/** Makes the disk (sparse) and the NVRAM the first time; later they are left as they are. */
export async function prepareFiles(spec: MachineSpec, firmware: Firmware): Promise<MachineFiles> {
  await mkdir(spec.directory, { recursive: true });
  const files = {
    disk: join(spec.directory, "disk.raw"),
    nvram: join(spec.directory, "nvram.fd"),
    log: join(spec.directory, "qemu.log"),
  };
  if (!existsSync(files.disk)) {
    const disk = await open(files.disk, "wx");
    await disk.truncate(spec.diskGiB * 2 ** 30);
    await disk.close();
  }
  const template = await stat(firmware.variables);
  const nvram = existsSync(files.nvram) ? await stat(files.nvram) : undefined;
  // Another size is another flash layout: a server moved between firmwares starts with a fresh one.
  if (nvram?.size !== template.size) await copyFile(firmware.variables, files.nvram);
  return files;
}
